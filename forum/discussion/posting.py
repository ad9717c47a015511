"""The writer's deeds: post, edit, withdraw, thank, appeal; each keeps the counters and writes its event."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    Insert,
    Integer,
    Select,
    Update,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import Base, as_read, db, insert_unless_there, is_sqlite, table_of, will_be_version
from forum.discussion.accepting import accept
from forum.discussion.before import Before, read_before
from forum.discussion.change import Watch
from forum.discussion.comment import (
    MAX_DEPTH,
    Cause,
    Comment,
    CommentRevision,
    Presence,
    Verdict,
    first_of_thread,
    is_in_edit_window,
    path_of,
    state_word,
)
from forum.discussion.event import Event, note_event
from forum.discussion.outcome import tell_reporters
from forum.discussion.reaction import Reaction
from forum.discussion.redacted import brings_back_redacted
from forum.discussion.report import Appeal
from forum.discussion.rights import decisions_on, is_staff
from forum.discussion.rules import ABOUT_WORDS
from forum.discussion.screening import Refused, causes_for_words, refuse_if_too_fast
from forum.discussion.telling import keep_all_told, keep_told, tell_readers
from forum.essays.essay import Essay
from forum.prepared import Part, Prepared, together
from forum.site.settings import site_settings
from forum.subscriptions.subscription import subscription_state
from forum.text.markdown import Rendered

Stored = TypeVar("Stored", Comment, CommentRevision)

WRITER = select(Comment.author_id).where(Comment.id == bindparam("comment_id"))
"""Selects who wrote a comment, which never changes, without a lock."""


def lock_discussion(author_id: int, essay_id: int, *others: int | None) -> None:
    """Take the row locks of one change, people before essays, so that no two changes wait for each other.

    `others` are who makes the change, whose role and standing are read afresh here, and people whose counters
    it may touch. A change of name holds up even rows that only refer to the person (thanks, events), so whoever
    writes such rows waits for it here, not later with the essay in their hands.
    """
    lock_users(User.id.in_({author_id, *others} - {None}))
    _lock_essay(essay_id)


def lock_comment(comment: Comment, *others: int | None) -> None:
    """Take the row locks of a change of one comment, as lock_discussion() does, and read it afresh.

    It may be moved while others are waited for: the discussion that is locked is the one that it is in then.
    """
    lock_users(User.id.in_({comment.author_id, *others} - {None}))
    db.session.refresh(comment, ["essay_id"])
    locked_id = None
    while locked_id != comment.essay_id:
        locked_id = comment.essay_id
        _lock_essay(locked_id)
        db.session.refresh(comment, with_for_update={"of": Comment})


def posted_before(author: User, form_token: str) -> Comment | None:
    """Return the comment that the same form already made: a form sent twice is one comment."""
    mine = (Comment.author_id == author.id) & (Comment.form_token == form_token)
    return db.session.scalar(select(Comment).where(mine))


def tell_again(comment: Comment) -> None:
    """Let everybody see a comment whose writer is told of it by a second answer; the first may not have been sent yet.

    Until that is, others may get the page as it was before (`untold.py`), but none of an earlier version than this.
    """
    bump_thread(comment.essay_id)


def essay_at(slug: str) -> Essay | None:
    """Return an essay without its texts, its tags and its author, which are read when somebody asks for them."""
    rows = _ESSAY_AT.rows(slug=slug)
    return _light_essay().of(rows[0]) if rows else None


def hold_discussion(essay: Essay) -> None:
    """Take the lock of an essay's discussion; people are locked before, as lock_discussion() does.

    What was read of the essay stays as it was: read_before() brings it up to date. Nothing to do on SQLite, where
    the turn to write is the lock.
    """
    if not is_sqlite():
        _HOLDING.run(row_id=essay.id)


def first_wording(comment: Comment) -> CommentRevision:
    """Return the words that a comment was posted with."""
    first = (CommentRevision.comment_id == comment.id) & (CommentRevision.number == 1)
    return db.session.scalars(select(CommentRevision).where(first)).one()


def post_comment(
    author: User,
    essay: Essay,
    words: Rendered,
    form_token: str,
    parent: Comment | None = None,
    *,
    seen: int | None = None,
    before: Before | None = None,
) -> Comment:
    """Add a comment, or a reply to `parent`, shown or held as the screening says. The caller holds the locks.

    `seen` is the number of the parent's wording that the author was shown: staff who answer words that wait
    accept them. `before` is what read_before() told under the same locks.
    Raises: Refused, for the writer, when they post too fast or repeat themselves.
    """
    now = clock.now()
    before = before or read_before(author, essay, words.source, form_token, parent)
    refuse_if_too_fast(author, essay, before, now)
    causes = causes_for_words(author, essay, words, now, before=before)
    accepts = parent is not None and seen == parent.newest_number and is_staff(author, essay, now)
    version = essay.thread_version
    with together():
        comment = _add_comment(author, essay, words, form_token, parent, before, causes, now)
        _count_new(comment, parent)
        if comment.visible and not accepts:
            tell_readers(comment)
    if parent is not None and accepts:
        _accept_what_is_answered(author, parent)
        if comment.visible:
            tell_readers(comment)
    else:
        will_be_version(essay.id, version + 1)
    return comment


def edit_comment(author: User, essay: Essay, comment: Comment, words: Rendered) -> CommentRevision:
    """Add a new wording. In the edit window it is shown at once; later it waits while the old text stays.

    A held comment is repaired and goes on waiting; a rejected or hidden one is submitted again.
    """
    now = clock.now()
    newest = comment.newest
    watch, from_state = Watch(comment), state_word(comment, newest)
    refused = newest.verdict == Verdict.REJECTED or comment.presence == Presence.HIDDEN
    if words.source == newest.source and not refused:
        return newest
    causes = _causes_for_edit(author, essay, comment, words, now)
    revision = _add_revision(comment, words, comment.newest_number + 1, causes, now)
    comment.newest_number = revision.number
    if not causes:
        comment.shown_number = revision.number
        comment.edited_at = now
    db.session.flush()
    db.session.expire(comment, ["newest", "shown"])
    settle(comment)
    note_event("edit", author, comment, revision, watch, from_state=from_state)
    return revision


def withdraw_comment(author: User, comment: Comment) -> None:
    """Take one's comment back; with replies below it leaves a placeholder."""
    newest = comment.newest
    watch, from_state = Watch(comment), state_word(comment, newest)
    comment.presence = Presence.WITHDRAWN
    settle(comment)
    note_event("withdraw", author, comment, newest, watch, from_state=from_state)


def toggle_reaction(user: User, comment: Comment) -> bool:
    """Thank a comment, or take the thanks back; returns whether it is thanked now. Counts exactly under races."""
    taken_back = db.session.scalar(
        delete(Reaction)
        .where(Reaction.comment_id == comment.id, Reaction.user_id == user.id)
        .returning(Reaction.user_id)
    )
    change = -1 if taken_back else 0
    if not taken_back:
        thanks = {"comment_id": comment.id, "user_id": user.id, "created_at": clock.now()}
        added = db.session.scalar(insert_unless_there(Reaction, **thanks).returning(Reaction.user_id))
        change = 1 if added else 0
    if change:
        change_counters(Comment, comment.id, likes=Comment.likes + change)
        bump_thread(comment.essay_id)
    return not taken_back


def appeal_decision(author: User, comment: Comment, words: str) -> None:
    """Ask for another look at the decision against one's comment; the caller has checked the right to it."""
    decision = decisions_on([comment.id]).get(comment.id)
    if decision is None:
        raise Refused("There is no decision to appeal against any more.")
    newest = comment.newest
    watch, from_state = Watch(comment, newest), state_word(comment, newest)
    db.session.add(Appeal(comment_id=comment.id, event_id=decision.id, words=words, created_at=clock.now()))
    newest.verdict = Verdict.HELD
    newest.causes = frozenset({Cause.APPEAL.value})
    settle(comment)
    note_event("appeal", author, comment, newest, watch, from_state=from_state, note=words)


def settle(comment: Comment, *, is_news: bool = False, decided_by: User | None = None) -> None:
    """Bring the counters above a comment, and what people were told of it, in line with what readers may see of it.

    `is_news`: if readers see it now, they may hear of it, later when `decided_by` let it through. Else it only
    comes back. The thread's version grows.
    """
    change = int(comment.should_be_visible) - int(comment.visible)
    put_on_desk(comment)
    if change:
        if is_news and comment.spoken_at is None:
            comment.spoken_at = clock.now()
        comment.visible = comment.should_be_visible
        db.session.flush()
        if above := comment.ancestor_ids():
            change_counters(Comment, *above, visible_below=Comment.visible_below + change)
        _count_accepted(comment.author_id, change)
    bump_thread(comment.essay_id, change)
    if change > 0 and is_news:
        tell_readers(comment, decided_by)
    else:
        keep_told(comment, change)


def settle_together(comments: Sequence[Comment]) -> None:
    """Do what settle() does for each of many comments that go or come back at once, with few statements for all.

    The version of each thread grows by one.
    """
    changes = {comment.id: int(comment.should_be_visible) - int(comment.visible) for comment in comments}
    below, spoken, accepted = Counter[int](), Counter[int](), Counter[int]()
    for comment in comments:
        put_on_desk(comment)
        comment.visible = comment.should_be_visible
        spoken[comment.essay_id] += changes[comment.id]
        accepted[comment.author_id] += changes[comment.id]
        below.update(dict.fromkeys(comment.ancestor_ids(), changes[comment.id]))
    for change in set(below.values()) - {0}:
        ids = [comment_id for comment_id, sum_of in below.items() if sum_of == change]
        change_counters(Comment, *ids, visible_below=Comment.visible_below + change)
    for author_id, change in accepted.items():
        change_counters(User, author_id, accepted_comments=User.accepted_comments + change)
    for essay_id, change in sorted(spoken.items()):
        bump_thread(essay_id, change)
    keep_all_told(comments, changes)


def put_on_desk(comment: Comment) -> None:
    """Let a comment wait for a moderator while there is something to decide about it, and not any longer."""
    causes = comment.desk_causes
    if causes != comment.waits_for:
        comment.waits_for = causes
    if bool(causes) != (comment.waits_since is not None):
        comment.waits_since = clock.now() if causes else None


def bump_thread(essay_id: int, change: int = 0) -> None:
    """Count one change of what readers see of an essay's discussion, and `change` more visible comments.

    When somebody spoke last follows from what is visible, so that what is taken back leaves no trace there.
    """
    db.session.flush()
    if change:
        _BUMPING_COUNTED.run(row_id=essay_id, change=change)
    else:
        _BUMPING.run(row_id=essay_id)
    _forget(Essay, essay_id, "thread_version", *(("visible_comments", "commented_at") if change else ()))


def bump_threads_that_name(user: User) -> None:
    """Count a change in every discussion that shows a person's name: of their essays, and where they commented."""
    commented = select(Comment.essay_id).where(Comment.author_id == user.id)
    shown = (Essay.author_id == user.id) | Essay.id.in_(commented)
    for essay_id in db.session.scalars(select(Essay.id).where(shown).order_by(Essay.id)).all():
        bump_thread(essay_id)


def change_counters(model: type[User] | type[Essay] | type[Comment], *row_ids: int, **values: object) -> None:
    """Change counters in SQL, never by reading and writing back: two at once must both count."""
    db.session.flush()
    db.session.execute(
        update(model)
        .where(model.id.in_(row_ids))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    for row_id in row_ids:
        _forget(model, row_id, *values)


def _add_comment(
    author: User,
    essay: Essay,
    words: Rendered,
    form_token: str,
    parent: Comment | None,
    before: Before,
    causes: AbstractSet[str],
    now: datetime,
) -> Comment:
    """Store a comment, its words and its event. Three statements."""
    parent_id, path = _place_below(parent)
    is_shown = not causes
    comment = _store(
        Comment,
        id=before.comment_id,
        essay_id=essay.id,
        author_id=author.id,
        parent_id=parent_id,
        answers_id=parent.id if parent else None,
        root_id=parent.root_comment_id if parent else None,
        thread_number=None if parent else before.number,
        place=before.number if parent else 0,
        depth=path.count("/") + 1 if parent else 0,
        path=path_of(before.comment_id, path),
        form_token=form_token,
        subscription=subscription_state(author, now).value,
        accepted_before=author.accepted_comments,
        created_at=now,
        spoken_at=now if is_shown else None,
        shown_number=1 if is_shown else None,
        visible=is_shown,
        waits_since=None if is_shown else now,
        waits_for=frozenset(str(cause) for cause in causes),
    )
    revision = _store(
        CommentRevision,
        id=before.wording_id,
        comment_id=comment.id,
        source=words.source,
        html=words.html,
        renderer=words.renderer,
        verdict=Verdict.HELD if causes else Verdict.ACCEPTED,
        causes=comment.waits_for,
        created_at=now,
    )
    for name, value in {"author": author, "essay": essay, "newest": revision}.items():
        set_committed_value(comment, name, value)  # as it would be read
    set_committed_value(comment, "shown", revision if is_shown else None)
    if parent is not None and (first := first_of_thread(parent)) is not None:
        set_committed_value(comment, "root", first)
    _note_posting(comment, revision)
    return comment


def _place_below(parent: Comment | None) -> tuple[int | None, str]:
    """Return the id and the path of what a new comment hangs below; at the cap it hangs beside what it answers."""
    if parent is None:
        return None, ""
    if parent.depth < MAX_DEPTH:
        return parent.id, parent.path
    return parent.parent_id, parent.path.rpartition("/")[0]


def _note_posting(comment: Comment, revision: CommentRevision) -> None:
    event = {
        "at": comment.created_at,
        "actor_id": comment.author_id,
        "act": "post",
        "essay_id": comment.essay_id,
        "comment_id": comment.id,
        "revision": revision.number,
        "to_state": state_word(comment, revision),
    }
    _inserting(Event).run(**_defaults(Event) | event)


def _store(model: type[Stored], **values: Any) -> Stored:
    """Insert a row at once and return it as read; a flush would take many times as long."""
    whole = _defaults(model) | values
    _inserting(model).run(**whole)
    return as_read(model, whole)


def _count_new(comment: Comment, answered: Comment | None) -> None:
    """Count a comment that was just added where it is seen, and as an answer. At most three statements."""
    change = int(comment.visible)
    if answered is not None:
        above = comment.ancestor_ids()
        values = {"answered_id": answered.id, "above": above, "change": change}
        db.session.connection().execute(_counting_below(), values)
        for row_id in {answered.id, *above}:
            _forget(Comment, row_id, "replies", "visible_below")
    if change:
        _count_accepted(comment.author_id, change)
    bump_thread(comment.essay_id, change)


def _count_accepted(user_id: int, change: int) -> None:
    _COUNTING_ACCEPTED.run(row_id=user_id, change=change)
    _forget(User, user_id, "accepted_comments")


def _forget(model: type[Base], row_id: int, *names: str) -> None:
    """Let fields that SQL has changed be read anew, where the row is loaded."""
    loaded = db.session.identity_map.get(identity_key(model, row_id))
    if loaded is not None:
        db.session.expire(loaded, names)


# Statements of every posting, made once: to put one together takes longer than to run it.


@cache
def _inserting(model: type[Base]) -> Prepared:
    """Return the statement that adds a row of whose columns every one is given, but for a key not known before."""

    def make() -> Insert:
        table = table_of(model)
        given = {name: bindparam(name, type_=table.c[name].type) for name in _defaults(model)}
        if model is not Event:
            given |= {column.key: bindparam(column.key, type_=column.type) for column in table.primary_key}
        return insert(table).values(given).inline()

    return Prepared(make)


@cache
def _defaults(model: type[Base]) -> dict[str, Any]:
    """Return what the columns of a row hold that is not told otherwise, but for its key."""
    columns = (column for column in table_of(model).c if not column.primary_key)
    return {column.key: _default(column.default) for column in columns}


def _default(default: Any) -> Any:
    return None if default is None else default.arg if default.is_scalar else default.arg(None)


@cache
def _counting_below() -> Update:
    table = table_of(Comment)
    above: BindParameter[Any] = bindparam("above", expanding=True)
    answered = table.c.id == bindparam("answered_id")
    seen = case((table.c.id.in_(above), bindparam("change", type_=Integer)), else_=0)
    counted = update(table).where(answered | table.c.id.in_(above))
    return counted.values(
        replies=table.c.replies + case((answered, 1), else_=0), visible_below=table.c.visible_below + seen
    )


def _counting_accepted() -> Update:
    table = table_of(User)
    counted = update(table).where(table.c.id == bindparam("row_id"))
    return counted.values(accepted_comments=table.c.accepted_comments + bindparam("change"))


def _bumping(*, is_counted: bool) -> Update:
    table, comment = table_of(Essay), table_of(Comment)
    bumped = update(table).where(table.c.id == bindparam("row_id"))
    bumped = bumped.values(thread_version=table.c.thread_version + 1)
    if not is_counted:
        return bumped
    seen = (comment.c.essay_id == bindparam("row_id")) & comment.c.visible & comment.c.spoken_at.is_not(None)
    spoken = select(comment.c.spoken_at).where(seen).order_by(comment.c.spoken_at.desc()).limit(1)
    return bumped.values(
        visible_comments=table.c.visible_comments + bindparam("change"),
        commented_at=spoken.scalar_subquery(),
    )


_COUNTING_ACCEPTED = Prepared(_counting_accepted)
_BUMPING = Prepared(partial(_bumping, is_counted=False))
_BUMPING_COUNTED = Prepared(partial(_bumping, is_counted=True))


@cache
def _light_essay() -> Part:
    heavy = {Essay.source.key, Essay.html.key, Essay.preview_html.key}
    return Part(Essay, *(getattr(Essay, one.key) for one in table_of(Essay).c if one.key not in heavy))


def _essay_at() -> Select[Any]:
    return select(*_light_essay().columns).where(Essay.slug == bindparam("slug"))


def _holding() -> Select[int]:
    return select(Essay.id).where(Essay.id == bindparam("row_id")).with_for_update(key_share=True)


_ESSAY_AT = Prepared(_essay_at)
_HOLDING = Prepared(_holding)


def _lock_essay(essay_id: int) -> None:
    discussion = select(Essay).where(Essay.id == essay_id)
    locked = discussion.with_for_update(of=Essay, key_share=True)
    db.session.scalar(locked.execution_options(populate_existing=True))


def _causes_for_edit(
    author: User, essay: Essay, comment: Comment, words: Rendered, now: datetime
) -> frozenset[str]:
    newest = comment.newest
    if is_staff(author, essay, now) and comment.presence == Presence.LIVE:
        return frozenset()
    if comment.presence == Presence.HIDDEN or newest.verdict == Verdict.REJECTED:
        return frozenset({Cause.APPEAL.value})
    causes = causes_for_words(author, essay, words, now, edited=comment)
    about_words = frozenset(cause.value for cause in causes & ABOUT_WORDS)
    if newest.verdict == Verdict.HELD:
        return newest.causes | about_words
    is_late = not is_in_edit_window(comment, now, site_settings().edit_window.total_seconds())
    if is_late or brings_back_redacted(comment, words):
        return about_words | {Cause.EDIT.value}
    return frozenset(cause.value for cause in causes)


def _accept_what_is_answered(actor: User, parent: Comment) -> None:
    """Accept words that wait when staff who were shown them answer: they have read and kept them."""
    newest = parent.newest
    if parent.presence != Presence.LIVE or not parent.needs_verdict:
        return
    watch, from_state = Watch(parent, newest, parent.shown), state_word(parent, newest)
    waited = waited_seconds(parent)
    act = accept(parent, watch)
    db.session.flush()
    db.session.expire(parent, ["shown"])
    settle(parent, is_news=True, decided_by=actor)
    event = note_event(act, actor, parent, newest, watch, from_state=from_state, waited_seconds=waited)
    tell_reporters(event, parent)


def waited_seconds(comment: Comment) -> int | None:
    """Return how long a comment has waited for a moderator, None if it does not wait."""
    if comment.waits_since is None:
        return None
    return max(0, int((clock.now() - comment.waits_since).total_seconds()))


def _add_revision(
    comment: Comment, words: Rendered, number: int, causes: AbstractSet[str], now: datetime
) -> CommentRevision:
    revision = CommentRevision(
        comment_id=comment.id,
        number=number,
        source=words.source,
        html=words.html,
        renderer=words.renderer,
        verdict=Verdict.HELD if causes else Verdict.ACCEPTED,
        causes=frozenset(str(cause) for cause in causes),
        created_at=now,
    )
    db.session.add(revision)
    db.session.flush()
    return revision
