"""What a page of an essay is for everyone, or for all readers alike: rendered once, compressed once, and kept.

It is rendered where nobody asks: with no session, no person and no request but one that is made here, so that nothing
of the one who happened to come first can be in what the next one gets. What differs between readers is in the key
(`Audience`), and what is one reader's own is filled into slots for each answer.
"""

import json
import pickle
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from flask import Flask, abort, current_app, g, has_request_context, render_template
from markupsafe import Markup
from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm.attributes import set_committed_value
from werkzeug.test import create_environ

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.closing import closing_of, next_closing
from forum.discussion.comment import Comment
from forum.discussion.forms import CommentForm
from forum.discussion.refusals import supporters_only, why_no_stranger
from forum.discussion.rights import Act, is_for_supporters, rights
from forum.discussion.thread import NUMBER, Node, Order, Thread, ThreadPage, Twig, thread_page
from forum.essays.essay import Essay
from forum.exchange import Exchange
from forum.finding import Unmade, may_make_here
from forum.moderation.cards import light_essay
from forum.moderation.queue import may_use_desk, waiting_count
from forum.pagecache import PageCache
from forum.pages.compressor import Compressor
from forum.pages.gate import Gate, gate_before
from forum.pages.own import MARKER, OwnParts, thread_html, trace_parts, waiting_parts
from forum.prepared import Part, Prepared
from forum.rawreads import RawReads, RawStatement
from forum.replica import CONNECTION, read_from_replica
from forum.site.settings import Setting, are_in_force, settings_last_seen, site_settings
from forum.stitching import Segment, gzip_of
from forum.text.markdown import MAX_CHARACTERS
from forum.untold import LATELY, Untold

NOT_AROUND = {"source", "html", "preview_html", "toc", "thread_version", "visible_comments", "commented_at"}
"""Columns of an essay that its version is of, or that only its threads and their number show."""

LONG_TEXTS = {"source", "html", "preview_html"}

ORDERS = frozenset(order.value for order in Order)

FOR_EVER = datetime.max.replace(tzinfo=UTC)

EXCHANGE_BYTES = 4 * 1_024 * 1_024
"""For what the workers of a node hand each other: the last dozen pages or so."""

REPEAT_BYTES = 1_024 * 1_024
"""For whole answers, of essays that many come to at the same time; their bytes are those of the pages."""

GROUP = 2
"""A group may end with each second thread or branch of one, by its number."""

LEAST_TOGETHER, MOST_TOGETHER = 10_000, 24_000
"""Bytes of the groups in which threads are compressed."""

MOST_CUTS = 12
"""Parts of one thread that are kept compressed, between what readers have of their own in it; the newest stay."""


MARK = re.compile(MARKER.pattern.encode())

NONCE = secrets.token_hex(8)
"""Nobody who writes a comment knows it, so no comment can hold a slot."""

SEGMENT_BYTES = 1_000
"""What a segment takes beside its compressed bytes."""

HELD_BYTES = 1_000
"""With which parts of threads are counted: the threads that hold them, and are found more lately, count all of them."""

MOST_FRAMES = 4
"""Kinds of readers for whom one page of threads keeps what is around it."""

FRAME_BYTES = 25_000
"""About what that takes for each of them; an essay of twice the usual length takes more."""

CSRF, FORM_TOKEN, NAME, UNREAD, WAITING, COMMENTS, THREADS = (
    f"slot-{NONCE}-{name}-" for name in ("csrf", "form", "name", "unread", "waiting", "comments", "threads")
)
COUNT = f'"slot-{NONCE}-count-"'
BRANCH = Markup(f"slot-{NONCE}-branch-")  # noqa: S704  # hexadecimal digits
"""In JSON, where a text that is a slot becomes a number."""

SLOTS = (COUNT, CSRF, FORM_TOKEN, NAME, UNREAD, WAITING, COMMENTS, THREADS)
"""What stands in a kept page where something is filled in."""


class Versions(NamedTuple):
    """Which state of an essay, its discussion and the site a page shows. Each change of what is seen is another one."""

    essay_id: int
    essay: int
    thread: int
    site: str


class View(NamedTuple):
    """Which page of the discussion is asked for."""

    order: Order
    number: int


FIRST_VIEW = View(Order.OLDEST, 1)
"""What nearly everybody sees who comes to an essay."""


@dataclass(frozen=True)
class Audience:
    """What of a signed-in reader decides how the page around the discussion looks, and nothing that names them."""

    may: frozenset[Act]
    may_moderate: bool
    may_write: bool
    is_admin: bool
    may_edit: bool
    theme: str
    keys_off: bool
    first_is_held: bool


class Habits(NamedTuple):
    """What else of a reader the page shows, and no right follows from."""

    following: bool
    without_essays: bool


@dataclass(frozen=True)
class StandIn:
    """Whom the templates take for the signed-in person: what the audience says, and a slot for the name."""

    may_moderate: bool
    may_write: bool
    is_admin: bool
    is_authenticated: bool = True
    name: str = NAME
    warning: str = ""


class Other(NamedTuple):
    """The state of an essay to which comments of this one were moved."""

    essay_id: int
    version: int
    thread_version: int


@dataclass(frozen=True)
class Validity:
    """How long a kept page holds as long as no version changes."""

    since: datetime
    until: datetime = FOR_EVER
    """When a date passes that the page depends on."""
    others: frozenset[Other] = frozenset()
    """The essays to which comments of this one were moved: what they are called and who sees them counts too."""

    def holds(self, now: datetime) -> bool:
        """Tell whether no date has passed, in either direction, since the page was made."""
        return self.since <= now < self.until


@dataclass
class Page:
    """A whole page as every stranger gets it, ready to be sent."""

    html: bytes
    gzip: bytes
    etag: str
    """A weak validator: the same on every node, whatever the encoding."""
    validity: Validity
    brotli: bytes | None = None
    """There a little later than the rest: see `Compressor`."""

    @property
    def size(self) -> int:
        """Return about what it takes with both compressed forms."""
        return 1_000 + len(self.html) + 2 * len(self.gzip)

    @classmethod
    def of(cls, frame: "Frame", threads: "Threads") -> "Page":
        """Return a page that is made here, of what is around the threads, with their number, and of the threads."""
        html, gzip = filled(frame.parts, {}, threads, {}), filled_gzip(frame.segments, {}, threads, {})
        # The same as of all bytes, in a tenth of the time.
        shown = [threads.digest if part == THREADS else part.encode() for part in frame.parts]
        etag = urlsafe_b64encode(sha256(b"".join(shown)).digest()[:12]).decode()
        return cls(html, gzip, f'W/"{etag}"', threads.validity)

    def packed(self) -> bytes:
        """Return the page as another worker can take it."""
        since, until, others = self.validity.since, self.validity.until, sorted(self.validity.others)
        head = [since.isoformat(), until.isoformat(), others, self.etag, len(self.html)]
        return b"\n".join((json.dumps(head).encode(), self.html + self.gzip))

    @classmethod
    def unpacked(cls, packed: bytes) -> "Page":
        """Return the page that a worker has packed."""
        head, _, body = packed.partition(b"\n")
        since, until, others, etag, length = json.loads(head)
        dates = datetime.fromisoformat(since), datetime.fromisoformat(until)
        validity = Validity(*dates, frozenset(Other(*one) for one in others))
        return cls(body[:length], body[length:], etag, validity)


@dataclass
class Frame:
    """What stands around the discussion for one audience: bytes, and slots between them."""

    html: str
    around: bytes = b""
    """Of what it was made. The essay may have changed since the threads were read, and may change back again."""
    segments: "list[Segment | str]" = field(default_factory=list)
    """The same with the texts compressed, once the number of comments is in it."""
    _by_lengths: "dict[tuple[int, ...], list[Segment | str]]" = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return about what it takes with its segments."""
        return 2_000 + 2 * len(self.html) + SEGMENT_BYTES * len(self.parts)

    def with_number(self, said: Mapping[str, str]) -> "Frame":
        """Return it with the number of comments in its slots, ready to be sent."""
        frame = Frame("".join(said.get(part, part) for part in self.parts))
        pieces: list[Segment | bytes] = []
        frame.segments = []
        for part in self._compressed(said):
            if not isinstance(part, str):
                pieces.append(part)
            elif part in said:
                pieces.append(said[part].encode())
            else:
                frame.segments += [Segment.joined(pieces), part]
                pieces = []
        frame.segments.append(Segment.joined(pieces))
        return frame

    def _compressed(self, said: Mapping[str, str]) -> "list[Segment | str]":
        """Return the texts between the slots as segments, which are the same for all numbers of as many letters.

        Each refers back to the one before over the number, which is left out: zeros that no text has stand for it.
        """
        lengths = tuple(len(one) for one in said.values())
        known = self._by_lengths.get(lengths)
        if known is None:
            known, before = [], b""
            for part in self.parts:
                if part in SLOTS:
                    known.append(part)
                    before = before + bytes(len(said[part])) if part in said else b""
                else:
                    raw = part.encode()
                    known.append(_made_here(raw, before if b"\0" not in raw else b""))
                    before += raw
            self._by_lengths = {lengths: known}
        return known

    @cached_property
    def parts(self) -> list[str]:
        """Return the texts between the slots, and the slots."""
        parts = [self.html]
        for slot in SLOTS:
            parts = [piece for part in parts for piece in _split(part, slot)]
        return parts


@dataclass(eq=False)
class Leaf:
    """A rendered thread or a part of one, with markers where a viewer's own parts go."""

    html: bytes
    may_end: bool = False
    """Whether a group may end with it: a matter of this one alone, so that a change moves few others between groups."""
    _cuts: dict[tuple[int, int], Segment] = field(default_factory=dict)
    size: int = HELD_BYTES

    @property
    def weight(self) -> int:
        """Return about what it takes with its parts."""
        return 500 + 2 * len(self.html)

    @cached_property
    def plain(self) -> bytes:
        """Return it without markers."""
        return MARK.sub(b"", self.html)

    @cached_property
    def spots(self) -> dict[tuple[str, int], int]:
        """Return where in the plain text the markers were, in their order."""
        spots, away = {}, 0
        for found in MARK.finditer(self.html):
            spots[_marker(found)] = found.start() - away
            away += len(found[0])
        return spots

    def filled(self, own: OwnParts) -> bytes:
        """Return it with a viewer's own parts."""
        return b"".join(one if isinstance(one, bytes) else self.plain[slice(*one)] for one in self._cut(own))

    def with_lines(self, lines: OwnParts) -> "Leaf":
        """Return it with what is everybody's at its markers, before what will be one viewer's."""
        html = MARK.sub(lambda found: lines.get(_marker(found), "").encode() + found[0], self.html)
        return self if html == self.html else Leaf(html, self.may_end)

    def pieces(self, own: OwnParts) -> "list[Segment | bytes]":
        """Return it for gzip: a viewer's own parts as bytes, and what is between them as segments."""
        return [one if isinstance(one, bytes) else self._segment(one) for one in self._cut(own)]

    def _cut(self, own: OwnParts) -> "list[tuple[int, int] | bytes]":
        """Return a viewer's own parts, and between them where what is everybody's begins and ends."""
        cut: list[tuple[int, int] | bytes] = []
        begin = 0
        for marker, spot in self.spots.items():
            if marker in own:
                cut += [(begin, spot), own[marker].encode()]
                begin = spot
        return [*cut, (begin, len(self.plain))]

    def _segment(self, part: tuple[int, int]) -> Segment:
        segment = self._cuts.get(part)
        if segment is None:
            segment = _made_here(self.plain[slice(*part)])
            while len(self._cuts) >= MOST_CUTS:
                self._cuts.pop(next(iter(self._cuts)), None)
            self._cuts[part] = segment
        return segment


class Group:
    """A few threads one after the other, compressed together: when one changes, little is compressed anew."""

    size = HELD_BYTES

    def __init__(self, leaves: "Sequence[Leaf]") -> None:
        self.leaves = leaves
        self.plain = MARK.sub(b"", b"".join(leaf.html for leaf in leaves))
        self.digest = sha256(self.plain).digest()
        self._behind: tuple[bytes, Segment] | None = None

    @cached_property
    def weight(self) -> int:
        """Return about what it takes, compressed in one way or both, with what it is made of."""
        leaves = sum(leaf.weight for leaf in self.leaves)
        return 500 + SEGMENT_BYTES + len(self.plain) * 3 // 2 + leaves

    @cached_property
    def places(self) -> dict[tuple[str, int], Leaf]:
        """Return its markers, and in which thread each of them is."""
        return {marker: leaf for leaf in self.leaves for marker in leaf.spots}

    def behind(self, before: "Group | None") -> Segment:
        """Return it compressed, so that it can stand right behind another group, or None: then anywhere.

        Behind another one it is smaller, for they are alike.
        """
        if before is None:
            return self._alone
        known = self._behind
        if known is None or known[0] != before.digest:
            known = self._behind = (before.digest, _made_here(self.plain, before.plain))
        return known[1]

    @cached_property
    def _alone(self) -> Segment:
        return _made_here(self.plain)


@dataclass(frozen=True)
class Leaves:
    """One rendered thread: its beginning, what is below each reply to its first comment, its end."""

    leaves: tuple[Leaf, ...]
    size: int = HELD_BYTES


@dataclass(frozen=True)
class Card:
    """One rendered comment: what stands before the replies to it, and behind them."""

    begin: bytes
    end: bytes

    @property
    def size(self) -> int:
        """Return about what it takes."""
        return 500 + len(self.begin) + len(self.end)


@dataclass
class Threads:
    """The threads of one page as everyone gets them, with markers where a viewer's own parts go."""

    groups: list[Group]
    """The beginning of the list and the first threads, and so on; the last one has the end of the list."""
    ids: list[int]
    count: int
    """Of the pages of the discussion."""
    has_picks: bool
    visible: int
    """How many comments everybody sees in the whole discussion."""
    around: bytes
    """What is another one when something else is that the page says around its threads."""
    validity: Validity
    frames: "dict[tuple[Audience, Habits], Frame]" = field(default_factory=dict)
    """What readers have around them, with their number."""
    whole: Segment = field(init=False)
    """All groups compressed, as who has nothing of their own in them gets them."""

    def __post_init__(self) -> None:
        """Have it compressed at once, by who may take the time."""
        rest = [group.behind(before) for before, group in pairwise(self.groups)]
        self.whole = Segment.joined([*(group.behind(None) for group in self.groups[:1]), *rest])

    @property
    def size(self) -> int:
        """Return about what it takes with all that is around it, and with its groups, which live as long."""
        groups = len(self.whole.deflated) + sum(group.weight for group in self.groups)
        return 2_000 + groups + FRAME_BYTES * MOST_FRAMES

    @property
    def said(self) -> dict[str, str]:
        """Return what the page says of the number of comments, for the slots."""
        return {COUNT: str(self.visible), COMMENTS: f"{self.visible:,} comment{'s' * (self.visible != 1)}"}

    @cached_property
    def comment_ids(self) -> frozenset[int]:
        """Return the ids of the comments on the page."""
        return frozenset(self.ids)

    @cached_property
    def first_id(self) -> int:
        """Return the lowest of them."""
        return min(self.ids)

    @cached_property
    def last_id(self) -> int:
        """Return the highest of them."""
        return max(self.ids)

    @property
    def digest(self) -> bytes:
        """Return what is another one when any byte is that everybody gets."""
        return b"".join(group.digest for group in self.groups)

    def html(self, own: OwnParts) -> bytes:
        """Return all of it with a viewer's own parts at their markers."""
        if not own:
            return b"".join(group.plain for group in self.groups)
        return b"".join(leaf.filled(own) for group in self.groups for leaf in group.leaves)

    def pieces(self, own: OwnParts) -> "list[Segment | bytes]":
        """Return all of it for gzip. Who has nothing of their own in a group shares its segment with everybody."""
        cut = {self._places[marker] for marker in own if marker in self._places} if own else set()
        if not cut:
            return [self.whole]
        pieces: list[Segment | bytes] = []
        before = None
        for group in self.groups:
            if cut.isdisjoint(group.leaves):
                pieces.append(group.behind(before))
                before = group
            else:
                pieces += [
                    piece for leaf in group.leaves for piece in leaf.pieces(own if leaf in cut else {})
                ]
                before = None
        return pieces

    @cached_property
    def _places(self) -> dict[tuple[str, int], Leaf]:
        return {marker: leaf for group in self.groups for marker, leaf in group.places.items()}


@dataclass(frozen=True)
class Count:
    """How many pages a discussion has in one order."""

    count: int
    size: int = 500


class Dated(Protocol):
    """What is kept and holds for a while."""

    @property
    def size(self) -> int:
        """Return the bytes that it is counted with."""

    @property
    def validity(self) -> Validity:
        """Return how long it holds."""


Kept = TypeVar("Kept", bound=Dated)
Rendered = TypeVar("Rendered")


class Pages:
    """The kept pages of a site, in one process."""

    def __init__(self, app: Flask, most_bytes: int) -> None:
        self._app = app
        self.cache = PageCache(most_bytes)
        self.judged = PageCache(most_bytes // 8)
        """What was found of readers: see `viewer.py`."""
        self.repeats = PageCache(REPEAT_BYTES)
        """Whole answers: see `front.py`."""
        self._exchange = Exchange(EXCHANGE_BYTES)
        self._compressor = Compressor(self._exchange)
        self.untold = Untold()
        self._request = create_environ(base_url=app.config["SITE_URL"])
        self._reads: tuple[RawReads, RawStatement] | None = None

    def clear(self) -> None:
        """Forget everything."""
        self.cache.clear()
        self.judged.clear()
        self.repeats.clear()
        self._exchange.clear()

    def stranger(self, versions: Versions, view: View) -> Page:
        """Return the page as every stranger gets it. Raises: NotFound, for a page past the end."""
        key = ("stranger", versions, view)
        return self._current(key, lambda: self._from_any_worker(key, versions, view))

    def stranger_before(self, versions: Versions, view: View) -> Page | None:
        """Return a page that is not made yet as it was before changes of which nobody has been told.

        None where it is made, or must be. Where it may, it waits until it is certain whose the last change is.
        """
        return cast(Page | None, self._before_untold("stranger", versions, view))

    def threads_before(self, versions: Versions, view: View) -> "Threads | None":
        """Return the same of the threads alone."""
        return cast(Threads | None, self._before_untold("threads", versions, view))

    def _before_untold(self, kind: str, versions: Versions, view: View) -> Dated | None:
        if self.cache.find((kind, versions, view)):
            return None
        if may_make_here():
            self.untold.wait(versions.essay_id, versions.thread)
        for thread in range(versions.thread, versions.thread - LATELY, -1):
            if not self.untold.has(versions.essay_id, thread):
                return None
            kept = cast(Dated | None, self.cache.find((kind, versions._replace(thread=thread - 1), view)))
            if kept is not None:
                return kept if kept.validity.holds(clock.now()) and not kept.validity.others else None
        return None

    def brotli(self, page: Page, essay_id: int, view: View) -> bytes | None:
        """Return a stranger's page as brotli, None where it is only now being made; who asks later gets it."""
        brotli = page.brotli
        if brotli is None:
            self._compressor.take(page, (essay_id, view))
        return brotli

    def frame(
        self,
        versions: Versions,
        view: View,
        audience: Audience | None,
        habits: Habits | None,
        threads: Threads,
    ) -> Frame:
        """Return what is around threads for an audience, None for strangers; most new comments leave it as it is."""
        state = (
            versions.essay_id,
            versions.essay,
            versions.site,
            threads.count,
            threads.has_picks,
            threads.around,
        )
        return self.cache.find_or_make(
            ("frame", state, view, audience, habits),
            lambda: self._for_nobody(
                versions, lambda essay: _render_frame(essay, view, audience, habits, threads)
            ),
            lambda kept: kept.around == threads.around,
        )

    def frame_of_reader(
        self, versions: Versions, view: View, audience: Audience, habits: Habits, threads: Threads
    ) -> Frame:
        """Return the same for readers, with the number of comments in it: the fewer slots, the faster it is filled."""
        known = threads.frames.get((audience, habits))
        if known is None:
            if not may_make_here():
                raise Unmade(("frame", versions, view, audience, habits))
            if len(threads.frames) >= MOST_FRAMES:
                threads.frames.clear()
            frame = self.frame(versions, view, audience, habits, threads)
            known = threads.frames[audience, habits] = frame.with_number(threads.said)
        return known

    def waiting(self, essay_id: int, user_id: int, threads: Threads, may: frozenset[Act]) -> OwnParts:
        """Return what only its writer sees of a page's discussion; made for each visit, and not kept."""
        both = select(User, Essay).join(Essay, Essay.id == essay_id).where(User.id == user_id)
        with self._nobody():
            user, essay = db.session.execute(both.options(*light_essay())).one()
            return waiting_parts(user, essay, threads.ids, may)

    def waiting_badge(self, user_id: int) -> str:
        """Return what stands beside “Moderation” for somebody who has a desk: how much waits there."""
        with self._nobody():
            user = db.session.get_one(User, user_id)
            count = waiting_count(user) if may_use_desk(user, clock.now()) else 0
            return render_template("moderation/_waiting_count.html", waiting_count=count)

    def threads(self, versions: Versions, view: View) -> Threads:
        """Return the threads of one page as everyone gets them. Raises: NotFound, for a page past the end."""
        known = self.cache.find(("count", versions, view.order))
        if isinstance(known, Count) and view.number > known.count:
            abort(404)
        return self._current(
            ("threads", versions, view),
            lambda: self._for_nobody(versions, lambda essay: self._render_threads(essay, versions, view)),
        )

    def _current(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key if no date has passed and nothing was changed where comments went to."""
        return self.cache.find_or_make(key, make, lambda kept: self._is_current(kept.validity))

    def _from_any_worker(self, key: Hashable, versions: Versions, view: View) -> Page:
        """Return a page as another worker has made it, if one has and it still holds; else it is made here."""

        def render() -> Page:
            return self._for_nobody(versions, lambda essay: self._render_stranger(essay, versions, view))

        packed = self._exchange.find_or_make(key, lambda: render().packed())
        page = Page.unpacked(packed)
        if not self._is_current(page.validity):
            page = render()
            self._exchange.keep(key, page.packed())
        return page

    def _is_current(self, validity: Validity) -> bool:
        """Tell whether no date has passed, and the essays that comments were moved to are as they were."""
        return validity.holds(clock.now()) and all(self._is_as_it_was(one) for one in validity.others)

    def _is_as_it_was(self, other: Other) -> bool:
        if self._reads is None:
            with self._app.app_context():
                state = select(Essay.version, Essay.thread_version).where(Essay.id == bindparam("essay_id"))
                self._reads = RawReads(db.engine), RawStatement(state, db.engine)
        reads, statement = self._reads
        return reads.rows(statement, essay_id=other.essay_id) == [(other.version, other.thread_version)]

    def _render_stranger(self, essay: Essay, versions: Versions, view: View) -> Page:
        now = clock.now()
        if not essay.is_published(now):
            abort(404)
        may = rights(None, essay, None, now)
        threads = self.threads(versions, view) if Act.READ in may else no_threads(essay, now)
        if view.number > threads.count:
            abort(404)
        gate = gate_before(essay, None, now)
        if Act.READ in may and gate is None:
            frame = self.frame(versions, view, None, None, threads)
        else:
            refusal = why_no_stranger(essay, now)
            frame = Frame(essay_html(essay, now, view, threads, may=may, refusal=refusal, gate=gate))
        return Page.of(frame.with_number(threads.said), threads)

    def _render_threads(self, essay: Essay, versions: Versions, view: View) -> Threads:
        now = clock.now()
        page = thread_page(essay, view.order, view.number, site_settings().threads_per_page)
        self.cache.keep(("count", versions, view.order), Count(page.count))
        if view.number > page.count:
            abort(404)
        validity = _validity(essay, now, has_lost=page.has_lost)
        return Threads(
            self._groups(self._leaves(essay, page)),
            page.ids(),
            page.count,
            page.has_picks,
            essay.visible_comments,
            _around(essay, now),
            validity,
        )

    def _leaves(self, essay: Essay, page: ThreadPage) -> list[Leaf]:
        """Return a page's threads, each by itself, with the lines where others were moved away in their places."""
        begin, end = self._list
        note = (
            render_template("discussion/_page_note.html", page=page, path=essay.path)
            if page.most or page.is_empty
            else ""
        )
        threads = [leaf for thread in page.threads for leaf in self._leaves_of(thread).leaves]
        leaves = [begin, *threads, end if not note else Leaf(end.html + note.encode())]
        if not page.has_lost:
            return leaves
        is_end = (
            page.number == page.count and page.order != Order.PICKS
        )  # among the picks no thread is missed
        moved = trace_parts(essay, page.ids(), with_threads=is_end)
        return [leaf.with_lines(moved) for leaf in leaves]

    def _groups(self, leaves: Sequence[Leaf]) -> list[Group]:
        """Return threads in groups, each as it was compressed if it is made of the very same threads."""
        groups, begin, length = [], 0, 0
        for end, leaf in enumerate(leaves, 1):
            length += len(leaf.html)
            if length > MOST_TOGETHER or (leaf.may_end and length > LEAST_TOGETHER) or end == len(leaves):
                groups.append(self._group(tuple(leaves[begin:end])))
                begin, length = end, 0
        return groups

    def _group(self, leaves: tuple[Leaf, ...]) -> Group:
        return self.cache.find_or_make(("group", leaves), lambda: Group(leaves))

    @cached_property
    def _list(self) -> tuple[Leaf, Leaf]:
        """Return the beginning and the end of a list of threads."""
        begin, mark, end = thread_html([]).partition("<!--below:0-->")
        return Leaf(begin.encode()), Leaf((mark + end).encode())

    def _leaves_of(self, thread: Thread) -> Leaves:
        """Render a thread, or find it as it was rendered: a new comment changes one of them, the others stay."""
        return self.cache.find_or_make(("thread", thread.digest), lambda: self._render_thread(thread))

    def _render_thread(self, thread: Thread) -> Leaves:
        """Render a thread of whose comments most are as they were."""
        first = thread.twig()
        card = self._card(thread, first)
        may_end = (first.row[NUMBER] or first.id) % GROUP == 0
        if not first.replies:
            return Leaves((Leaf(card.begin, may_end),))
        branches = [self._branch(thread, reply) for reply in first.replies]
        return Leaves((Leaf(card.begin), *branches, Leaf(card.end, may_end)))

    def _branch(self, thread: Thread, reply: Twig) -> Leaf:
        """Return a reply to the first comment with all that is below it."""

        def render() -> Leaf:
            return Leaf(b"".join(self._pieces(thread, reply)), reply.id % GROUP == 0)

        return self.cache.find_or_make(("branch", thread.digest_with(reply)), render)

    def _pieces(self, thread: Thread, twig: Twig) -> Iterator[bytes]:
        card = self._card(thread, twig)
        yield card.begin
        for reply in twig.replies:
            yield from self._pieces(thread, reply)
        yield card.end

    def _card(self, thread: Thread, twig: Twig) -> Card:
        """Render a comment, or find it as it was rendered: a new one changes those above it, by a number."""

        def render() -> Card:
            node = thread.node_of(twig)
            node.replies = [replace(node, rendered=BRANCH)] if twig.replies else []
            begin, _, end = _rendered(node).partition(BRANCH)
            return Card(begin.encode(), end.encode())

        return self.cache.find_or_make(("card", thread.digest_of(twig)), render)

    def _for_nobody(self, versions: Versions, render: Callable[[Essay], Rendered]) -> Rendered:
        """Render an essay inside a request of nobody, whose reads begin now; from a replica that has come so far."""
        if has_request_context() and g.get("nobody_asks"):
            return render(db.session.get_one(Essay, versions.essay_id))

        def read() -> Rendered:
            return render(_light_essay(versions.essay_id))

        with self._nobody():
            are_in_force(settings_last_seen(), versions.site)
            if "replica" not in self._app.extensions:
                return read()
            answer = (versions.essay, versions.thread, versions.site or None)
            return read_from_replica(_versions_of(versions.essay_id), answer, read)

    @contextmanager
    def _nobody(self) -> Iterator[None]:
        """Give a context of its own: inside a request, Flask would share that one's person and database session.

        Raises: Unmade, in a thread that only finds.
        """
        if not may_make_here():
            raise Unmade
        with self._app.app_context(), self._app.request_context(self._request.copy()):
            g.nobody_asks = True
            yield


def _light_essay(essay_id: int) -> Essay:
    """Return an essay without its long texts: only the frame shows those, which is there already after most comments.

    Raises: NotFound.
    """
    if CONNECTION in db.session().info:
        return db.session.get(Essay, essay_id, options=light_essay()) or abort(404)
    for row in _ESSAY.rows(essay_id=essay_id):
        essay, author = _essay_and_author()
        read = essay.of(row)
        set_committed_value(read, "author", author.of(row))
        return cast(Essay, read)
    abort(404)


@cache
def _essay_and_author() -> tuple[Part, Part]:
    light = [one for one in Essay.__mapper__.column_attrs if one.key not in LONG_TEXTS]
    return Part(Essay, *(getattr(Essay, one.key) for one in light)), Part(User)


def _selecting_essay() -> Select[Any]:
    columns = [column for part in _essay_and_author() for column in part.columns]
    both = select(*columns).select_from(Essay).join(User, User.id == Essay.author_id)
    return both.where(Essay.id == bindparam("essay_id"))


_ESSAY = Prepared(_selecting_essay)


def _versions_of(essay_id: int) -> Select[Any]:
    site = select(Setting.value).where(Setting.name == "page_version").scalar_subquery()
    return select(Essay.version, Essay.thread_version, site).where(Essay.id == essay_id)


def _render_frame(
    essay: Essay, view: View, audience: Audience | None, habits: Habits | None, threads: Threads
) -> Frame:
    now = clock.now()
    around = _around(essay, now)
    db.session.refresh(essay, ["html", "preview_html", "tags"])
    refusal = why_no_stranger(essay, now)
    if audience is None or habits is None:
        may = rights(None, essay, None, now)
        return Frame(essay_html(essay, now, view, threads, may=may, refusal=refusal, gate=None), around)
    html = essay_html(
        essay,
        now,
        view,
        threads,
        may=audience.may,
        refusal=None if Act.COMMENT in audience.may else refusal,
        gate=None,
        form_token=FORM_TOKEN,
        may_edit=audience.may_edit,
        first_is_held=audience.first_is_held,
        following=habits.following,
        without_essays=habits.without_essays,
        current_user=StandIn(audience.may_moderate, audience.may_write, audience.is_admin),
        theme=audience.theme,
        keys_off=audience.keys_off,
        csrf_token=lambda: CSRF,
        unread_badge=UNREAD,
        waiting_badge=WAITING,
    )
    return Frame(html, around)


def essay_html(
    essay: Essay,
    now: datetime,
    view: View,
    threads: Threads,
    *,
    may: frozenset[Act],
    refusal: str | None,
    gate: Gate | None,
    form_token: str = "",
    **facts: object,
) -> str:
    """Render the page around its threads, which have slots in it, and so has their number.

    Strangers have no form token; `facts` is what others are told besides.
    """
    order = Order.OLDEST if view.order == Order.PICKS and not threads.has_picks else view.order
    form = CommentForm(formdata=None)
    form.form_token.data = form_token
    return render_template(
        "pages/essay.html",
        essay=essay,
        now=now,
        thread=THREADS,
        comments=COMMENTS,
        comment_count=COUNT.strip('"'),
        may=may,
        refusal=refusal,
        whole=Act.READ in may,
        gate=gate,
        has_picks=threads.has_picks,
        order=order,
        number=view.number,
        page_count=threads.count,
        address_of=lambda page: _address(essay, order, page),
        form=form,
        closing=closing_of(essay, now),
        house_rules=site_settings().house_rules,
        supporters_only=supporters_only() if not form_token and is_for_supporters(essay) else "",
        max_characters=MAX_CHARACTERS,
        **facts,
    )


def order_of(given: str | None) -> Order:
    """Return the order that `?sort=` asks for; nonsense is the oldest first."""
    return Order(given) if given in ORDERS else Order.OLDEST


def no_threads(essay: Essay, now: datetime) -> Threads:
    """Return what who may not read the discussion gets in its place."""
    validity = _validity(essay, now, has_lost=False)
    return Threads([], [], 1, False, essay.visible_comments, _around(essay, now), validity)


def put_in(html: str, threads: Threads, own: OwnParts) -> str:
    """Return a page that was rendered for one viewer alone with its threads, and their number, in their slots."""
    return filled(Frame(html).parts, threads.said, threads, own).decode()


def filled(parts: Iterable[str], values: Mapping[str, str], threads: Threads, own: OwnParts) -> bytes:
    """Return a frame with a viewer's values in its slots."""
    return b"".join(
        threads.html(own) if part == THREADS else values.get(part, part).encode() for part in parts
    )


def filled_gzip(
    segments: "Iterable[Segment | str]", values: Mapping[str, str], threads: Threads, own: OwnParts
) -> bytes:
    """Return the same as gzip."""
    pieces: list[Segment | bytes] = []
    for segment in segments:
        if isinstance(segment, Segment):
            pieces.append(segment)
        elif segment == THREADS:
            pieces += threads.pieces(own)
        else:
            pieces.append(values[segment].encode())
    return gzip_of(pieces)


def _rendered(node: Node) -> Markup:
    macros: Any = current_app.jinja_env.get_template("discussion/_comment.html").module
    return Markup(macros.comment(node))  # noqa: S704  # by our templates, sanitised at writing


def _validity(essay: Essay, now: datetime, *, has_lost: bool) -> Validity:
    until = next_closing(essay, now) or FOR_EVER
    if not has_lost:
        return Validity(now, until)
    moved_from_here = (Comment.moved_from_essay_id == essay.id) & (Comment.essay_id != essay.id)
    found = select(Essay.id, Essay.version, Essay.thread_version, Essay.published_at)
    rows = db.session.execute(
        found.where(Essay.id.in_(select(Comment.essay_id).where(moved_from_here)))
    ).all()
    appear = [row.published_at for row in rows if row.published_at is not None and row.published_at > now]
    return Validity(now, min([until, *appear]), frozenset(Other(*row[:3]) for row in rows))


def _around(essay: Essay, now: datetime) -> bytes:
    """Return a digest of what is said around the threads, but for what the essay's own version is of."""
    values = [
        getattr(essay, column.key) for column in Essay.__table__.columns if column.key not in NOT_AROUND
    ]
    closing, several = closing_of(essay, now), min(essay.visible_comments, 2)
    said = (values, essay.author.name, essay.is_published(now), closing, several)
    return _digest(said)


def _digest(values: object) -> bytes:
    return sha256(pickle.dumps(values, pickle.HIGHEST_PROTOCOL)).digest()


def _address(essay: Essay, order: Order, page: int) -> str:
    query = [f"page={page}"] if page > 1 else []
    query += [f"sort={order}"] if order != Order.OLDEST else []
    return f"{essay.path}{'?' if query else ''}{'&'.join(query)}#discussion"


def _split(part: str, slot: str) -> list[str]:
    texts = part.split(slot)
    return [texts[0], *(piece for text in texts[1:] for piece in (slot, text))]


def _made_here(raw: bytes, before: bytes = b"") -> Segment:
    """Compress something. Raises: Unmade, in a thread that only finds."""
    if not may_make_here():
        raise Unmade
    return Segment(raw, before)


def _marker(found: re.Match[bytes]) -> tuple[str, int]:
    return found[1].decode(), int(found[2])
