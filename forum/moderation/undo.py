"""How any act is taken back exactly: what it changed gets the value from before it, whatever else happened since."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from forum.accounts.user import User
from forum.database import db
from forum.discussion.change import Watch, matters, put_back, rows_of, stands
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.moderation.decisions import DEEDS, NotPossible, actor_name, begin
from forum.moderation.shaping import finish_essay, state_of
from forum.moderation.standing import undo_on_person

UNDOABLE = frozenset({"approve", "keep", "overturn", "reject", "uphold", "hide", "spam", "restore", "undo"})
UNDOABLE |= {"pin", "unpin", "feature", "unfeature", "close", "reopen", "close-thread", "reopen-thread"}
UNDOABLE |= {"move", "redact", "merge", "ban", "unban", "warn", "hold", "release", "suspend", "unsuspend"}
"""The acts of people who moderate; what a writer did is the writer's."""


def undo(actor: User, event: Event) -> Event:
    """Take back one act, with all its parts; those that somebody changed since stay as they are.

    The caller holds the locks of everybody and everything concerned, and has checked the right to it.
    Raises: NotPossible, with who did what since.
    """
    if sentence := why_not_undo(event, later_events([event])):
        raise NotPossible(sentence)
    made = take_back(actor, event)
    for part in parts_to_undo(event):
        undone = take_back(actor, part)
        db.session.flush()
        undone.part_of_id = made.id
        made.parts += 1
    return made


def take_back(actor: User, event: Event) -> Event:
    """Put back what one event changed, without its parts, and write the event of that.

    Raises: NotPossible, when a field does not hold any more what the event left in it.
    """
    if not stands(event.changes):
        raise NotPossible("This cannot be undone any more: it was changed since. Decide about it anew.")
    if event.comment is not None:
        act = begin(actor, event.comment)
        act.watch.add(*rows_of(event.changes))
        put_back(event.changes)
        return act.finish("undo", undoes=event)
    if event.essay_id is not None:
        essay = db.session.get_one(Essay, event.essay_id)
        watch, from_state = Watch(essay), state_of(essay)
        put_back(event.changes)
        return finish_essay("undo", actor, essay, watch, from_state, undoes=event)
    return undo_on_person(actor, event)


def parts_to_undo(event: Event) -> list[Event]:
    """Return the parts of an act that can be taken back now, the last first. Two queries."""
    parts = list(
        db.session.scalars(select(Event).where(Event.part_of_id == event.id).order_by(Event.id.desc()))
    )
    later = later_events(parts)
    return [part for part in parts if why_not_undo(part, later) is None]


def later_events(events: Sequence[Event]) -> list[Event]:
    """Return what happened to the same comments, discussions and people since the first of these. One query."""
    if not events:
        return []
    comment_ids = {event.comment_id for event in events if event.comment_id is not None}
    person_ids = {event.person_id for event in events if event.person_id is not None}
    essay_ids = {event.essay_id for event in events if event.comment_id is None} - {None}
    ids = {event.id for event in events}
    same = or_(
        Event.comment_id.in_(comment_ids),
        Event.person_id.in_(person_ids),
        Event.comment_id.is_(None) & Event.essay_id.in_(essay_ids),
        Event.undoes_id.in_(ids),
    )
    since = Event.id > min(ids)
    return list(db.session.scalars(select(Event).where(same, since).order_by(Event.id)))


def why_not_undo(event: Event, later: Sequence[Event]) -> str | None:
    """Return why an event cannot be undone, None if it can; `later` holds what `later_events` says."""
    if event.act not in UNDOABLE:
        return "This cannot be undone. Decide about it as it stands now."
    place = (event.comment_id, event.essay_id, event.person_id)
    same = [one for one in later if (one.comment_id, one.essay_id, one.person_id) == place]
    since = [one for one in same if one.id > event.id]
    for one in since:
        if one.undoes_id == event.id and not one.is_undone:
            return f"{actor_name(one)} undid this already."
        if one.undoes_id == event.id:
            return "This was taken back and done again. Undo that instead."
    mine = matters(event.changes)
    for one in reversed(since):
        # What takes back something later leaves the state as this event left it.
        is_later_undo = one.undoes_id is not None and one.undoes_id > event.id
        if not one.is_undone and not is_later_undo and mine & matters(one.changes):
            deed = DEEDS.get(one.act, "changed it")
            return f"This cannot be undone any more: {actor_name(one)} {deed} since. Decide about it anew."
    return None
