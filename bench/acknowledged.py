"""What the site acknowledged to those who write while it is killed, and whether all of it is there, once."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import select, text

from bench.writer import Writer
from forum.database import db, is_sqlite
from forum.discussion.comment import Comment, CommentRevision
from tests.counting import wrong_counters

TOKENS = "kill-"
"""How the tokens of all forms begin that are written here."""

Acknowledged = Callable[[int], None]
"""Told the id of a comment as soon as the site has said that it is kept."""


class Clock:
    """When the clients stop: after the form in their hands, or at once when there is no hope for it."""

    def __init__(self, longest_seconds: float) -> None:
        self.stop = threading.Event()
        self.give_up = threading.Event()
        self.deadline = time.monotonic() + longest_seconds

    def is_over(self) -> bool:
        """Tell whether a form that is not acknowledged yet is not to be sent again."""
        return self.give_up.is_set() or time.monotonic() > self.deadline


@dataclass
class Told:
    """What the site said to one client: the id that it acknowledged for each form, and how often it was asked again."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    again: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """How what is there differs from what was acknowledged."""

    unannounced: int
    """Comments that are there though nobody was told: their answer was cut off, and nobody asked again."""
    lost: list[str]
    doubled: list[str]
    refused: list[str]
    wrong: list[str]
    """Counters that a recount does not bear out."""
    damage: str
    """What SQLite says about its file; PostgreSQL has no such question."""

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing was lost, doubled, refused or miscounted."""
        return not (self.lost or self.doubled or self.refused or self.wrong) and self.damage in ("", "ok")

    def words(self) -> str:
        """Return all of it in a line."""
        return (
            f"{len(self.refused)} refused, {self.unannounced} there without a word, {len(self.lost)} lost, "
            f"{len(self.doubled)} doubled, {len(self.wrong)} counters wrong"
            f"{f', integrity check {self.damage}' if self.damage else ''}"
        )

    def examples(self) -> list[str]:
        """Return a few lines about what is wrong."""
        return [*self.lost, *self.doubled, *self.refused, *self.wrong][:20]


def keep_writing(
    writer: Writer,
    essay: str,
    number: int,
    told: Told,
    clock: Clock,
    *,
    pause: float = 0.0,
    on_acknowledged: Acknowledged | None = None,
) -> None:
    """Post until told to stop, each form again and again until it is acknowledged; every third is a reply."""
    newest: int | None = None
    while not clock.stop.is_set():
        token = f"{TOKENS}{number}-{told.sent}"
        told.sent += 1
        parent_id = newest if told.sent % 3 == 0 else None
        while not clock.is_over():
            try:
                newest = writer.post(
                    essay, f"These are the words of {token}, and of no other.", token, parent_id
                )
            except (OSError, http.client.HTTPException):
                told.again += 1
                time.sleep(0.1)
                continue
            if newest is None:
                told.refused.append(token)
            else:
                told.acknowledged[token] = newest
                if on_acknowledged is not None:
                    on_acknowledged(newest)
            break
        time.sleep(pause)


def acknowledged_to(told: list[Told]) -> int:
    """Return how many comments were acknowledged to all clients together."""
    return sum(len(one.acknowledged) for one in told)


def compare(app: Flask, told: list[Told]) -> Findings:
    """Compare what was acknowledged with the rows."""
    acknowledged = {token: number for one in told for token, number in one.acknowledged.items()}
    with app.app_context():
        mine = Comment.form_token.startswith(TOKENS)
        rows = list(db.session.execute(select(Comment.id, Comment.form_token).where(mine)))
        texts = Counter(
            db.session.scalars(
                select(CommentRevision.source)
                .join(Comment, Comment.id == CommentRevision.comment_id)
                .where(mine)
            )
        )
        wrong = wrong_counters()
        damage = "" if not is_sqlite() else str(db.session.scalar(text("PRAGMA integrity_check")))
    there = {(row.form_token, row.id) for row in rows}
    doubled = [token for token, number in Counter(row.form_token for row in rows).items() if number > 1]
    return Findings(
        unannounced=len(rows) - len(acknowledged),
        lost=[token for token, number in acknowledged.items() if (token, number) not in there],
        doubled=[*doubled, *(words for words, number in texts.items() if number > 1)],
        refused=[token for one in told for token in one.refused],
        wrong=wrong,
        damage=damage,
    )
