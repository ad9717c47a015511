"""What the moderators did, for every reader: day, act and reason, without names, words or the hour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, render_template
from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import aliased

from forum import clock
from forum.database import Page, db
from forum.discussion.event import Event
from forum.discussion.reasons import words_of
from forum.essays.essay import Access, Essay
from forum.site.settings import site_settings
from forum.web import page_number

PER_PAGE = 50

ON_COMMENTS = {
    "approve": ("A comment was posted", "{:,} comments were posted"),
    "keep": ("A reported comment was kept", "{:,} reported comments were kept"),
    "overturn": ("A comment was posted after an appeal", "{:,} comments were posted after appeals"),
    "reject": ("A comment was not accepted", "{:,} comments were not accepted"),
    "uphold": ("A decision was upheld after an appeal", "{:,} decisions were upheld after appeals"),
    "hide": ("A comment was removed", "{:,} comments were removed"),
    "remove": ("A comment was removed", "{:,} comments were removed"),
    "spam": ("A comment was removed as spam", "{:,} comments were removed as spam"),
    "restore": ("A removed comment was restored", "{:,} removed comments were restored"),
    "pin": ("A thread was pinned", "{:,} threads were pinned"),
    "unpin": ("A thread was unpinned", "{:,} threads were unpinned"),
    "feature": ("A comment became the author’s pick", "{:,} comments became the author’s picks"),
    "unfeature": ("An author’s pick was taken away", "{:,} author’s picks were taken away"),
    "close-thread": ("A thread was closed", "{:,} threads were closed"),
    "reopen-thread": ("A thread was reopened", "{:,} threads were reopened"),
    "move": ("A comment was moved", "{:,} comments were moved"),
    "redact": ("Words were taken out of a comment", "Words were taken out of {:,} comments"),
    "merge": ("A comment was merged with another", "{:,} comments were merged with others"),
    "close": ("A discussion was closed", "{:,} discussions were closed"),
    "reopen": ("A discussion was reopened", "{:,} discussions were reopened"),
}
ON_PEOPLE = {
    "ban": ("A reader was banned", "{:,} readers were banned"),
    "unban": ("A ban was lifted", "{:,} bans were lifted"),
    "suspend": ("A reader was suspended for a time", "{:,} readers were suspended for a time"),
    "unsuspend": ("A suspension was lifted", "{:,} suspensions were lifted"),
}
WITH_COMMENTS = {"ban": "{} hidden with it", "unban": "{} restored with it"}
SAID = ON_COMMENTS | ON_PEOPLE
"""The acts that are published, each in words for one and for many. The rest is between a reader and the moderators."""

blueprint = Blueprint("public_log", __name__)


@dataclass
class Line:
    """Some like decisions of one day. `taken_back` of their comments are as before again."""

    act: str
    reason: str
    essay: tuple[str, str] | None
    is_undone: bool
    count: int = 0
    comments: int = 0
    taken_back: int = 0

    @property
    def words(self) -> str:
        """Return what was done to how many."""
        one, many = SAID[self.act]
        return one if self.count == 1 else many.format(self.count)

    @property
    def also(self) -> str:
        """Return what an act on people did to comments."""
        if not self.comments or self.act not in WITH_COMMENTS:
            return ""
        return WITH_COMMENTS[self.act].format(
            "1 comment" if self.comments == 1 else f"{self.comments:,} comments"
        )

    def is_like(self, other: "Line") -> bool:
        """Tell whether two lines say the same but for their numbers; what was taken back in part stands alone."""
        mine = (self.act, self.reason, self.essay, self.is_undone)
        whole = not self.taken_back and not other.taken_back
        return whole and mine == (other.act, other.reason, other.essay, other.is_undone)


@dataclass(frozen=True)
class Day:
    """What was done on one day, the latest first."""

    at: datetime
    lines: list[Line]


@blueprint.get("/moderation-log")
def public_log() -> str:
    """Show everybody what was decided until yesterday; today would tell the hour to who looks every hour."""
    if not site_settings().public_log:
        abort(404)
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    page = _published_acts(today, page_number())
    if page.number > page.count:
        abort(404)
    return render_template("pages/public-log.html", page=page, days=_days(page.rows))


def _published_acts(before: datetime, number: int) -> Page[Any]:
    """Return one page of acts, the newest first, each with how many of its parts were taken back; two queries."""
    part = aliased(Event)
    undone = select(func.count(part.id)).where(part.part_of_id == Event.id, part.is_undone).scalar_subquery()
    is_public = and_(Essay.published(clock.now()), Essay.access == Access.PUBLIC)
    columns = (Event.at, Event.act, Event.reason, Event.parts, Event.is_undone)
    acts = (
        select(
            *columns,
            case((Event.parts > 0, undone), else_=0).label("undone_parts"),
            case((is_public, Essay.title)).label("title"),
            case((is_public, Essay.slug)).label("slug"),
        )
        .outerjoin(Essay, Essay.id == Event.essay_id)
        .where(Event.part_of_id.is_(None), Event.act.in_(SAID), Event.at < before)
    )
    total = db.session.scalar(select(func.count()).select_from(acts.subquery())) or 0
    rows = acts.order_by(Event.id.desc()).limit(PER_PAGE).offset((number - 1) * PER_PAGE)
    return Page(db.session.execute(rows).all(), number, PER_PAGE, total)


def _days(rows: Sequence[Any]) -> list[Day]:
    days: list[Day] = []
    for row in rows:
        if not days or days[-1].at.date() != row.at.date():
            days.append(Day(row.at, []))
        _add(days[-1].lines, row)
    return days


def _add(lines: list[Line], row: Any) -> None:
    """Add an act to the line of its day that says the same, so that their order tells nothing about the hour."""
    essay = (row.title, f"/essays/{row.slug}") if row.title else None
    taken_back = 0 if row.is_undone else row.undone_parts
    new = Line(row.act, words_of(row.reason), essay, row.is_undone, taken_back=taken_back)
    line = _like(lines, new)
    if line is new:
        lines.append(new)
    on_person = row.act in ON_PEOPLE
    line.count += 1 if on_person else max(1, row.parts)
    line.comments += row.parts if on_person else 0


def _like(lines: Iterable[Line], new: Line) -> Line:
    return next((line for line in lines if line.is_like(new)), new)
