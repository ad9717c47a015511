"""What becomes of an essay: written, published, scheduled, withdrawn, renamed, brought back to what it said."""

import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from html import unescape

from flask import current_app
from slugify import slugify
from sqlalchemy import select

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.address import checked_slug, free_slug, take_slug
from forum.essays.drafting import check_lengths, draft_words, has_unpublished_words, lock_essay, save_draft
from forum.essays.essay import Access, CommentPolicy, Essay, EssayTag
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayRevision, EssayWords
from forum.essays.sending import has_begun, show_again, stop_sending, take_wish_back
from forum.site.audit import record
from forum.site.settings import Premoderation
from forum.text.essay import EssayRejected, EssayText, render_essay
from forum.text.normal import normalise, one_line

MOST_TAGS = 10
MAX_TAG = 60
MAX_CLOSING = 1_000


def render_words(words: EssayWords) -> EssayText:
    """Return what readers will see of an essay. May take two seconds: do it outside of a writing transaction.

    Raises: EssayRefused, for the author.
    """
    check_lengths(words)
    if not words.title:
        raise EssayRefused("title", "The title is missing. Write one.")
    try:
        text = render_essay(words.source)
    except EssayRejected as error:
        raise EssayRefused("body", str(error)) from None
    _refuse_outside_pictures(text.html)
    return text


def create_essay(
    author: User,
    title: str,
    source: str,
    *,
    subtitle: str = "",
    slug: str | None = None,
    tags: Iterable[str] = (),
    access: Access = Access.PUBLIC,
    comments: CommentPolicy = CommentPolicy.SUBSCRIBERS,
    premoderation: Premoderation | None = None,
    closing: str = "",
    text: EssayText | None = None,
) -> Essay:
    """Add an essay that only its author sees as yet. Without `slug` its address is made from its title.

    `text` is the source rendered beforehand; an empty source is a draft that nothing is rendered of.
    Raises: EssayRefused, for the author.
    """
    words = EssayWords.typed(title, subtitle, source)
    check_lengths(words)
    if not words.title:
        raise EssayRefused("title", "The title is missing. Write one.")
    text = text or (render_words(words) if words.source else None)
    now = clock.now()
    essay = Essay(
        author_id=author.id,
        author=author,
        title=words.title,
        subtitle=words.subtitle,
        source=words.source,
        html="",
        preview_html=None,
        created_at=now,
        updated_at=now,
        access=access,
        comments=comments,
        premoderation=premoderation,
        closing=_checked_closing(closing),
        tags=[EssayTag(slug=slug, label=label, position=n) for n, (slug, label) in enumerate(_tags(tags))],
    )
    if text is not None:
        _show(essay, text)
    with db.session.no_autoflush:
        wanted = checked_slug(slug) if slug is not None else free_slug(words.title)
    take_slug(essay, wanted)
    db.session.add(_revision(essay, author, words, "", now))
    db.session.flush()
    return essay


def update_essay(
    essay: Essay,
    editor: User,
    words: EssayWords,
    text: EssayText | None = None,
    based_on_version: int | None = None,
    note: str = "",
) -> EssayRevision:
    """Make words what the essay says: a new revision, and the draft too. Readers see them if it is published.

    `text` is `render_words(words)`, made beforehand. Words that the essay says already change nothing.
    Raises: EssayRefused, for the author; Conflict, when a newer draft than `based_on_version` says otherwise.
    """
    text = text or render_words(words)
    save_draft(essay, editor, words, based_on_version)
    newest = _revision_of(essay, essay.version)
    if newest is not None and words == essay.words and essay.html:
        return newest
    now = clock.now()
    essay.title, essay.subtitle, essay.source = words.title, words.subtitle, words.source
    _show(essay, text)
    essay.version += 1
    essay.updated_at = now
    revision = _revision(essay, editor, words, note, now)
    db.session.add(revision)
    db.session.flush()
    _note(essay, editor, "update")
    return revision


def publish_essay(essay: Essay, at: datetime | None = None, by: User | None = None) -> None:
    """Let readers find the essay, now or from the moment `at` on. `by` is who does it, if not its author.

    Its draft is not looked at: `update_essay` comes first.
    Raises: EssayRefused, for the author, when there is nothing to read, or it has come out before `at` was set.
    """
    lock_essay(essay, by)
    if not essay.html:
        raise EssayRefused("body", "The essay is empty. Write something first.")
    if at is not None:
        _refuse_if_out(essay)
    now = clock.now()
    if essay.is_published(now):
        return
    essay.published_at = at or now
    essay.withdrawn_at = None
    _bump(essay)
    _note(essay, by, "publish")


def unschedule(essay: Essay, by: User | None = None) -> None:
    """Make a scheduled essay a draft again, which is not to be sent.

    Raises: EssayRefused, for the author, when it came out meanwhile.
    """
    lock_essay(essay, by)
    _refuse_if_out(essay)
    essay.published_at = None
    take_wish_back(essay)
    _note(essay, by, "unschedule")


def withdraw_essay(essay: Essay, by: User | None = None, reason: str = "") -> None:
    """Take a published essay away from readers; its address says so from now on, and no mail with it leaves."""
    lock_essay(essay, by)
    if not essay.is_published(clock.now()):
        return
    essay.withdrawn_at = clock.now()
    stop_sending(essay)
    _bump(essay)
    _note(essay, by, "withdraw", reason)


def republish(essay: Essay, by: User | None = None) -> None:
    """Bring a withdrawn essay back, with the date that it had and its discussion. It is not sent again."""
    lock_essay(essay, by)
    if essay.withdrawn_at is None:
        return
    essay.withdrawn_at = None
    show_again(essay)
    _bump(essay)
    _note(essay, by, "republish")


def rename_essay(essay: Essay, slug: str, by: User | None = None) -> None:
    """Move an essay to a new address; the old one goes on leading to it.

    Raises: EssayRefused, for the author, when the address is ill formed or another essay's.
    """
    if slug == essay.slug:
        return
    take_slug(essay, checked_slug(slug, essay))
    _bump(essay)
    _note(essay, by, "rename")


def change_settings(
    essay: Essay,
    *,
    slug: str,
    tags: Iterable[str],
    access: Access,
    comments: CommentPolicy,
    premoderation: Premoderation | None,
    closing: str,
    by: User | None = None,
) -> None:
    """Change what surrounds an essay's words, for its readers at once.

    Raises: EssayRefused, for the author.
    """
    wanted, closing = _tags(tags), _checked_closing(closing)
    lock_essay(essay, by)
    rename_essay(essay, slug, by)
    _set_tags(essay, wanted)
    essay.access, essay.comments, essay.premoderation = access, comments, premoderation
    essay.closing = closing
    _bump(essay)
    _note(essay, by, "settings")


def restore_revision(
    essay: Essay, number: int, editor: User, text: EssayText | None = None
) -> EssayRevision | None:
    """Make the essay say again what its revision `number` said, as a new revision; None: there is no such.

    An unpublished draft becomes a revision before that, so that its words stay among the versions.
    Raises: EssayRefused, for the author, when those words cannot be shown any more.
    """
    old = _revision_of(essay, number)
    if old is None:
        return None
    text = text or render_words(old.words)
    lock_essay(essay, editor)
    if has_unpublished_words(essay):
        essay.version += 1
        note = f"The draft from before version {number} was restored"
        db.session.add(_revision(essay, editor, draft_words(essay), note, clock.now()))
        db.session.flush()
    return update_essay(essay, editor, old.words, text, note=f"Version {number} restored")


def find_revision(essay: Essay, number: int) -> EssayRevision | None:
    """Return one revision of an essay by its number."""
    return _revision_of(essay, number)


def split_tags(typed: str) -> list[str]:
    """Return the tags of a typed line, which stand between commas."""
    return [tag for part in typed.split(",") if (tag := one_line(part))]


_MISSING_WORDS = re.compile(r"\bTK(?:TK)*\b")


def unfinished_lines(source: str) -> list[int]:
    """Return the numbers of the lines that carry TK, the writers' mark for "still to come"."""
    return [n for n, line in enumerate(source.split("\n"), start=1) if _MISSING_WORDS.search(line)]


_PICTURE = re.compile(r"<img\b[^>]*>")
_ADDRESS = re.compile(r'\bsrc="([^"]*)"')


def _refuse_outside_pictures(html: str) -> None:
    """Refuse pictures that browsers would not load: the site's pages show only its own."""
    own = (f"{current_app.config['SITE_URL']}/", "/")
    for picture in _PICTURE.findall(html):
        found = _ADDRESS.search(picture)
        address = unescape(found[1]) if found else ""
        if not address:
            raise EssayRefused("body", "A picture has no address on this site. Upload it under Pictures.")
        if not address.startswith(own):
            raise EssayRefused(
                "body", f"The picture {address} is on another site. Upload it under Pictures instead."
            )


def _refuse_if_out(essay: Essay) -> None:
    """Refuse to move an essay away from readers who have it, on the site or by mail."""
    is_begun = has_begun(essay)  # before the clock is read: the worker may have read it already
    if is_begun or (essay.published_at is not None and essay.published_at <= clock.now()):
        raise EssayRefused("time", "The essay has come out meanwhile. You can withdraw it.")


def _show(essay: Essay, text: EssayText) -> None:
    essay.html, essay.preview_html = text.html, text.preview_html
    essay.excerpt, essay.minutes = text.excerpt, text.minutes
    essay.toc = [asdict(entry) for entry in text.toc]


def _revision(essay: Essay, editor: User, words: EssayWords, note: str, now: datetime) -> EssayRevision:
    return EssayRevision(
        essay_id=essay.id,
        number=essay.version,
        editor_id=editor.id,
        editor=editor,
        title=words.title,
        subtitle=words.subtitle,
        source=words.source,
        note=note,
        created_at=now,
    )


def _revision_of(essay: Essay, number: int) -> EssayRevision | None:
    mine = (EssayRevision.essay_id == essay.id) & (EssayRevision.number == number)
    return db.session.scalar(select(EssayRevision).where(mine))


def _tags(typed: Iterable[str]) -> list[tuple[str, str]]:
    """Return (slug, label) of each tag, in order, each slug once."""
    tags: dict[str, str] = {}
    for label in (one_line(tag) for tag in typed):
        if len(label) > MAX_TAG:
            raise EssayRefused("tags", f"A tag can have at most {MAX_TAG} characters: {label[:MAX_TAG]}…")
        slug = slugify(label)[:MAX_TAG].strip("-")
        if not slug:
            raise EssayRefused("tags", f"A tag needs letters or digits: “{label}”.")
        tags.setdefault(slug, label)
    if len(tags) > MOST_TAGS:
        raise EssayRefused("tags", f"An essay can have at most {MOST_TAGS} tags.")
    return list(tags.items())


def _set_tags(essay: Essay, wanted: list[tuple[str, str]]) -> None:
    """Keep the rows of tags that stay: a row cannot be deleted and made again in one flush."""
    present = {tag.slug: tag for tag in essay.tags}
    essay.tags = [present.get(slug) or EssayTag(slug=slug) for slug, _ in wanted]
    for position, (tag, (_, label)) in enumerate(zip(essay.tags, wanted, strict=True)):
        tag.label, tag.position = label, position


def _checked_closing(closing: str) -> str:
    closing = normalise(closing)
    if len(closing) > MAX_CLOSING:
        raise EssayRefused("closing", f"The closing line can have at most {MAX_CLOSING:,} characters.")
    return closing


def _bump(essay: Essay) -> None:
    """Count a change of the page that is none of the words, so that no kept copy of it is shown."""
    essay.thread_version = Essay.thread_version + 1


def _note(essay: Essay, by: User | None, act: str, reason: str = "") -> None:
    """Record what somebody else than the author did to the essay."""
    if by is not None and by.id != essay.author_id:
        record(by.id, f"essay.{act}", f"essay:{essay.id}", reason, title=essay.title)
