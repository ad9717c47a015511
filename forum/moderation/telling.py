"""What people are told of decisions about their comments and their standing: what, why, and what they can do."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Select, select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import value_before
from forum.discussion.comment import Cause, Comment, CommentRevision
from forum.discussion.event import Event
from forum.discussion.reasons import said
from forum.discussion.refusals import DAY
from forum.discussion.rights import DECISIONS
from forum.discussion.telling import UNDO_WINDOW
from forum.notifications.notice import Notice, bring_back, is_known, notify, retract
from forum.site.settings import site_settings
from forum.subscriptions.letters import Letter

News = tuple[str, str]
"""What happened, as a heading, and what there is to say about it."""


def tell_writer(event: Event, comment: Comment, newest: CommentRevision) -> None:
    """Tell a writer what was decided about their comment; what is undone or restored at once was never said.

    Of an undo they hear only when they know already what it takes back.
    """
    db.session.flush()
    if event.undoes_id is not None and not _is_told_apart(event):
        _follow_undo(event, comment.author_id, lambda first: _restored(first, comment))
        return
    say = _SAY.get(event.act)
    news = say(event, comment) if say and event.actor_id != comment.author_id else None
    if news is not None:
        heading, words = news
        _tell(
            comment.author_id,
            f"event:{event.id}",
            title=comment.essay.title,
            heading=heading,
            url=comment.address,
            words=words,
            quote=newest.source,
        )


def tell_person(event: Event, user: User, heading: str, words: str, url: str = "/account") -> None:
    """Tell a person what was decided about them; what ends so soon that nobody was told of it is not news."""
    if (ended := _ended_at_once(event)) is not None:
        retract([f"event:{ended.id}"])
        return
    _tell(user.id, f"event:{event.id}", title="Your account", heading=heading, url=url, words=words)


def keep_person_told(event: Event, user: User) -> None:
    """Let what a person was told of an act on them follow whether it is in force, after an undo."""
    first = _taken_back(event)[-1]
    ended = _ended_at_once(first)
    if ended is None:
        _follow_undo(event, user.id, lambda act: (_OVER[act.act], what_they_may(user)))
        return
    standing, gone = (ended, first) if first.is_undone else (first, ended)
    retract([f"event:{gone.id}"])
    bring_back(f"event:{standing.id}", clock.now() + UNDO_WINDOW)


def what_they_may(user: User) -> str:
    """Return that a person can write again, if they can."""
    return "You can comment again." if user.is_in_standing(clock.now()) else ""


def _ended_at_once(event: Event) -> Event | None:
    """Return the act on the same person that this one ended before anybody was told of it."""
    begun = _ENDS.get(event.act)
    mine = (Event.person_id == event.person_id) & (Event.act == begun) & Event.is_undone.is_(False)
    last = db.session.scalar(
        select(Event).where(mine, Event.id < event.id).order_by(Event.id.desc()).limit(1)
    )
    return last if last is not None and event.at - last.at < UNDO_WINDOW else None


def _follow_undo(event: Event, user_id: int, over: Callable[[Event], News]) -> None:
    """Let what a person was told of the act that an event takes back go; if that was an undo, it comes back.

    Who knows of it already is told instead that it is over, as `over` says, or that it is so again. What was
    restored long after it was said stays said: the restoring has a notice of its own.
    """
    chain = _taken_back(event)
    first, subjects = chain[-1], [f"event:{one.id}" for one in chain]
    is_known_already = first.act in (*DECISIONS, *_OVER) and is_known(user_id, subjects)
    retract(subjects)
    if is_known_already:
        said_first = (Notice.user_id == user_id) & (Notice.subject == subjects[-1])
        notice = db.session.scalars(select(Notice).where(said_first)).one()
        heading, words = over(first) if first.is_undone else (notice.heading, notice.words)
        _tell(
            user_id,
            f"event:{event.id}",
            title=notice.title,
            heading=heading,
            url="/account" if first.is_undone and first.person_id else notice.url,
            words=words,
            quote=notice.quote,
        )
        return
    for one, subject in zip(chain, subjects, strict=True):
        if not one.is_undone and bring_back(subject, event.at + UNDO_WINDOW):
            return


def _taken_back(event: Event) -> list[Event]:
    """Return what an event takes back: an act, or an undo, then what that had taken back, and so on."""
    found: list[Event] = []
    while event.undoes_id is not None and not _is_told_apart(event):
        event = db.session.get_one(Event, event.undoes_id)
        found.append(event)
    return found


def _is_told_apart(event: Event) -> bool:
    """Tell whether an act takes back something that its writer has heard of, by a decision of its own."""
    if event.undoes_id is None or event.act == "undo":
        return False
    return event.at - db.session.get_one(Event, event.undoes_id).at >= UNDO_WINDOW


def _tell(
    user_id: int, subject: str, *, title: str, heading: str, url: str, words: str, quote: str = ""
) -> None:
    notify(
        Letter.DECISIONS,
        _confirmed(user_id),
        subject,
        title=title,
        heading=heading,
        url=url,
        words=words,
        quote=quote,
        not_before=clock.now() + UNDO_WINDOW,
    )


def _confirmed(user_id: int) -> Select[int]:
    return select(User.id).where(User.id == user_id, User.email_confirmed_at.is_not(None))


def _approved(event: Event, comment: Comment) -> News | None:
    """Only who waited to see their words appear is told, not who never knew that they were gone, or replaced."""
    shown = value_before(event.changes, "shown_number", comment.shown_number)
    causes = value_before(event.changes, "causes", sorted(comment.newest.causes))
    waited = shown is None and Cause.REPORTS.value not in causes
    return ("Your comment is posted", "") if waited else None


def _overturned(_event: Event, _comment: Comment) -> News:
    return "Your comment is posted", "You asked for another look. The decision against it was taken back."


def _rejected(event: Event, comment: Comment) -> News:
    if comment.visible:
        words = _paragraphs("Readers go on seeing the old one.", _why(event), _appeal(event))
        return "Your new text was not accepted", words
    return "Your comment was not accepted", _paragraphs(_why(event), _appeal(event))


def _upheld(event: Event, _comment: Comment) -> News:
    words = "You asked for another look. The moderators looked again, and it stays as it is."
    return "The decision about your comment stands", _paragraphs(words, _why(event))


def _removed(event: Event, _comment: Comment) -> News:
    return "Your comment was removed", _paragraphs(_why(event), _appeal(event))


def _removed_as_spam(event: Event, comment: Comment) -> News:
    return (_removed if event.to_state == "hidden" else _rejected)(event, comment)


def _restored(_event: Event, comment: Comment) -> News:
    words = "Readers see it again." if comment.visible else "It waits for the moderators again."
    return "The decision against your comment was taken back", words


def _moved(_event: Event, comment: Comment) -> News:
    is_elsewhere = comment.moved_from_essay_id != comment.essay_id
    where = (
        f"It stands below “{comment.essay.title}” now" if is_elsewhere else "It stands in another place now"
    )
    return "Your comment was moved", f"{where}, with its answers. Its address is the same."


def _redacted(event: Event, _comment: Comment) -> News:
    return "Words of your comment were taken out", _paragraphs(
        "Readers see a mark in their place.", _why(event)
    )


def _merged(_event: Event, _comment: Comment) -> News:
    words = "Another comment says the same. The answers and the thanks to yours are with that one now."
    return "Your comment was merged with another", words


_SAY: dict[str, Callable[[Event, Comment], News | None]] = {
    "approve": _approved,
    "overturn": _overturned,
    "reject": _rejected,
    "uphold": _upheld,
    "hide": _removed,
    "spam": _removed_as_spam,
    "restore": _restored,
    "move": _moved,
    "redact": _redacted,
    "merge": _merged,
}


_OVER = {
    "ban": "Your ban was lifted",
    "suspend": "Your suspension was lifted",
    "warn": "The warning to you was taken back",
}
"""What a person hears when an act on them that they know of is undone."""

_ENDS = {"unban": "ban", "unsuspend": "suspend"}
"""The acts on a person that end another."""


def _paragraphs(*sentences: str) -> str:
    return "\n\n".join(sentence for sentence in sentences if sentence)


def _why(event: Event) -> str:
    why = said(event.reason, event.note)
    return f"Reason: {why}" if why else ""


def _appeal(event: Event) -> str:
    """Return how to ask for another look and until when, for the decisions that leave it open."""
    days = site_settings().appeal_days
    if event.act not in DECISIONS or not days:
        return ""
    until = (event.at + timedelta(days=days)).strftime(DAY)
    return f"Do you think that this is wrong? Until {until} you can ask for another look, on its page."
