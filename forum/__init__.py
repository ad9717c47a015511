"""Essay Forum: essays, threaded comments moderated by their author, accounts tied to subscriptions.

The folders in their order; each imports only those before it (held by import-linter, see pyproject.toml).

config clock database walindex finding rawreads replica redis_counts limits stitching pagecache exchange packing
assets web      the ground: settings, time, rows, rates, kept bytes, static files, HTTP manners
text            words in, safe words out; knows nothing of the site
outbox          mail, stored in the same transaction as its cause, sent by the worker; bounces, addresses that get none
site            settings an admin may change while it runs, and the audit log
accounts        people, their sessions, ways to sign in
subscriptions   tiers and periods, which letters a reader gets and how often, one-click unsubscribe
notifications   what one reader should hear about: the inbox, and what becomes a mail when
essays          writing, revisions, publishing, sending, feeds
discussion      comments, threads, rights
moderation      the queue, decisions, undo, people
archive         readers coming from elsewhere and leaving
pages           screens that combine capabilities: home, essay with its discussion, profile
admin           people, settings, audit
demo            a small site to look at, large ones to measure
app jobs        create_app(), the one file that knows every capability; what the worker does between mails
server cli      the process tree; every command
"""
