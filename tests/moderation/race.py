"""Who may meet on one comment at one moment, and what must come of it: one outcome, told clearly, and true counters."""

from collections.abc import Callable, Sequence
from threading import Barrier, Thread
from typing import Any

from sqlalchemy import select
from werkzeug.test import TestResponse

from forum.database import db
from forum.discussion.comment import Comment, Presence
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.site.settings import Premoderation
from tests.cast import Cast, Visitor, comment_id, words
from tests.discussion.rows import wrong_counters

JSON = {"Accept": "application/json"}
OPEN, THERE = "open-waters", "on-land"

Race = Callable[[Cast, int], None]


def prepare(cast: Cast) -> None:
    """Make two essays where everybody is heard at once; on the first one of the cast new writers wait."""
    for slug in (OPEN, THERE):
        cast.essay(slug, slug, premoderation=Premoderation.NONE)


def at_once(*calls: Callable[[], TestResponse]) -> list[TestResponse]:
    """Send requests at the same moment, and return the answers; nobody sees that anything broke."""
    answers: list[TestResponse | None] = [None] * len(calls)
    start = Barrier(len(calls))

    def run(number: int) -> None:
        start.wait()
        answers[number] = calls[number]()

    threads = [Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    given = [answer for answer in answers if answer is not None]
    assert len(given) == len(calls)
    assert all(answer.status_code < 500 for answer in given), [answer.status_code for answer in given]
    return given


def refuse_wrong_counters(cast: Cast) -> None:
    """Count everything anew."""
    begun = {cast.person(name).user_id or 0: 1 for name in cast.visitors if name.startswith("witness")}
    assert wrong_counters(cast.app, begun) == []


def _two_decide(one: str, other: str) -> Race:
    def race(cast: Cast, number: int) -> None:
        row = _held(cast, number)
        answers = at_once(lambda: _decide(cast.moderator, row, one), lambda: _decide(cast.admin, row, other))
        _refuse_two_outcomes(answers)
        loser = next(answer for answer in answers if answer.status_code == 409)
        winner = "admin" if loser is answers[0] else "moderator"
        assert f"This does not wait any more. {winner}" in words(loser)
        assert _acts(cast, row)[0] == "post"
        assert len(_acts(cast, row)) == 2

    return race


def _two_hide(cast: Cast, number: int) -> None:
    row = _shown(cast, number)
    answers = at_once(lambda: _decide(cast.moderator, row, "hide"), lambda: _decide(cast.admin, row, "spam"))
    _refuse_two_outcomes(answers)
    assert cast.read(Comment, row).presence == Presence.HIDDEN


def _edited_while_judged(cast: Cast, number: int) -> None:
    writer = cast.person(f"writer {number}")
    row = _held(cast, number)
    edit = {"body": "Unseen words.", "revision": 1}
    decision, edited = at_once(
        lambda: _decide(cast.author, row, "approve"), lambda: writer.post(f"/comments/{row}/edit", edit)
    )
    assert edited.status_code == 303
    comment = cast.read(Comment, row)
    assert comment.newest_number == 2
    if decision.status_code == 409:
        assert comment.shown_number is None  # nobody has seen the new words


def _answered_while_hidden(cast: Cast, number: int) -> None:
    row = _held(cast, number)
    hidden, answer = at_once(
        lambda: _decide(cast.moderator, row, "hide"),
        lambda: cast.author.comment(cast.slug, f"I answer {number}.", row, parent_seen=f"{row}:1"),
    )
    assert hidden.status_code in (303, 409)
    assert answer.status_code in (303, 409)
    comment = cast.read(Comment, row)
    assert comment.presence == (Presence.HIDDEN if hidden.status_code == 303 else Presence.LIVE)
    assert comment.visible_below == (1 if answer.status_code == 303 else 0)


def _banned_while_posting(cast: Cast, number: int) -> None:
    writer = cast.person(f"writer {number}")
    first = _shown(cast, number)
    banned, posted = at_once(
        lambda: cast.admin.post(f"/moderation/people/{writer.user_id}/ban", BAN),
        lambda: writer.comment(OPEN, f"At the last moment, {number}."),
    )
    assert banned.status_code == 303
    assert posted.status_code in (303, 403)
    rows = [first] + ([comment_id(posted)] if posted.status_code == 303 else [])
    assert [cast.read(Comment, row).visible for row in rows] == [False] * len(rows)


def _many_against_one(cast: Cast, number: int) -> None:
    rows = [_held(cast, 2 * number), _held(cast, 2 * number + 1)]
    form = {"do": "approve", "item": [f"{row}:1" for row in rows]}
    many, one = at_once(
        lambda: cast.moderator.post("/moderation/batch", form, headers=JSON),
        lambda: _decide(cast.admin, rows[1], "reject"),
    )
    assert many.status_code == 200
    assert one.status_code in (303, 409)
    assert cast.read(Comment, rows[0]).visible
    assert cast.read(Comment, rows[1]).visible == (one.status_code == 409)
    assert len(many.json["skipped"]) == (1 if one.status_code == 303 else 0)


def _undone_while_decided(cast: Cast, number: int) -> None:
    row = _held(cast, number)
    assert _decide(cast.author, row, "approve").status_code == 303
    event = _last(cast, row)
    undone, hidden = at_once(
        lambda: cast.moderator.post(f"/moderation/undo/{event}"), lambda: _decide(cast.admin, row, "hide")
    )
    assert hidden.status_code == 303  # what waits again may be hidden as well
    assert undone.status_code in (303, 409)
    assert not cast.read(Comment, row).visible
    assert "admin" in words(undone) if undone.status_code == 409 else True


def _two_undo(cast: Cast, number: int) -> None:
    row = _held(cast, number)
    assert _decide(cast.author, row, "approve").status_code == 303
    event = _last(cast, row)
    later = {"with_later": "yes"} if number % 2 else {}
    answers = at_once(
        lambda: cast.moderator.post(f"/moderation/undo/{event}", later),
        lambda: cast.admin.post(f"/moderation/undo/{event}"),
    )
    _refuse_two_outcomes(answers)
    assert not cast.read(Comment, row).visible
    assert _acts(cast, row) == ["post", "approve", "undo"]


def _folded_while_kept(cast: Cast, number: int) -> None:
    row = _shown(cast, number)
    witnesses = [cast.person(f"witness {name}", accepted_comments=1) for name in range(3)]
    for witness in witnesses[:2]:
        assert _report(witness, row).status_code == 303
    kept, reported = at_once(lambda: _decide(cast.author, row, "approve"), lambda: _report(witnesses[2], row))
    assert (kept.status_code, reported.status_code) == (303, 303)
    comment = cast.read(Comment, row)
    assert comment.visible == (_acts(cast, row)[-1] != "fold")
    assert bool(comment.waits_since) == (comment.open_reports > 0 or not comment.visible)


def _withdrawn_while_hidden(cast: Cast, number: int) -> None:
    writer = cast.person(f"writer {number}")
    row = _shown(cast, number)
    withdrawn, hidden = at_once(
        lambda: writer.post(f"/comments/{row}/withdraw"), lambda: _decide(cast.author, row, "hide")
    )
    assert sorted([withdrawn.status_code, hidden.status_code]) in ([303, 403], [303, 409])
    was_first = Presence.WITHDRAWN if withdrawn.status_code == 303 else Presence.HIDDEN
    assert cast.read(Comment, row).presence == was_first


def _moved_while_answered(cast: Cast, number: int) -> None:
    row = _shown(cast, number)
    moved, answer = at_once(
        lambda: cast.author.post(
            f"/moderation/comments/{row}/move", {"to": f"/essays/{THERE}", "target": f"/essays/{THERE}"}
        ),
        lambda: cast.person("answerer").comment(OPEN, f"I answer {number}.", row),
    )
    assert moved.status_code == 303, moved.text
    with cast.app.app_context():
        there = db.session.scalars(select(Essay.id).where(Essay.slug == THERE)).one()
        below = db.session.scalars(select(Comment.essay_id).where(Comment.root_id == row)).all()
    assert list(below) == ([there] if answer.status_code == 303 else [])
    assert cast.read(Comment, row).essay_id == there


RACES: dict[str, Race] = {
    "two moderators approve": _two_decide("approve", "approve"),
    "one approves, one rejects": _two_decide("approve", "reject"),
    "two moderators hide": _two_hide,
    "edited while judged": _edited_while_judged,
    "answered while hidden": _answered_while_hidden,
    "banned while posting": _banned_while_posting,
    "many approved, one rejected": _many_against_one,
    "undone while decided": _undone_while_decided,
    "two undo": _two_undo,
    "folded while kept": _folded_while_kept,
    "withdrawn while hidden": _withdrawn_while_hidden,
    "moved while answered": _moved_while_answered,
}

BAN = {"reason": "Advertising.", "days": "", "hide_comments": "yes"}


def _held(cast: Cast, number: int) -> int:
    return comment_id(cast.person(f"writer {number}").comment(cast.slug, f"Words that wait, {number}."))


def _shown(cast: Cast, number: int) -> int:
    return comment_id(cast.person(f"writer {number}").comment(OPEN, f"Words that are seen, {number}."))


def _decide(who: Visitor, row: int, verb: str) -> TestResponse:
    form: dict[str, Any] = {"revision": 1, "reason": "unkind"}
    return who.post(f"/moderation/comments/{row}/{verb}", form)


def _report(who: Visitor, row: int) -> TestResponse:
    return who.post(f"/comments/{row}/report", {"reason": "unkind"})


def _refuse_two_outcomes(answers: Sequence[TestResponse]) -> None:
    assert sorted(answer.status_code for answer in answers) == [303, 409]


def _acts(cast: Cast, row: int) -> list[str]:
    with cast.app.app_context():
        mine = select(Event.act).where(Event.comment_id == row).order_by(Event.id)
        return list(db.session.scalars(mine))


def _last(cast: Cast, row: int) -> int:
    with cast.app.app_context():
        mine = select(Event.id).where(Event.comment_id == row).order_by(Event.id.desc()).limit(1)
        return db.session.scalars(mine).one()
