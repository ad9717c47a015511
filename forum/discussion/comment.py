"""A comment: its place in the thread, its revisions with their verdicts, its presence."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Index, String, UniqueConstraint, and_, inspect, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from forum.accounts.user import User
from forum.database import Base, Id, Moment, Prose, Token, Words, one_of, reference
from forum.essays.essay import Essay

MAX_DEPTH = 17
"""Depths count from 0, so 18 levels are stored; a reply to the last level is attached beside it."""

UNSEEN = "(shown_number IS NULL OR newest_number <> shown_number OR presence = 'hidden')"
"""What may have words that only its writer sees, in SQL."""

Path = String(200).with_variant(String(200, collation="C"), "postgresql")  # ranges need plain byte order


class Presence(StrEnum):
    """Whether the comment is there at all, and who took it away."""

    LIVE = "live"
    WITHDRAWN = "withdrawn"
    HIDDEN = "hidden"
    ERASED = "erased"


class Verdict(StrEnum):
    """What was decided about one revision."""

    HELD = "held"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Cause(StrEnum):
    """Why a revision is held."""

    PREMODERATION = "premoderation"
    NEW_WRITER = "new-writer"
    PERSON = "person"  # the writer's standing is held
    REPORTS = "reports"
    EDIT = "edit"
    APPEAL = "appeal"
    LEARNED = "learned"  # it looks like what the moderators remove
    RULE_WORDS = "rule:words"
    RULE_LINKS = "rule:links"
    RULE_EDIT_LINKS = "rule:edit-links"
    RULE_REPEAT = "rule:repeat"
    RULE_FAST = "rule:fast"
    RULE_YOUNG = "rule:young"
    RULE_HOURS = "rule:hours"


class Comment(Base):
    """One comment. Readers see its newest accepted revision while it is live."""

    __tablename__ = "comment"
    __table_args__ = (
        UniqueConstraint("author_id", "form_token"),
        # The desk counts and pages by this index alone, however many comments there are.
        Index(
            "ix_comment_waiting",
            "essay_id",
            "waits_since",
            "waits_for",
            "id",
            sqlite_where=text("waits_since IS NOT NULL"),
            postgresql_where=text("waits_since IS NOT NULL"),
        ),
        Index("ix_comment_essay_id_spoken_at", "essay_id", "spoken_at"),
        # Pages of threads are ranges of this one, and the replies of a page of that one.
        Index("ix_comment_threads", "essay_id", "thread_number"),
        Index("ix_comment_places", "root_id", "place"),
        Index(
            "ix_comment_most_thanked",
            "essay_id",
            "likes",
            "id",
            sqlite_where=text("root_id IS NULL"),
            postgresql_where=text("root_id IS NULL"),
        ),
        Index(
            "ix_comment_picked",
            "essay_id",
            "id",
            sqlite_where=text("featured_at IS NOT NULL"),
            postgresql_where=text("featured_at IS NOT NULL"),
        ),
        Index(
            "ix_comment_pinned",
            "essay_id",
            "id",
            sqlite_where=text("pinned_at IS NOT NULL"),
            postgresql_where=text("pinned_at IS NOT NULL"),
        ),
        # What of somebody's own only they see: the query says the same words.
        Index(
            "ix_comment_unseen",
            "author_id",
            "essay_id",
            sqlite_where=text(UNSEEN),
            postgresql_where=text(UNSEEN),
        ),
        # What somebody wrote last, read from its end.
        Index("ix_comment_author_id_id", "author_id", "id"),
    )

    id: Mapped[Id]
    essay_id: Mapped[int] = reference("essay.id", index=False)
    author_id: Mapped[int] = reference("user.id", index=False)
    parent_id: Mapped[int | None] = reference("comment.id")
    answers_id: Mapped[int | None] = reference("comment.id", index=False)
    """The comment that was answered; differs from the parent only at the depth cap."""
    root_id: Mapped[int | None] = reference("comment.id", index=False)
    depth: Mapped[int] = mapped_column(default=0)
    path: Mapped[str] = mapped_column(Path, default="", index=True)
    """The ids from the root down, so that a subtree is one range of the index; see `path_of`."""
    thread_number: Mapped[int | None]
    """Of the first comment of a thread: the how-manieth of its discussion it is, so that a page is a range of numbers.

    Gaps, where threads are gone, make pages shorter until `close_gaps` counts anew.
    """
    place: Mapped[int] = mapped_column(default=0, server_default="0")
    """Of a reply: the how-manieth of its thread it is, in the order of posting; what it answers has a smaller one."""
    form_token: Mapped[Token]
    subscription: Mapped[str] = mapped_column(String(20), default="free")  # at the time of posting
    accepted_before: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many comments of its writer readers saw as it was posted: what the rules knew then."""
    created_at: Mapped[Moment]
    spoken_at: Mapped[Moment | None]
    """When readers first saw it; what comes back later is nothing new."""

    presence: Mapped[Presence] = one_of(Presence, default=Presence.LIVE)
    newest_number: Mapped[int] = mapped_column(default=1)
    shown_number: Mapped[int | None]
    """The newest accepted revision, None while there is none."""
    ban_id: Mapped[int | None] = reference("ban.id")
    """The ban that hid it, so that lifting restores exactly those."""
    pinned_at: Mapped[Moment | None]
    featured_at: Mapped[Moment | None]
    edited_at: Mapped[Moment | None]
    closed_at: Mapped[Moment | None]
    """When its thread was closed to answers, on the first comment of a thread only."""
    closing_note: Mapped[Prose] = mapped_column(default="", server_default="")
    merged_into_id: Mapped[int | None] = reference("comment.id")
    """The comment that says the same, which has its answers and thanks now."""
    moved_from_essay_id: Mapped[int | None] = reference("essay.id")
    moved_from_id: Mapped[int | None] = reference("comment.id")
    """Where it stood before it was moved: below this comment, or with None below the essay itself."""
    moved_at: Mapped[Moment | None]

    open_reports: Mapped[int] = mapped_column(default=0, server_default="0")
    waits_since: Mapped[Moment | None]
    """Since when a moderator is to look at it; None while there is nothing to decide."""
    waits_for: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset, server_default="")
    """Why: the causes for which its newest wording is held, and reports that nobody has answered."""

    likes: Mapped[int] = mapped_column(default=0)
    replies: Mapped[int] = mapped_column(default=0)
    """Direct replies ever posted, whatever became of them: a comment that was answered is edited late."""
    visible: Mapped[bool] = mapped_column(default=False)
    visible_below: Mapped[int] = mapped_column(default=0)
    """How many comments below it are visible: with one, a comment that is gone leaves a placeholder."""

    author: Mapped[User] = relationship(lazy="joined", innerjoin=True, foreign_keys=[author_id])
    essay: Mapped[Essay] = relationship(lazy="select", foreign_keys=[essay_id])
    root: Mapped["Comment | None"] = relationship(
        foreign_keys=[root_id], remote_side="Comment.id", viewonly=True, lazy="raise"
    )
    """Of a reply the first comment of its thread; only where it was read with it."""
    newest: Mapped["CommentRevision"] = relationship(
        primaryjoin="and_(Comment.id == foreign(CommentRevision.comment_id),"
        " Comment.newest_number == CommentRevision.number)",
        viewonly=True,
        uselist=False,
        lazy="select",
    )
    shown: Mapped["CommentRevision | None"] = relationship(
        primaryjoin="and_(Comment.id == foreign(CommentRevision.comment_id),"
        " Comment.shown_number == CommentRevision.number)",
        viewonly=True,
        uselist=False,
        lazy="select",
    )

    @property
    def should_be_visible(self) -> bool:
        """Tell whether readers may see its words: live, with an accepted revision, not folded by reports."""
        return self.presence == Presence.LIVE and self.shown_number is not None

    @property
    def is_waiting(self) -> bool:
        """Tell whether it is live and its newest wording waits for a verdict."""
        return self.presence == Presence.LIVE and self.newest.verdict == Verdict.HELD

    @property
    def is_refused(self) -> bool:
        """Tell whether it was removed, or its newest wording rejected."""
        return self.presence == Presence.HIDDEN or self.newest.verdict == Verdict.REJECTED

    @property
    def needs_verdict(self) -> bool:
        """Tell whether a moderator is to decide about its newest wording: held, and live or under appeal."""
        if self.newest.verdict != Verdict.HELD or self.ban_id is not None or self.merged_into_id is not None:
            return False
        is_appealed = self.presence == Presence.HIDDEN and Cause.APPEAL in self.newest.causes
        return self.presence == Presence.LIVE or is_appealed

    @property
    def desk_causes(self) -> frozenset[str]:
        """Return why a moderator is to look at it: held words, an open appeal, reports about what readers see."""
        causes: frozenset[str] = frozenset()
        if self.needs_verdict:
            causes = self.newest.causes or frozenset({Cause.PREMODERATION.value})
        if self.open_reports and self.should_be_visible:
            causes |= {Cause.REPORTS.value}
        return causes

    @property
    def address(self) -> str:
        """Return the address of its own page."""
        return f"/comments/{self.id}"

    @property
    def root_comment_id(self) -> int:
        """Return the id of the first comment of its thread."""
        return self.root_id or self.id

    def ancestor_ids(self) -> list[int]:
        """Return the ids above it, the root first."""
        return [int(step, 16) for step in self.path.split("/")[:-1]]

    @classmethod
    def below(cls, path: str) -> ColumnElement[bool]:
        """Return the condition for everything under a comment, as a range of the path index."""
        return and_(cls.path > f"{path}/", cls.path < f"{path}0")  # "0" follows "/" in ASCII


class CommentRevision(Base):
    """One wording of a comment with the verdict on it. The words never change; `number` counts from 1."""

    __tablename__ = "comment_revision"
    __table_args__ = (UniqueConstraint("comment_id", "number"),)

    id: Mapped[Id]
    comment_id: Mapped[int] = reference("comment.id", index=False)
    number: Mapped[int] = mapped_column(default=1)
    source: Mapped[Prose]
    html: Mapped[Prose]
    renderer: Mapped[str] = mapped_column(String(80))
    verdict: Mapped[Verdict] = one_of(Verdict, index=True)
    causes: Mapped[frozenset[str]] = mapped_column(Words, default=frozenset)
    reason: Mapped[str] = mapped_column(String(20), default="")
    note: Mapped[Prose] = mapped_column(default="")
    created_at: Mapped[Moment] = mapped_column(index=True)


def path_of(comment_id: int, above: str = "") -> str:
    """Return the path of a comment, in which `above` is that of its parent.

    Hexadecimal, eight digits each: paths sort depth first, and beside each other as the comments were written.
    """
    return f"{above}/{comment_id:08x}" if above else f"{comment_id:08x}"


def first_of_thread(comment: Comment) -> Comment | None:
    """Return the first comment of a comment's thread where it was read already; None where it has to be read."""
    if comment.root_id is None:
        return comment
    return None if "root" in inspect(comment).unloaded else comment.root


def state_word(comment: Comment, newest: CommentRevision) -> str:
    """Return the one word for where a comment stands, as the events record it."""
    return str(comment.presence if comment.presence != Presence.LIVE else newest.verdict)


def is_in_edit_window(comment: Comment, now: datetime, window_seconds: float) -> bool:
    """Tell whether the writer may still repair the comment unseen: soon after posting, while nobody replied."""
    return comment.replies == 0 and (now - comment.created_at).total_seconds() < window_seconds
