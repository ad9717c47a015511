"""The writer's deeds: post, edit, withdraw, thank, appeal; each keeps the counters and writes its event."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import db, insert_unless_there
from forum.discussion.accepting import accept
from forum.discussion.change import Watch
from forum.discussion.comment import (
    MAX_DEPTH,
    Cause,
    Comment,
    CommentRevision,
    Presence,
    Verdict,
    is_in_edit_window,
    path_of,
    state_word,
)
from forum.discussion.event import note_event
from forum.discussion.outcome import tell_reporters
from forum.discussion.reaction import Reaction
from forum.discussion.redacted import brings_back_redacted
from forum.discussion.report import Appeal
from forum.discussion.rights import decisions_on, is_staff
from forum.discussion.rules import ABOUT_WORDS
from forum.discussion.screening import Refused, causes_for_words, refuse_if_too_fast
from forum.discussion.telling import keep_all_told, keep_told, tell_readers
from forum.discussion.thread import SUPPORTING
from forum.essays.essay import Essay
from forum.site.settings import site_settings
from forum.subscriptions.subscription import subscription_state
from forum.text.markdown import Rendered


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


def writer_of(comment_id: int) -> int | None:
    """Return the id of the person who wrote a comment, which never changes, without a lock."""
    return db.session.scalar(select(Comment.author_id).where(Comment.id == comment_id))


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
) -> Comment:
    """Add a comment, or a reply to `parent`, shown or held as the screening says. The caller holds the locks.

    `seen` is the number of the parent's wording that the author was shown: staff who answer words that wait
    accept them.
    Raises: Refused, for the writer, when they post too fast or repeat themselves.
    """
    now = clock.now()
    recent = refuse_if_too_fast(author, essay, words.source, now)
    causes = causes_for_words(author, essay, words, now, recent=recent)
    place = (
        parent if parent is None or parent.depth < MAX_DEPTH else db.session.get(Comment, parent.parent_id)
    )
    comment = Comment(
        essay_id=essay.id,
        author_id=author.id,
        author=author,
        parent_id=place.id if place else None,
        answers_id=parent.id if parent else None,
        root_id=place.root_comment_id if place else None,
        thread_number=_next_thread_number(essay) if place is None else None,
        place=_next_place(place) if place else 0,
        depth=place.depth + 1 if place else 0,
        form_token=form_token,
        subscription=subscription_state(author, now).value,
        accepted_before=author.accepted_comments,
        created_at=now,
        shown_number=None if causes else 1,
    )
    db.session.add(comment)
    db.session.flush()
    comment.path = path_of(comment.id, place.path if place else "")
    revision = _add_revision(comment, words, 1, causes, now)
    set_committed_value(comment, "newest", revision)  # as it would be read
    set_committed_value(comment, "shown", None if causes else revision)
    if parent is not None:
        change_counters(Comment, parent.id, replies=Comment.replies + 1)
        if seen == parent.newest_number and is_staff(author, essay, now):
            _accept_what_is_answered(author, parent)
    note_event("post", author, comment, revision)
    settle(comment, is_news=True)
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
        change_counters(User, comment.author_id, accepted_comments=User.accepted_comments + change)
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
    values: dict[str, object] = {"thread_version": Essay.thread_version + 1}
    if change:
        seen = (Comment.essay_id == essay_id) & Comment.visible & Comment.spoken_at.is_not(None)
        spoken = select(Comment.spoken_at).where(seen).order_by(Comment.spoken_at.desc()).limit(1)
        values |= {
            "visible_comments": Essay.visible_comments + change,
            "commented_at": spoken.scalar_subquery(),
        }
    change_counters(Essay, essay_id, **values)


def bump_threads_that_name(user: User) -> None:
    """Count a change in every discussion that shows a person's name: of their essays, and where they commented."""
    commented = select(Comment.essay_id).where(Comment.author_id == user.id)
    shown = (Essay.author_id == user.id) | Essay.id.in_(commented)
    for essay_id in db.session.scalars(select(Essay.id).where(shown).order_by(Essay.id)).all():
        bump_thread(essay_id)


def bump_threads_with_marks() -> None:
    """Count a change in every discussion with a supporter's comment: the site shows or hides the marks."""
    marked = Essay.id.in_(select(Comment.essay_id).where(Comment.subscription.in_(SUPPORTING)))
    # Locked in id order first, as bump_threads_that_name() takes them, so that no two wait for each other.
    ids = db.session.scalars(select(Essay.id).where(marked).order_by(Essay.id).with_for_update()).all()
    change_counters(Essay, *ids, thread_version=Essay.thread_version + 1)


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
        loaded = db.session.identity_map.get(identity_key(model, row_id))
        if loaded is not None:
            db.session.expire(loaded, list(values))


def _next_thread_number(essay: Essay) -> ColumnElement[int]:
    """Return the number of a new thread, as a look at the end of an index; the essay's lock keeps it from others."""
    last = select(func.max(Comment.thread_number)).where(Comment.essay_id == essay.id)
    return func.coalesce(last.scalar_subquery(), 0) + 1


def _next_place(answered: Comment) -> ColumnElement[int]:
    """Return the place of a new reply in its thread, in the same way."""
    last = select(func.max(Comment.place)).where(Comment.root_id == answered.root_comment_id)
    return func.coalesce(last.scalar_subquery(), 0) + 1


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
