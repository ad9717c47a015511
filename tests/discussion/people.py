"""One person for each row of the rights table, and what they wrote in better days."""

import itertools
from datetime import timedelta

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.posting import post_comment
from forum.essays.essay import Essay
from forum.subscriptions.subscription import Kind, Subscription
from forum.text.markdown import render_comment
from tests.cast import Cast, Visitor

GRACE = timedelta(days=7)
NUMBERS = itertools.count(1)


def people(cast: Cast) -> dict[str, Visitor]:
    """Return one browser for each kind of person that the table knows."""
    now = clock.now()
    visitors = {
        "stranger": cast.stranger,
        "unconfirmed": cast.person("unconfirmed", email_confirmed_at=None),
        "free": cast.person("free"),
        "suspended": cast.person("suspended", suspended_until=now + timedelta(days=3)),
        "banned": cast.person("banned", banned_at=now),
        "author": cast.author,
        "another author": cast.person("another author", Role.AUTHOR),
        "moderator": cast.moderator,
        "admin": cast.admin,
    }
    ends = {
        "paid": (Kind.PAID, now + timedelta(days=30)),
        "complimentary": (Kind.COMPLIMENTARY, None),
        "cancelled": (Kind.PAID, now + timedelta(days=1)),
        "grace": (Kind.PAID, now - GRACE / 2),
        "lapsed": (Kind.PAID, now - GRACE * 2),
        "cancelled and over": (Kind.PAID, now - GRACE / 2),
    }
    for name, (kind, ends_at) in ends.items():
        visitors[name] = cast.person(name)
        user_id = visitors[name].user_id or 0
        cast.subscribe(user_id, kind, ends_at)
        if name.startswith("cancelled"):
            cast.change(Subscription, user_id, cancelled_at=now - GRACE)
    return visitors


def posted(cast: Cast, essay_id: int, author_id: int, words: str) -> int:
    """Make a visible comment, whatever its writer may do today: it was posted in better days."""
    with cast.app.app_context():
        author, essay = db.session.get_one(User, author_id), db.session.get_one(Essay, essay_id)
        author.accepted_comments = 9
        number = next(NUMBERS)
        comment = post_comment(author, essay, render_comment(f"{words}, {number}"), f"form-{number}")
        db.session.commit()
        return comment.id
