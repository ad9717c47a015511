"""How any act is taken back exactly: what it changed gets the value from before it, whatever else happened since."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import InstrumentedAttribute, lazyload

from forum import clock
from forum.accounts.user import Role, User, lock_users
from forum.database import db
from forum.discussion.change import Key, Watch, matters, put_back, rows_of, stands
from forum.discussion.comment import Comment
from forum.discussion.event import Event, take_out_of_force
from forum.discussion.report import Appeal
from forum.discussion.rights import is_staff
from forum.essays.essay import Essay
from forum.moderation.cards import light_essay
from forum.moderation.decisions import NotPossible, begin, deed, doer
from forum.moderation.shaping import Shape, finish_essay, state_of
from forum.moderation.standing import undo_on_person, why_not_undo_on_person

UNDOABLE = frozenset(
    {"approve", "keep", "overturn", "reject", "uphold", "hide", "remove", "spam", "restore", "undo"}
)
UNDOABLE |= {"pin", "unpin", "feature", "unfeature", "close", "reopen", "close-thread", "reopen-thread"}
UNDOABLE |= {"move", "redact", "merge", "ban", "unban", "warn", "hold", "release", "suspend", "unsuspend"}
"""The acts of people who moderate; what a writer did is the writer's."""

ACROSS = ("pin", "unpin", "move", "merge")
"""The acts on one comment that may change others too."""

AT_ONCE = 50
"""Up to so many comments are decided, or taken back, while the browser waits; more are the worker's."""

NOT_YOURS = "Only who moderates there may undo this."
OF_OTHERS = "Others decided about your comment, and others may undo it."
NOT_YOUR_MANY = "Only who did this, or an admin, may undo it."


def undo(actor: User, event: Event, *, with_later: bool = False) -> Event:
    """Take back one act, with all its parts; those that somebody changed since stay as they are.

    `with_later` takes back what other moderators decided since as well, the last first; what a writer or a reader
    did since stands in the way. The caller holds the locks of `lock_for_undo`, has checked the right to it, and
    rolls back when this raises.
    Raises: NotPossible, with who did what since.
    """
    if with_later and not event.is_undone:
        for one in [event, *db.session.scalars(_parts_of(event))]:
            _undo_later(actor, one)
    if sentence := why_not_alone(event) or why_not_undo(event, later_events([event]), actor):
        raise NotPossible(sentence)
    made = take_back(actor, event)
    if not event.parts:
        return made
    for part in parts_to_undo(event):
        undone = take_back(actor, part)
        undone.part_of_id = made.id
        made.parts += 1
    if not made.parts and not event.changes:
        raise NotPossible("None of this can be undone any more: all of it was changed or taken back since.")
    return made


def take_back(actor: User, event: Event) -> Event:
    """Put back what one event changed, without its parts, and write the event of that.

    Raises: NotPossible, when a field does not hold any more what the event left in it.
    """
    if not stands(event.changes):
        raise NotPossible("This cannot be undone any more: it was changed since. Decide about it anew.")
    if event.comment is not None:
        made = _take_back_on_comment(actor, event, event.comment)
    elif event.person_id is not None:
        made = undo_on_person(actor, event)
    elif event.essay_id is not None and event.changes:
        essay = db.session.get_one(Essay, event.essay_id)
        watch, from_state = Watch(essay), state_of(essay)
        put_back(event.changes)
        made = finish_essay("undo", actor, essay, watch, from_state, undoes=event)
    else:
        made = _head(actor, event)
    db.session.flush()
    return made


def why_may_not_undo(actor: User, event: Event) -> str | None:
    """Return why a person may not take back an act at all: who may do it may undo it."""
    return refused_undos(actor, [event]).get(event.id)


def refused_undos(actor: User, events: Sequence[Event]) -> dict[int, str]:
    """Return why a person may not take back some acts, by event; those that they may are left out.

    An act on many is undone by who did it or an admin, who also has the right for every part. Five
    queries at most, however many events, and those for undone acts on people that are not at hand.
    """
    now, essays = clock.now(), _essays_of(events)
    concerned = select(Essay).where(Essay.id.in_(set().union(*essays.values())))
    light = concerned.options(*light_essay(), lazyload(Essay.author))
    not_theirs = {one.id for one in db.session.scalars(light) if not is_staff(actor, one, now)}
    refused = {one.id: _refusal(actor, one, not_theirs & essays[one.id]) for one in events}
    return {row_id: sentence for row_id, sentence in refused.items() if sentence} | _by_others(actor, events)


def lock_for_undo(actor: User, event: Event) -> None:
    """Take the locks of everybody and everything that the undo of an event may touch, and read it all afresh.

    People (who undoes, whom it is about, who wrote the comments) before essays before comments, each in id order.
    """
    concerned = [event, *later_events([event])]
    if 0 < event.parts <= AT_ONCE:
        parts = list(db.session.scalars(_parts_of(event, in_force=False)))
        concerned += [*parts, *later_events(parts)]
    comment_ids = _ids("comment", concerned) | {one.comment_id for one in concerned if one.comment_id}
    writers = User.id.in_(select(Comment.author_id).where(Comment.id.in_(comment_ids)))
    people = {actor.id} | {one.person_id for one in concerned if one.person_id is not None}
    # Acts on people hold the rows of every admin as well, so that the last one cannot go unseen.
    admins = (User.role == Role.ADMIN) if event.person_id is not None else User.id == actor.id
    lock_users(User.id.in_(people) | writers | admins)
    _lock(Essay.id, set().union(*_essays_of(concerned).values()), key_share=True)
    _lock(Comment.id, comment_ids)
    db.session.expire_all()


def parts_to_undo(event: Event) -> list[Event]:
    """Return the parts of an act that can be taken back now, the last first. Two queries."""
    parts = list(db.session.scalars(_parts_of(event)))
    later = later_events(parts)
    return [part for part in parts if why_not_undo(part, later) is None]


def later_events(events: Sequence[Event]) -> list[Event]:
    """Return what happened to the same comments, discussions and people since the first of these. One query."""
    if not events:
        return []
    ids = {event.id for event in events}
    comment_ids = {event.comment_id for event in events if event.comment_id is not None}
    comment_ids |= _ids("comment", events)
    essay_ids = {essay_id for event in events for essay_id in _places(event)}
    person_ids = {event.person_id for event in events if event.person_id is not None}
    across = select(Event.id).where(Event.act.in_((*ACROSS, "undo")), Event.essay_id.in_(essay_ids))
    same = [
        Event.comment_id.in_(comment_ids),
        Event.essay_id.in_(essay_ids) & or_(Event.act.in_(ACROSS), Event.undoes_id.in_(across)),
        Event.person_id.in_(person_ids),
        Event.comment_id.is_(None)
        & Event.essay_id.in_({event.essay_id for event in events if event.comment_id is None} - {None}),
        Event.undoes_id.in_(ids),
    ]
    since = Event.id > min(ids)
    return list(db.session.scalars(select(Event).where(or_(*same), since).order_by(Event.id)))


def what_followed(event: Event, later: Iterable[Event]) -> list[Event]:
    """Return what was done since about the same matter and stands: it has to be taken back first, the last first."""
    mine = _about(event)
    return _without_pairs(
        one
        for one in later
        if one.id > event.id
        and not one.is_undone
        # What takes back something later leaves the state as this event left it.
        and not (one.undoes_id is not None and one.undoes_id > event.id)
        and mine & _about(one)
    )


def why_not_undo(event: Event, later: Sequence[Event], viewer: User | None = None) -> str | None:
    """Return why an event cannot be undone, None if it can; `later` holds what `later_events` says.

    With a viewer the sentence is for them alone: what they did themselves “You” did.
    """
    if event.act not in UNDOABLE:
        return "This cannot be undone. Decide about it as it stands now."
    if event.is_undone:
        by = next((one for one in later if one.undoes_id == event.id and not one.is_undone), None)
        return f"{doer(by, viewer)} undid this already." if by else "This was taken back already."
    if event.comment_id is not None and not event.changes:  # of such an old one nothing is remembered
        return "Nobody remembers what was before this. Decide about it as it stands now."
    if followed := what_followed(event, later):
        return f"This cannot be undone any more: {deed(followed[-1], viewer)} since. Decide about it anew."
    return None


def why_not_alone(event: Event) -> str | None:
    """Return why a part cannot be taken back without the act that it belongs to."""
    if event.part_of_id is not None and _is_of_ban(event):
        return "It belongs to its writer’s ban: undo that as a whole."
    return None


def may_take_back_later(event: Event, later: Sequence[Event]) -> bool:
    """Tell whether only other decisions stand in the way of an undo, which can be taken back with it."""
    if event.act not in UNDOABLE or event.is_undone:
        return False
    followed = what_followed(event, later)
    return bool(followed) and all(one.act in UNDOABLE and not _is_of_ban(one) for one in followed)


def _undo_later(actor: User, event: Event) -> None:
    """Take back what was decided since about the same matter, the last first, with what followed that."""
    while followed := what_followed(event, later_events([event])):
        for one in followed:
            if one.act not in UNDOABLE:
                raise NotPossible(
                    f"This cannot be undone any more: {deed(one, actor)} since. Decide about it anew."
                )
            if sentence := why_not_alone(one) or why_may_not_undo(actor, one):
                raise NotPossible(f"{deed(one, actor)} since. {sentence}")
            if one.parts > AT_ONCE:
                raise NotPossible(f"{deed(one, actor)} since, with {one.parts} comments. Undo that first.")
        undo(actor, followed[-1], with_later=True)


def _take_back_on_comment(actor: User, event: Event, comment: Comment) -> Event:
    act = begin(actor, comment)
    rows = rows_of(event.changes)
    act.watch.add(*rows)
    if _opens_appeal(event) and _has_another_appeal(comment, rows):
        raise NotPossible(f"{comment.author.name} asked for another look since. Answer that first.")
    shape = Shape(rows)
    put_back(event.changes)
    _follow_parents(rows)
    shape.settle(act)
    return act.finish("undo", undoes=event)


def _follow_parents(rows: Iterable[object]) -> None:
    """Let comments that hang below another one again be in its discussion, where that was moved since."""
    for row in rows:
        if isinstance(row, Comment) and row.parent_id is not None:
            row.essay_id = db.session.get_one(Comment, row.parent_id).essay_id


def _head(actor: User, event: Event) -> Event:
    """Write the event that the undone parts of an act on many belong to."""
    made = Event(
        at=clock.now(),
        actor_id=actor.id,
        act="undo",
        essay_id=event.essay_id,
        undoes_id=event.id,
        parts=0,
        changes=[],
    )
    db.session.add(made)
    take_out_of_force(event)
    return made


def _is_of_ban(event: Event) -> bool:
    return event.comment_id is not None and any(field == "ban_id" for _, _, field, _, _ in event.changes)


def _parts_of(event: Event, *, in_force: bool = True) -> Select[Event]:
    parts = select(Event).where(Event.part_of_id == event.id).order_by(Event.id.desc())
    return parts.where(Event.is_undone.is_(False)) if in_force else parts


def _about(event: Event) -> set[Key]:
    """Return the matters of an event, told apart by comment; which thread is pinned is one of its discussion."""
    found = {
        (kind, event.comment_id or 0, field) if field == "standing" else (kind, row_id, field)
        for kind, row_id, field in matters(event.changes)
    }
    if any(field == "pinned_at" for _, _, field, _, _ in event.changes):
        found |= {("essay", essay_id, "pinned") for essay_id in _places(event)}
    return found


def _places(event: Event) -> set[int]:
    """Return the discussions that an event is in, and those from where and to where it moved a comment. No query."""
    moved = {one for _, _, field, *ends in event.changes if field == "essay_id" for one in ends}
    return {essay_id for essay_id in moved | {event.essay_id} if essay_id is not None}


def _without_pairs(events: Iterable[Event]) -> list[Event]:
    """Leave out what brought an older act back and what took it away again next: together they changed nothing."""
    left: list[Event] = []
    for one in events:
        if left and one.undoes_id is not None and left[-1].undoes_id is not None:
            (first, turns), (same, more) = _root(left[-1]), _root(one)
            if first == same and (turns + more) % 2:
                left.pop()
                continue
        left.append(one)
    return left


def _root(event: Event) -> tuple[int, int]:
    """Return the id of the act that an undo is about in the end, and over how many undos."""
    turns = 0
    while event.undoes_id is not None:
        event, turns = db.session.get_one(Event, event.undoes_id), turns + 1
    return event.id, turns


def _ids(kind: str, events: Iterable[Event]) -> set[int]:
    """Return the ids of the rows of one kind that some events changed."""
    return {row_id for event in events for name, row_id, *_ in event.changes if name == kind}


def _essays_of(events: Sequence[Event]) -> dict[int, set[int]]:
    """Return the essays that each event is about, also those where a comment was moved from or to. Two queries."""
    comments = {event.id: _comments_of(event) for event in events}
    ids = set().union(*comments.values())
    stand = select(Comment.id, Comment.essay_id).where(Comment.id.in_(ids))
    essay_of = {row.id: row.essay_id for row in db.session.execute(stand)}
    found = {event.id: _places(event) | _ids("essay", [event]) for event in events}
    for event_id, comment_ids in comments.items():
        found[event_id] |= {essay_of[one] for one in comment_ids if one in essay_of}
    if heads := [event.id for event in events if event.parts]:
        parts = select(Event.part_of_id, Event.essay_id).where(Event.part_of_id.in_(heads)).distinct()
        for head, essay_id in db.session.execute(parts):
            if head is not None and essay_id is not None:
                found[head].add(essay_id)
    return found


def _comments_of(event: Event) -> set[int]:
    """Return the comment that an event is about, and those below which it hung something. No query."""
    above = {one for _, _, field, *ends in event.changes if field == "parent_id" for one in ends}
    return {one for one in above | {event.comment_id} if one is not None}


def _refusal(actor: User, event: Event, elsewhere: set[int]) -> str | None:
    """Return why a person may not take back one act; `elsewhere` are its essays whose discussion is not theirs."""
    of_others = event.parts and not (actor.is_admin or actor.id == event.actor_id)
    if event.comment_id is None and event.person_id is not None:
        sentence = why_not_undo_on_person(actor, event, db.session.get_one(User, event.person_id))
        return sentence or (NOT_YOUR_MANY if of_others else None)
    return NOT_YOUR_MANY if of_others else NOT_YOURS if elsewhere else None


def _by_others(actor: User, events: Sequence[Event]) -> dict[int, str]:
    """Return what others decided about a moderator's own words: who does not decide that, does not undo it."""
    if actor.role != Role.MODERATOR:
        return {}
    judged = [one for one in events if one.comment_id is not None and one.actor_id != actor.id]
    own = select(Comment.id).where(Comment.id.in_([one.comment_id for one in judged]))
    not_theirs = own.join(Comment.essay).where(Comment.author_id == actor.id, Essay.author_id != actor.id)
    ids = set(db.session.scalars(not_theirs))
    return {one.id: OF_OTHERS for one in judged if one.comment_id in ids}


def _lock(column: InstrumentedAttribute[int], ids: Collection[int], *, key_share: bool = False) -> None:
    rows = select(column).where(column.in_(ids)).order_by(column).with_for_update(key_share=key_share)
    db.session.scalars(rows).all()


def _opens_appeal(event: Event) -> bool:
    return any(
        (kind, field, old) == ("appeal", "decided_at", None) for kind, _, field, old, _ in event.changes
    )


def _has_another_appeal(comment: Comment, rows: Iterable[object]) -> bool:
    mine = [row.id for row in rows if isinstance(row, Appeal)]
    other = select(Appeal.id).where(Appeal.comment_id == comment.id, Appeal.decided_at.is_(None))
    return db.session.scalar(other.where(Appeal.id.not_in(mine)).limit(1)) is not None
