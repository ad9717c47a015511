"""The demo: a few essays, what readers said about them, and a desk with something on it; made by the real verbs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import update

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.demo.accounts import add_people, read_people
from forum.discussion.comment import Comment
from forum.discussion.posting import (
    appeal_decision,
    edit_comment,
    post_comment,
    toggle_reaction,
    withdraw_comment,
)
from forum.discussion.reporting import report_comment
from forum.discussion.rules import KINDS, Rule, change_rules
from forum.essays.essay import Essay
from forum.essays.importing import import_essays
from forum.essays.publishing import publish_essay
from forum.moderation.decisions import approve, hide, reject
from forum.moderation.moving import Target, move
from forum.moderation.people import ban, hold, suspend, warn
from forum.moderation.redaction import redact, without, wordings_of
from forum.moderation.shaping import close_thread, feature, pin
from forum.notifications.follow import toggle_follow
from forum.notifications.notice import Notice
from forum.site import audit
from forum.text.markdown import render_comment

ESSAYS = Path(__file__).parent / "essays"
DISCUSSIONS = Path(__file__).parent / "discussions.yaml"

FIRST = "the-difference-column"
"""The essay with the long discussion, at the top of the home page."""
PUBLISHED_DAYS_AGO = {FIRST: 6, "mended-with": 33, "reading-over-a-shoulder": 75}
SCHEDULED = "the-loan-of-a-ladder"
DRAFT = "on-asking-the-way"

WAIT = timedelta(minutes=30)
"""How long a first comment waits until somebody has read it."""

WORDS = ("ropewalk", "first month is free", "readers’ code")
"""What the admin has held, once somebody is looking for a person of the first essay."""


@dataclass
class Stage:
    """What is there so far: people by key, essays by slug, and what is still to happen."""

    now: datetime
    people: dict[str, User]
    essays: dict[str, Essay] = field(default_factory=dict)
    steps: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def at(self, moment: datetime, deed: Callable[[], object]) -> None:
        """Note something that happens at a moment; of two at the same moment, the one noted first."""
        self.steps.append((moment, next(self.numbers), deed))

    def play(self) -> None:
        """Let everything happen, in the order of time."""
        for moment, _, deed in sorted(self.steps, key=lambda step: step[:2]):
            with clock.at(moment):
                deed()


def tell_story() -> None:
    """Fill an empty database with the demo. The caller commits; nobody else writes meanwhile."""
    now = clock.now()
    stage = Stage(now, add_people(read_people(), now))
    _write_essays(stage)
    discussions = yaml.safe_load(DISCUSSIONS.read_text(encoding="utf-8"))
    for slug, threads in discussions.items():
        for thread in threads:
            _plan(stage, stage.essays[slug], thread, parent=None)
    _plan_standing(stage)
    stage.play()
    # What they heard of then was mailed then, and read but for the latest; the worker must not begin with weeks of it.
    db.session.execute(update(Notice).values(mail_at=None, mailed_at=Notice.created_at))
    old = Notice.created_at < stage.now - timedelta(days=2)
    db.session.execute(update(Notice).where(old).values(read_at=Notice.created_at))


def _write_essays(stage: Stage) -> None:
    for slug, days in PUBLISHED_DAYS_AGO.items():
        published_at = stage.now - timedelta(days=days)
        essay = _write_essay(stage, slug, published_at - timedelta(days=3))
        with clock.at(published_at):
            publish_essay(essay)
    scheduled = _write_essay(stage, SCHEDULED, stage.now - timedelta(days=2))
    publish_essay(scheduled, next_month(stage.now))
    _write_essay(stage, DRAFT, stage.now - timedelta(days=1))


def _write_essay(stage: Stage, slug: str, written_at: datetime) -> Essay:
    with clock.at(written_at):
        [imported] = import_essays([ESSAYS / f"{slug}.md"], stage.people["ruth"], publish=False)
    stage.essays[slug] = imported.essay
    return imported.essay


def next_month(now: datetime) -> datetime:
    """Return nine o'clock on the fifth of the month after `now`, in its zone."""
    first = (now.replace(day=1) + timedelta(days=32)).replace(day=5)
    return first.replace(hour=9, minute=0, second=0, microsecond=0)


@dataclass
class Said:
    """One comment of the file: who, where, when, and the row once it is posted."""

    by: User
    essay: Essay
    moment: datetime
    parent: "Said | None"
    comment: Comment | None = None

    @property
    def posted(self) -> Comment:
        """Return the row. Raises: LookupError, when the file lets something happen before it."""
        if self.comment is None:
            raise LookupError(f"{self.by.name}, {self.moment}: not posted yet")
        return self.comment


def _plan(stage: Stage, essay: Essay, row: dict[str, Any], parent: Said | None) -> None:
    """Note one comment of the file, what happens to it, and the replies below it."""
    moment = _hour(essay, row["hour"])
    said = Said(stage.people[row["by"]], essay, moment, parent)
    reads = "tomasz" if essay.slug == FIRST else "ruth"
    stage.at(moment, partial(_post, stage, said, row["words"]))
    if not row.get("waits"):
        stage.at(moment + WAIT, partial(_approve_if_held, stage.people[reads], said))
    if row.get("thanks"):
        stage.at(moment + 2 * WAIT, partial(_thank, stage, said, row["thanks"]))
    for act in row.get("acts", ()):
        stage.at(_hour(essay, act["hour"]), partial(_act, stage, said, act))
    for reply in row.get("replies", ()):
        _plan(stage, essay, reply, said)


def _hour(essay: Essay, hour: float) -> datetime:
    if essay.published_at is None:
        raise LookupError(f"{essay.slug} is not published")
    return essay.published_at + timedelta(hours=hour)


def _post(stage: Stage, said: Said, words: str) -> None:
    parent = said.parent.posted if said.parent else None
    token = f"demo-{next(stage.numbers)}"
    seen = parent.newest_number if parent else None
    said.comment = post_comment(said.by, said.essay, render_comment(words), token, parent, seen=seen)


def _approve_if_held(moderator: User, said: Said) -> None:
    if said.posted.needs_verdict:
        approve(moderator, said.posted, said.posted.newest_number)


def _thank(stage: Stage, said: Said, thanks: int) -> None:
    """Let as many people thank a comment, those first who have been here longest."""
    here = (user for user in stage.people.values() if user.created_at < said.moment and user is not said.by)
    for user in islice(here, thanks):
        toggle_reaction(user, said.posted)


def _act(stage: Stage, said: Said, row: dict[str, Any]) -> None:
    comment, revision = said.posted, said.posted.newest_number
    actor = stage.people[row["by"]] if "by" in row else said.by
    match row["act"]:
        case "pin":
            pin(actor, comment)
        case "feature":
            feature(actor, comment)
        case "hide":
            hide(actor, comment, revision, row["reason"], row["note"])
        case "reject":
            reject(actor, comment, revision, row["reason"], row["note"])
        case "keep":
            approve(actor, comment, revision)
        case "redact":
            seen = wordings_of(comment)
            redact(actor, comment, seen, without(seen, row["words"]), row["reason"], row["note"])
        case "close":
            close_thread(actor, comment, row["note"])
        case "move":
            move(actor, comment, Target(stage.essays[row["to"]], None))
        case "report":
            report_comment(actor, comment, row["reason"], row.get("note", ""))
        case "edit":
            edit_comment(actor, said.essay, comment, render_comment(row["words"]))
        case "withdraw":
            withdraw_comment(actor, comment)
        case "appeal":
            appeal_decision(actor, comment, row["words"])
        case act:
            raise LookupError(f"the demo's people cannot {act}")


def _plan_standing(stage: Stage) -> None:
    """Let one reader be warned, one held and then suspended, one banned for a while, and one follow a discussion."""
    people, essay = stage.people, stage.essays[FIRST]
    admin, gordon, marek = people["priya"], people["gordon"], people["marek"]
    stage.at(_hour(essay, 60), partial(toggle_follow, people["edda"], essay.id))
    warning = (
        "Please stop looking for the house, and for her. She is a private person and I gave her my word. "
        "Whatever else you have to say is welcome here."
    )
    stage.at(_hour(essay, 61.6), partial(warn, people["ruth"], people["perrin"], warning))
    stage.at(
        _hour(essay, 63),
        partial(_hold_words, admin, "A reader looks for Aubrey’s daughter. And the advertisements."),
    )
    until, reason = stage.now + timedelta(days=60), "The same advertisement under two essays."
    stage.at(_hour(essay, 138), partial(ban, admin, marek, reason, hide_comments=True, until=until))
    stage.at(_hour(essay, 140), partial(hold, admin, gordon, "Three readers reported him in a week."))
    until, reason = stage.now + timedelta(days=5), "Some days to cool down. You may write to me meanwhile."
    stage.at(_hour(essay, 143), partial(suspend, admin, gordon, until, reason))


def _hold_words(admin: User, reason: str) -> None:
    kind = KINDS["words"]
    values = {**kind.defaults, "words": list(WORDS)}
    change_rules([Rule(kind, True, values)])
    old, new = f"Off: {kind.sentence}.", f"On: {kind.sentence}. words: {', '.join(WORDS)}."
    audit.record(admin.id, "rule", "rule:words", reason, old=old, new=new)
