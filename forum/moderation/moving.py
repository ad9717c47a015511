"""Where comments hang: moving one with everything below it, and keeping paths and counters true when places change."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, literal, or_, select, update

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import MAX_DEPTH, Comment, Path, Presence
from forum.discussion.event import Event
from forum.discussion.numbering import count_places, next_thread_number
from forum.discussion.posting import bump_thread, change_counters
from forum.discussion.rights import is_staff
from forum.essays.essay import Essay, find_essay
from forum.moderation.decisions import NotPossible, begin
from forum.text.normal import one_line

UNKNOWN = "There is no such essay or comment. Paste its address, as it stands in your browser."
BELOW_ITSELF = "It cannot stand below itself."

_COMMENT = re.compile(r"(?:(?:^|/)comments/|#comment-)(\d{1,18})\b|^#?(\d{1,18})$")
_ESSAY = re.compile(r"(?:^|/)essays/([^/?#\s]+)")

AT_ONCE = 100
"""Comments that one statement moves: each is a condition in it."""


@dataclass(frozen=True)
class Target:
    """A place for a comment: below another one, or with None below the essay itself."""

    essay: Essay
    comment: Comment | None


@dataclass(frozen=True)
class Stood:
    """Where a comment stood before an act."""

    row: Comment
    essay_id: int
    parent_id: int | None
    answers_id: int | None
    thread_id: int

    @classmethod
    def of(cls, row: Comment) -> "Stood":
        """Remember where a comment stands."""
        return cls(row, row.essay_id, row.parent_id, row.answers_id, row.root_comment_id)

    @property
    def way(self) -> tuple[int, int | None, int, int | None]:
        """Return from where to where it went."""
        return self.essay_id, self.parent_id, self.row.essay_id, self.row.parent_id

    @property
    def has_moved(self) -> bool:
        """Tell whether it hangs elsewhere now."""
        return self.way[:2] != self.way[2:]


def find_target(typed: str) -> Target | None:
    """Return the place that somebody means with the address of an essay or a comment, or with a comment's number."""
    typed = one_line(typed)
    if found := _COMMENT.search(typed):
        comment = db.session.get(Comment, int(found[1] or found[2]))
        return Target(comment.essay, comment) if comment is not None else None
    slug = _ESSAY.search(typed)
    essay = find_essay(slug[1]) if slug else None
    return Target(essay, None) if essay is not None else None


def why_not_to(actor: User, comment: Comment, target: Target | None) -> str | None:
    """Return why a comment cannot be moved to a place, in a sentence for who wants to; None if it can."""
    now = clock.now()
    if target is None or not target.essay.may_see(actor, now):
        return UNKNOWN
    if not is_staff(actor, target.essay, now):
        return "You do not moderate that discussion, so you cannot move anything there."
    if not target.essay.is_published(now):
        return "That essay is not published: nobody could read it there."
    if target.comment is None:
        stands_there = comment.parent_id is None and comment.essay_id == target.essay.id
        return "It stands there already." if stands_there else None
    if target.comment.id == comment.id or is_below(target.comment, comment):
        return BELOW_ITSELF
    if comment.id != target.comment.id and comment.answers_id == target.comment.id:
        return "It stands there already."
    return None if target.comment.visible else "Readers do not see that comment. Choose another place."


def move(actor: User, comment: Comment, target: Target) -> Event:
    """Move a comment with everything below it; both discussions are locked, and the caller asked `why_not_to`.

    Raises: NotPossible, when there is nothing left to move.
    """
    if comment.presence in (Presence.WITHDRAWN, Presence.ERASED):
        raise NotPossible("This is gone. There is nothing to move.")
    act, stood = begin(actor, comment), Stood.of(comment)
    comment.moved_from_essay_id, comment.moved_from_id = comment.essay_id, comment.parent_id
    comment.moved_at = clock.now()
    comment.pinned_at = None
    comment.thread_number = None  # where it begins a thread, it is the newest one
    if comment.essay.author_id != target.essay.author_id:
        comment.featured_at = None  # it was the pick of the other author
    if target.comment is not None:
        comment.closed_at, comment.closing_note = None, ""
    comment.essay_id = target.essay.id
    comment.parent_id = room_below(target.comment, height_of([comment]))
    comment.answers_id = target.comment.id if target.comment else None
    settle_places([stood])
    return act.finish("move")


def is_below(comment: Comment, other: Comment) -> bool:
    """Tell whether a comment hangs below another one."""
    return comment.path.startswith(f"{other.path}/")


def height_of(comments: Sequence[Comment]) -> int:
    """Return how many levels hang below comments that stand side by side. One query for each 100."""
    deepest = [comment.depth for comment in comments]
    for some in _pieces(comments):
        deepest.append(db.session.scalar(select(func.max(Comment.depth)).where(_subtrees(some))) or 0)
    return max(deepest) - comments[0].depth


def room_below(comment: Comment | None, height: int) -> int | None:
    """Return the comment to hang so many levels and one more below, so that all keep below the cap.

    Like a reply to the last level, what would reach too deep is attached higher up.
    """
    if comment is None or height >= MAX_DEPTH:
        return None
    return [*comment.ancestor_ids(), comment.id][: MAX_DEPTH - height][-1]


def settle_places(stood: Iterable[Stood]) -> None:
    """Bring paths, depths, threads, places, counters and events in line with where comments hang since an act.

    A fixed number of statements for each 100 comments that stood side by side, however much hangs below them, and
    one for each thread.
    Raises: NotPossible, where they cannot hang.
    """
    db.session.flush()
    ways: dict[tuple[int, int | None, int, int | None], list[Comment]] = {}
    threads: set[int] = set()
    for one in stood:
        if one.answers_id != one.row.answers_id:
            _count_answer(one.answers_id, -1)
            _count_answer(one.row.answers_id, 1)
        if one.has_moved:
            _number(one.row)
            threads.add(one.thread_id)
            ways.setdefault(one.way, []).append(one.row)
    for (essay_id, _, _, parent_id), comments in ways.items():
        # Threads of their own have no parent to share a way with.
        side_by_side = _pieces(comments) if parent_id is not None else [[one] for one in comments]
        for some in side_by_side:
            threads.add(_replant(some, essay_id))
    for thread_id in sorted(threads):
        count_places(thread_id)
    _forget_places()


def _number(row: Comment) -> None:
    """Let a comment have a number exactly if it begins a thread; an undo has put back the one that it had."""
    if row.parent_id is not None:
        row.thread_number = None
    elif row.thread_number is None:
        row.thread_number = next_thread_number(row.essay_id)


def _replant(comments: Sequence[Comment], old_essay_id: int) -> int:
    """Give comments that stood side by side, and all below them, the paths that their new parent asks for.

    Returns the thread that they are in now.
    """
    first = comments[0]
    parent = db.session.get(Comment, first.parent_id) if first.parent_id is not None else None
    deeper = (parent.depth + 1 if parent else 0) - first.depth
    _refuse_impossible(comments, parent, deeper)
    beginning = first.path[: first.path.rfind("/") + 1]
    new_beginning = f"{parent.path}/" if parent else ""
    above = first.ancestor_ids()
    seen = sum(int(one.visible) + one.visible_below for one in comments)
    if above:
        change_counters(Comment, *above, visible_below=Comment.visible_below - seen)
    thread = (
        literal(parent.root_comment_id) if parent else case((Comment.id == first.id, None), else_=first.id)
    )
    moved = (
        update(Comment)
        .where(_subtrees(comments))
        .values(
            path=literal(new_beginning, Path).concat(func.substr(Comment.path, len(beginning) + 1)),
            depth=Comment.depth + deeper,
            root_id=thread,
            essay_id=first.essay_id,
        )
    )
    db.session.execute(moved.execution_options(synchronize_session=False))
    _forget_places()
    if above := first.ancestor_ids():
        change_counters(Comment, *above, visible_below=Comment.visible_below + seen)
    if first.essay_id != old_essay_id:
        _follow_to_essay(comments, old_essay_id, seen)
    return parent.root_comment_id if parent else first.id


def _refuse_impossible(comments: Sequence[Comment], parent: Comment | None, deeper: int) -> None:
    if parent is None:
        return
    if any(parent.id == one.id or is_below(parent, one) for one in comments):
        raise NotPossible(f"{BELOW_ITSELF} What it was below was moved below it since.")
    if parent.essay_id != comments[0].essay_id:
        raise NotPossible("What it was below was moved to another discussion since. Move it anew.")
    if comments[0].depth + height_of(comments) + deeper > MAX_DEPTH:
        raise NotPossible("The answers below it reach too deep for that place by now. Move it anew.")


def _follow_to_essay(comments: Sequence[Comment], old_essay_id: int, seen: int) -> None:
    """Let the events follow to the discussion that their comments are in, and count anew in both."""
    inside = select(Comment.id).where(_subtrees(comments))
    follow = update(Event).where(Event.comment_id.in_(inside)).values(essay_id=comments[0].essay_id)
    db.session.execute(follow.execution_options(synchronize_session=False))
    for row in db.session.identity_map.values():
        if isinstance(row, Event):
            db.session.expire(row, ["essay_id"])
    for essay_id, change in sorted([(old_essay_id, -seen), (comments[0].essay_id, seen)]):
        bump_thread(essay_id, change)


def _count_answer(comment_id: int | None, change: int) -> None:
    if comment_id is not None:
        change_counters(Comment, comment_id, replies=Comment.replies + change)


def _subtrees(comments: Sequence[Comment]) -> ColumnElement[bool]:
    return or_(*(or_(Comment.id == one.id, Comment.below(one.path)) for one in comments))


def _forget_places() -> None:
    """Read anew where loaded comments stand, since they were moved in SQL."""
    for row in list(db.session.identity_map.values()):
        if isinstance(row, Comment):
            db.session.expire(row, ["path", "depth", "root_id", "place", "essay_id", "essay"])


def _pieces(comments: Sequence[Comment]) -> list[Sequence[Comment]]:
    return [comments[at : at + AT_ONCE] for at in range(0, len(comments), AT_ONCE)]
