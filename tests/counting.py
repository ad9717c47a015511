"""Counts of a discussion made anew from its rows, to compare with those that the site keeps."""

from collections import Counter
from typing import Any

from sqlalchemy import func, select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment, CommentRevision, Presence, Verdict, path_of
from forum.discussion.reaction import Reaction
from forum.essays.essay import Essay


def wrong_counters() -> list[str]:
    """Return a line for each counter or place that its rows do not bear out; needs an app context."""
    comments = list(db.session.scalars(select(Comment).order_by(Comment.id)))
    newest, accepted = _revisions()
    thanked = select(Reaction.comment_id, func.count()).group_by(Reaction.comment_id)
    likes: dict[int, int] = {row[0]: row[1] for row in db.session.execute(thanked)}
    by_id = {comment.id: comment for comment in comments}
    visible = [comment for comment in comments if _is_visible(comment)]
    below = Counter(above for comment in visible for above in _above(comment, by_id))
    replies = Counter(comment.answers_id for comment in comments)
    wrong = [f"comment {comment.id}: is at the wrong place" for comment in _misplaced(comments, by_id)]
    for comment in comments:
        parent = by_id[comment.parent_id] if comment.parent_id else None
        true = {
            "visible": _is_visible(comment),
            "visible_below": below[comment.id],
            "replies": replies[comment.id],
            "likes": likes.get(comment.id, 0),
            "depth": parent.depth + 1 if parent else 0,
            "root_id": (parent.root_id or parent.id) if parent else None,
            "path": path_of(comment.id, parent.path if parent else ""),
            "newest_number": newest[comment.id],
        }
        wrong += _compare(f"comment {comment.id}", comment, true)
        if (comment.thread_number is None) != (parent is not None):
            wrong.append(f"comment {comment.id}: has thread number {comment.thread_number}")
        if _is_visible(comment) and (comment.id, comment.shown_number) not in accepted:
            wrong.append(f"comment {comment.id}: shows a wording that was not accepted")
    by_essay = Counter(comment.essay_id for comment in visible)
    for essay in db.session.scalars(select(Essay).order_by(Essay.id)):
        wrong += _compare(f"essay {essay.id}", essay, {"visible_comments": by_essay[essay.id]})
    by_author = Counter(comment.author_id for comment in visible)
    for user in db.session.scalars(select(User).order_by(User.id)):
        wrong += _compare(f"user {user.id}", user, {"accepted_comments": by_author[user.id]})
    return wrong


def _misplaced(comments: list[Comment], by_id: dict[int, Comment]) -> list[Comment]:
    """Return the comments whose place is not that in the order of writing, each after what it stands below."""
    threads: dict[int, list[tuple[int, int, int]]] = {}
    for comment in comments:
        latest = max(comment.id, *_above(comment, by_id), 0)
        threads.setdefault(comment.root_id or comment.id, []).append((latest, comment.depth, comment.id))
    places = {key[2]: place for keys in threads.values() for place, key in enumerate(sorted(keys))}
    return [comment for comment in comments if comment.place != places[comment.id]]


def _is_visible(comment: Comment) -> bool:
    return comment.presence == Presence.LIVE and comment.shown_number is not None


def _above(comment: Comment, by_id: dict[int, Comment]) -> list[int]:
    above = []
    while comment.parent_id is not None:
        comment = by_id[comment.parent_id]
        above.append(comment.id)
    return above


def _revisions() -> tuple[dict[int, int], set[tuple[int, int]]]:
    rows = db.session.execute(
        select(CommentRevision.comment_id, CommentRevision.number, CommentRevision.verdict)
    )
    newest: dict[int, int] = {}
    accepted = set()
    for comment_id, number, verdict in rows:
        newest[comment_id] = max(number, newest.get(comment_id, 0))
        if verdict == Verdict.ACCEPTED:
            accepted.add((comment_id, number))
    return newest, accepted


def _compare(what: str, row: object, true: dict[str, Any]) -> list[str]:
    return [
        f"{what}: {name} is {getattr(row, name)!r}, its rows say {value!r}"
        for name, value in true.items()
        if getattr(row, name) != value
    ]
