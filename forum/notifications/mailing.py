"""The mails that notices become: one answer, several in a thread, a decision, a digest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from flask import current_app
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import joinedload, undefer

from forum.accounts.user import User
from forum.database import db
from forum.notifications.notice import Notice
from forum.outbox.message import Message, message_id_of, send
from forum.outbox.one_click import unsubscribe_url
from forum.subscriptions.letters import NAMES, Letter
from forum.text.excerpt import first_line
from forum.text.markdown import Rejected, render_comment
from forum.text.plain import as_text, for_mail

MOST_IN_A_MAIL = 20
"""Comments shown of one thread, or in one part of a digest; the rest is counted, and a link away."""
LONGEST_QUOTE = 180
LONGEST_OF_SEVERAL = 600

HEADINGS = {
    Letter.ESSAYS: "New essays",
    Letter.REPLIES: "Answers to you",
    Letter.FOLLOWED: "What you follow",
}
"""What stands above the parts of a digest."""


@dataclass(frozen=True)
class Told:
    """One notice as a mail shows it: its words as plain text and as HTML, whole or only the first of them."""

    name: str
    heading: str
    title: str
    url: str
    words: str
    html: Markup
    quote: str


@dataclass(frozen=True)
class Part:
    """What a mail tells of one thread, or of essays. `more` is how many comments it only counts."""

    title: str
    told: Sequence[Told]
    more: int
    url: str


def write_answers(user: User, notices: Sequence[Notice]) -> Message:
    """Write the mail about one thread: the whole answer if it is one, else the first words of each.

    Its Message-ID names the newest comment and the person, and a mail that answers it carries that name in its
    In-Reply-To: whoever takes answers by mail finds there which comment is answered, and by whom.
    """
    notices = _loaded(notices)
    whole = len(notices) == 1
    letters = {notice.letter for notice in notices}
    letter = Letter.REPLIES if Letter.REPLIES in letters else Letter.FOLLOWED
    thread = notices[0].thread.partition(":")[2]
    root = message_id_of(f"thread-{thread}.{user.id}")
    return send(
        "reply",
        user.email,
        user_id=user.id,
        letter=letter,
        message_id=_message_id(notices[-1], user),
        headers={"In-Reply-To": root, "References": root},
        part=_part(notices, whole=whole),
        count=len(notices),
        is_answer=letters == {Letter.REPLIES},
        thread_url=f"/comments/{thread}",
        what=NAMES[letter],
    )


def write_decision(user: User, notice: Notice) -> Message:
    """Write the mail about one decision, with the whole text that was judged."""
    [notice] = _loaded([notice])
    return send(
        "decision",
        user.email,
        user_id=user.id,
        letter=notice.letter,
        message_id=_message_id(notice, user),
        told=replace(_told(notice, whole=True), quote=notice.quote),
        what=NAMES[Letter.DECISIONS],
    )


def write_digest(user: User, notices: Sequence[Notice], batch: str | None) -> Message:
    """Write one mail about all of this: essays, then answers to the person, then what they follow, by thread.

    A person gets one of each batch at most. It names every letter that is in it, each with its own way to stop
    it; the one-click header stands for the first.
    """
    by_letter = {letter: [one for one in notices if one.letter == letter] for letter in Letter}
    letters = [letter for letter in Letter if by_letter[letter]]
    parts = {letter: _parts(by_letter[letter]) for letter in letters}
    message = send(
        "digest",
        user.email,
        user_id=user.id,
        letter=letters[0],
        summary=_summary(by_letter),
        parts=parts,
        headings=HEADINGS,
        stops=[(NAMES[letter], unsubscribe_url(user.id, letter)) for letter in letters],
    )
    message.batch = batch
    return message


def _parts(notices: Sequence[Notice]) -> list[Part]:
    """Return what a digest tells of one letter, grouped by thread in the order in which the threads first spoke."""
    shown = _loaded(notices[:MOST_IN_A_MAIL])
    first = {notice.thread: notice.id for notice in reversed(shown)}
    ordered = sorted(shown, key=lambda one: (first[one.thread] if one.thread else one.id, one.id))
    groups = [list(group) for _, group in groupby(ordered, key=lambda one: one.thread or one.subject)]
    parts = [_part(group, whole=False) for group in groups]
    if left := len(notices) - len(shown):
        parts.append(Part("", [], left, ""))
    return parts


def _part(notices: Sequence[Notice], *, whole: bool) -> Part:
    shown = notices[:MOST_IN_A_MAIL]
    told = [_told(notice, whole=whole) for notice in shown]
    return Part(told[0].title, told, len(notices) - len(shown), told[0].url)


def _told(notice: Notice, *, whole: bool) -> Told:
    words, html = _whole(notice.words, current_app.config["SITE_URL"]) if whole else _first(notice.words)
    return Told(
        name=notice.by.name if notice.by else "",
        heading=notice.heading,
        title=notice.title,
        url=notice.url,
        words=words,
        html=html,
        quote=first_line(notice.quote, LONGEST_QUOTE),
    )


@lru_cache(maxsize=32)  # the same comment goes to all who follow
def _whole(source: str, site_url: str) -> tuple[str, Markup]:
    """Return a comment as plain text and as HTML; words from before a stricter rule are shown as they were typed."""
    try:
        html = render_comment(source).html
    except Rejected:
        return source, Markup('<p style="white-space: pre-wrap">{}</p>').format(source)
    return as_text(html, site_url), Markup(for_mail(html, site_url))  # noqa: S704


def _first(source: str) -> tuple[str, Markup]:
    words = first_line(source, LONGEST_OF_SEVERAL)
    return words, Markup("<p>{}</p>").format(words)


def _loaded(notices: Sequence[Notice]) -> list[Notice]:
    """Return notices with their words and whom they are by, in the order of time. One query."""
    ids = [notice.id for notice in notices]
    texts = (undefer(Notice.words), undefer(Notice.quote), joinedload(Notice.by))
    wanted = select(Notice).where(Notice.id.in_(ids)).order_by(Notice.id).options(*texts)
    with db.session.no_autoflush:  # the mails of a piece are stored together, in a third of the time
        return list(db.session.scalars(wanted))


def _message_id(notice: Notice, user: User) -> str:
    return message_id_of(f"{notice.subject.replace(':', '-')}.{user.id}")


def _summary(by_letter: dict[Letter, list[Notice]]) -> str:
    """Return what a digest holds, in a few words: "2 essays, 5 answers to you"."""
    nouns = {
        Letter.ESSAYS: ("essay", "essays"),
        Letter.REPLIES: ("answer to you", "answers to you"),
        Letter.FOLLOWED: ("comment that you follow", "comments that you follow"),
    }
    counts = [(len(by_letter[letter]), nouns[letter]) for letter in nouns if by_letter[letter]]
    return ", ".join(f"{count} {one if count == 1 else many}" for count, (one, many) in counts)
