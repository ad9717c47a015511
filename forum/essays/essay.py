"""An essay: its words, its dates, its addresses and who may read it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ColumnElement, Index, String, or_, select, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum.accounts.user import Role, User
from forum.database import Base, Id, Line, Moment, Prose, db, one_of, reference
from forum.essays.revision import EssayWords
from forum.site.settings import Premoderation
from forum.subscriptions.subscription import State, has_subscription_state, subscription_state

READ_PAID = (State.PAID, State.COMPLIMENTARY, State.GRACE)


class Access(StrEnum):
    """Who may read the whole essay."""

    PUBLIC = "public"
    SUBSCRIBERS = "subscribers"
    PAID = "paid"


class CommentPolicy(StrEnum):
    """Who may comment."""

    OFF = "off"
    AUTHOR_ONLY = "author-only"
    PAID = "paid"
    SUBSCRIBERS = "subscribers"


@dataclass(frozen=True)
class Opening:
    """The part of an essay that everyone may read."""

    html: str


class Essay(Base):
    """One essay as it stands. Its text is that of the current revision, rendered once, at writing."""

    __tablename__ = "essay"
    # Lists of essays page and count by this one alone.
    __table_args__ = (
        Index(
            "ix_essay_listed",
            "published_at",
            "id",
            sqlite_where=text("withdrawn_at IS NULL"),
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(120), unique=True)
    author_id: Mapped[int] = reference("user.id")
    title: Mapped[Line]
    subtitle: Mapped[Line] = mapped_column(default="")
    closing: Mapped[Prose] = mapped_column(default="")
    source: Mapped[Prose]
    html: Mapped[Prose]
    preview_html: Mapped[Prose | None]
    excerpt: Mapped[Prose] = mapped_column(default="")
    toc: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    minutes: Mapped[int] = mapped_column(default=1)
    access: Mapped[Access] = one_of(Access, default=Access.PUBLIC)
    comments: Mapped[CommentPolicy] = one_of(CommentPolicy, default=CommentPolicy.SUBSCRIBERS)
    premoderation: Mapped[Premoderation | None] = one_of(
        Premoderation, nullable=True
    )  # None: as the site says

    created_at: Mapped[Moment]
    updated_at: Mapped[Moment]
    published_at: Mapped[Moment | None]
    withdrawn_at: Mapped[Moment | None]
    discussion_closed_at: Mapped[Moment | None]
    closing_note: Mapped[Prose] = mapped_column(default="")
    kept_open_at: Mapped[Moment | None]
    """When somebody opened it again that a rule had closed; no rule closes it any more."""

    version: Mapped[int] = mapped_column(default=1)
    """Counts every change of what readers see of the essay; also the number of its newest revision."""
    thread_version: Mapped[int] = mapped_column(default=1)
    """Counts every change of what readers see of the discussion, in the same transaction."""
    visible_comments: Mapped[int] = mapped_column(default=0)
    commented_at: Mapped[Moment | None] = mapped_column(index=True)

    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    tags: Mapped[list["EssayTag"]] = relationship(
        lazy="selectin", order_by="EssayTag.position", cascade="all, delete-orphan"
    )

    def is_published(self, now: datetime) -> bool:
        """Tell whether readers can find it; a scheduled essay appears by its date, no job can be late."""
        return self.published_at is not None and self.published_at <= now and self.withdrawn_at is None

    def is_withdrawn(self) -> bool:
        """Tell whether it was public once and was taken back."""
        return self.withdrawn_at is not None

    def may_edit(self, user: User | None) -> bool:
        """Tell whether a person may change the essay: its author, and admins."""
        return user is not None and user.may_write and (user.id == self.author_id or user.is_admin)

    def may_see(self, user: User | None, now: datetime) -> bool:
        """Tell whether the page exists for a person, if only as a preview."""
        return self.is_published(now) or self.may_edit(user)

    def may_read_whole(self, user: User | None, now: datetime) -> bool:
        """Tell whether a person may read past the preview: staff always, readers as their subscription says."""
        if not self.may_see(user, now):
            return False
        if self.access == Access.PUBLIC or self.may_edit(user):
            return True
        if user is not None and user.role in (Role.MODERATOR, Role.ADMIN):
            return True
        state = subscription_state(user, now)
        if self.access == Access.SUBSCRIBERS:
            return state not in (State.NONE, State.UNCONFIRMED)
        return state in READ_PAID

    def readers(self, now: datetime) -> ColumnElement[bool]:
        """Return the condition on users that matches `may_read_whole()` in SQL."""
        return self.readers_once_public(now) if self.is_published(now) else self._editors()

    def readers_once_public(self, now: datetime) -> ColumnElement[bool]:
        """Return the condition on users who may read all of it as soon as it is published."""
        if self.access == Access.PUBLIC:
            return true()
        staff = self._editors() | (User.role == Role.MODERATOR)
        if self.access == Access.SUBSCRIBERS:
            return staff | User.email_confirmed_at.is_not(None)
        return or_(staff, *(has_subscription_state(state, now) for state in READ_PAID))

    def _editors(self) -> ColumnElement[bool]:
        return (User.role == Role.ADMIN) | ((User.id == self.author_id) & (User.role == Role.AUTHOR))

    @property
    def path(self) -> str:
        """Return its address on this site."""
        return f"/essays/{self.slug}"

    @property
    def opening(self) -> "Opening":
        """Return what everyone may read: all of a public essay, else the part before its mark, else nothing."""
        return Opening(self.html if self.access == Access.PUBLIC else self.preview_html or "")

    @property
    def minutes_behind_mark(self) -> int:
        """Return about how many minutes the part behind the mark takes to read, at least one."""
        hidden = 1 - len(self.opening.html) / max(1, len(self.html))
        return max(1, round(self.minutes * hidden))

    @property
    def summary(self) -> str:
        """Return a line about the essay that everyone may read; lists need not load the text for it."""
        if self.subtitle:
            return self.subtitle
        # The excerpt comes from the part before the mark, if there is a mark.
        return self.excerpt if self.access == Access.PUBLIC or self.preview_html else ""

    @property
    def words(self) -> EssayWords:
        """Return what the essay says, as it was typed."""
        return EssayWords(self.title, self.subtitle, self.source)

    def as_article(self, site_url: str, comments: object) -> dict[str, Any]:
        """Return the essay as a schema.org Article, of whose text only the summary is told; `comments` counts them."""
        author = {"@type": "Person", "name": self.author.name, "url": f"{site_url}/authors/{self.author_id}"}
        article = {
            "@context": "https://schema.org",
            "@type": "Article",
            "headline": self.title,
            "url": f"{site_url}{self.path}",
            "mainEntityOfPage": f"{site_url}{self.path}",
            "author": author,
            "dateModified": self.updated_at.isoformat(),
            "isAccessibleForFree": self.access == Access.PUBLIC,
            "commentCount": comments,
        }
        if self.published_at is not None:
            article["datePublished"] = self.published_at.isoformat()
        if self.summary:
            article["description"] = self.summary
        if self.tags:
            article["keywords"] = [tag.label for tag in self.tags]
        return article

    @classmethod
    def published(cls, now: datetime) -> ColumnElement[bool]:
        """Return the condition that matches `is_published()` in SQL."""
        return cls.published_at.is_not(None) & (cls.published_at <= now) & cls.withdrawn_at.is_(None)


class EssayAddress(Base):
    """Every slug an essay ever had, so that an old link leads to today's page."""

    __tablename__ = "essay_address"

    slug: Mapped[str] = mapped_column(String(120), primary_key=True)
    essay_id: Mapped[int] = reference("essay.id")


class EssayTag(Base):
    """One tag of one essay, in the author's order."""

    __tablename__ = "essay_tag"

    essay_id: Mapped[int] = reference("essay.id", index=False, primary_key=True)
    slug: Mapped[str] = mapped_column(String(60), primary_key=True, index=True)
    label: Mapped[str] = mapped_column(String(60))
    position: Mapped[int] = mapped_column(default=0)


def find_essay(slug: str) -> Essay | None:
    """Return the essay that has, or once had, this slug."""
    essay = db.session.scalar(select(Essay).where(Essay.slug == slug))
    if essay is None:
        address = db.session.get(EssayAddress, slug)
        essay = db.session.get(Essay, address.essay_id) if address else None
    return essay
