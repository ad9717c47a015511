"""Load data: essays, readers and discussions in any number, inserted in batches as the verbs would leave them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any

from sqlalchemy import func, insert, select, text, update

from forum import clock
from forum.accounts.user import User
from forum.database import Base, db, is_sqlite
from forum.demo.accounts import MAIL_DOMAIN, add_people, read_people
from forum.demo.story import ESSAYS, FIRST
from forum.demo.words import Writer, reader_names
from forum.discussion.comment import MAX_DEPTH, Comment, CommentRevision, Verdict, path_of
from forum.discussion.event import Event
from forum.discussion.reaction import Reaction
from forum.essays.essay import Essay
from forum.essays.importing import read_essay_file
from forum.essays.publishing import create_essay, publish_essay, render_words
from forum.essays.revision import EssayWords
from forum.site.settings import Premoderation
from forum.subscriptions.subscription import State
from forum.text.essay import EssayText
from forum.text.markdown import Rendered, render_comment
from forum.text.names import name_key

BATCH = 500

ROOT_SHARE = 0.4
"""Of 100 comments 40 begin a thread."""

RECENT = 12
"""A reply answers, on average, the comment this many places back: discussions are lively at their end."""

THANKS = 1.5
"""Of 100 comments 49 are thanked by nobody, 25 once, 13 twice, a few often."""

DIFFERENT = 5_000
"""So many comments of a discussion have words of their own: far more than any page shows."""

SOURCES = (FIRST, "mended-with", "reading-over-a-shoulder", "the-loan-of-a-ladder")
FEWEST_READERS = 10

Tick = Callable[[int], object]
"""Told how many rows were made since it was told last."""


@dataclass(frozen=True)
class Amount:
    """How much to make: comments are those of all essays together."""

    essays: int
    comments: int
    readers: int

    @property
    def total(self) -> int:
        """Return how many rows the progress counts."""
        return self.essays + self.comments + self.readers

    @classmethod
    def asked(cls, essays: int | None, comments: int | None, readers: int | None) -> "Amount":
        """Return what was asked for, with as many essays and readers as that needs where nothing was said."""
        comments = comments or 0
        return cls(
            essays=1 if essays is None else essays,
            comments=comments,
            readers=max(FEWEST_READERS, comments // 20) if readers is None else readers,
        )


def load(amount: Amount, seed: int, tick: Tick) -> None:
    """Fill an empty database with the people that one can sign in as, and load data by the first of them.

    The same seed makes the same data, but for the times. The caller commits.
    Raises: ValueError, for who asked, when there are comments but no essay or reader for them.
    """
    if amount.comments and not (amount.essays and amount.readers):
        raise ValueError("Comments need at least one essay and one reader.")
    now, random = clock.now(), Random(seed)  # noqa: S311 (not for secrets)
    people = add_people([person for person in read_people() if person.email], now)
    reader_ids = load_readers(amount.readers, now, tick)
    essays = load_essays(people["ruth"], amount.essays, now, tick)
    share, rest = divmod(amount.comments, max(1, len(essays)))
    for number, essay in enumerate(essays):
        load_comments(essay, reader_ids, share + (number < rest), random, tick)
        load_thanks(essay, reader_ids, random)


def load_readers(count: int, now: datetime, tick: Tick) -> Sequence[int]:
    """Add readers with confirmed addresses, who joined over the last two years; returns their ids."""
    ids = _reserve_ids(User, count)
    named = enumerate(zip(ids, reader_names(), strict=False))
    rows = (_reader(reader_id, name, number, now) for number, (reader_id, name) in named)
    for batch in _batches(rows):
        db.session.execute(insert(User), batch)
        tick(len(batch))
    return ids


def load_essays(
    author: User, count: int, now: datetime, tick: Tick, sources: Sequence[str] = SOURCES
) -> list[Essay]:
    """Add published essays, one for every three days back in time, whose comments do not wait."""
    texts = [_essay_text(slug) for slug in sources[:count]]
    essays = []
    for number in range(count):
        words, rendered = texts[number % len(texts)]
        issue = number // len(texts) + 1
        title = f"{words.title}, {issue}" if issue > 1 else words.title
        published_at = now - timedelta(days=7 + 3 * number)
        with clock.at(published_at):
            essay = create_essay(
                author,
                title,
                words.source,
                subtitle=words.subtitle,
                premoderation=Premoderation.NONE,
                text=rendered,
            )
            publish_essay(essay)
        essays.append(essay)
        tick(1)
    return essays


def load_comments(
    essay: Essay,
    reader_ids: Sequence[int],
    count: int,
    random: Random,
    tick: Tick,
    *,
    root_share: float = ROOT_SHARE,
    recent: float = RECENT,
) -> Sequence[int]:
    """Add a discussion in the shape of real threads, and bring every counter in line; returns the comments' ids.

    With a `root_share` and a `recent` near 0 it becomes one long chain. A longer one of the same `random` begins as
    a shorter one does, so that pages of both compare.
    """
    if not count:
        return []
    words = _words(Random(random.getrandbits(32)))  # noqa: S311
    ids = _reserve_ids(Comment, count)
    places = _places(essay, ids, reader_ids, random, root_share, recent)
    for batch in _batches(iter(places)):
        db.session.execute(insert(Comment), [_comment(essay, place) for place in batch])
        db.session.execute(insert(CommentRevision), [_wording(place, next(words)) for place in batch])
        db.session.execute(insert(Event), [_event(essay, place) for place in batch])
        tick(len(batch))
    _count(essay, places)
    return ids


def load_thanks(essay: Essay, reader_ids: Sequence[int], random: Random) -> None:
    """Let readers thank others' comments on an essay that nobody thanked yet, so that the order by thanks sorts."""
    now, thanks, likes = clock.now(), [], []
    comments = select(Comment.id, Comment.author_id).where(Comment.essay_id == essay.id).order_by(Comment.id)
    for comment in db.session.execute(comments):
        drawn = random.sample(reader_ids, min(int(random.expovariate(1 / THANKS)), len(reader_ids)))
        thanking = [reader_id for reader_id in drawn if reader_id != comment.author_id]
        for reader_id in thanking:
            thanks.append({"comment_id": comment.id, "user_id": reader_id, "created_at": now})
        if thanking:
            likes.append({"id": comment.id, "likes": len(thanking)})
    for batch in _batches(iter(thanks)):
        db.session.execute(insert(Reaction), batch)
    for batch in _batches(iter(likes)):
        db.session.execute(update(Comment), batch)
    essay.thread_version += len(thanks)


@dataclass
class Place:
    """Where one comment stands in the discussion, and what its counters will say."""

    id: int
    author_id: int
    created_at: datetime
    answers: "Place | None"
    parent: "Place | None"
    accepted_before: int
    thread_number: int | None = None
    place: int = 0
    replies: int = 0
    visible_below: int = 0

    def __post_init__(self) -> None:
        above = self.parent
        self.depth: int = above.depth + 1 if above else 0
        self.root_id: int | None = (above.root_id or above.id) if above else None
        self.path: str = path_of(self.id, above.path if above else "")
        if self.answers:
            self.answers.replies += 1
        while above:
            above.visible_below += 1
            above = above.parent


def _places(
    essay: Essay,
    ids: Sequence[int],
    reader_ids: Sequence[int],
    random: Random,
    root_share: float,
    recent: float,
) -> list[Place]:
    """Decide who answers whom and when, from the essay's publication until now."""
    began = essay.published_at or essay.created_at
    step = (clock.now() - began) / (len(ids) + 1)
    places: list[Place] = []
    last_thread = select(func.max(Comment.thread_number)).where(Comment.essay_id == essay.id)
    threads = db.session.scalar(last_thread) or 0
    in_thread = Counter[int]()
    counted = select(User.id, User.accepted_comments).where(User.id.in_(reader_ids))
    accepted = {row.id: row.accepted_comments for row in db.session.execute(counted)}
    for number, comment_id in enumerate(ids):
        answers = None
        if places and random.random() >= root_share:
            back = min(int(random.expovariate(1 / recent)), len(places) - 1)
            answers = places[-1 - back]
        # At the cap a reply stands beside what it answers, as posting.post_comment has it.
        parent = answers.parent if answers and answers.depth >= MAX_DEPTH else answers
        moment = began + step * (number + 1)
        author_id = reader_ids[
            int(random.random() * len(reader_ids))
        ]  # one number drawn, however many there are
        place = Place(comment_id, author_id, moment, answers, parent, accepted[author_id])
        if place.root_id is None:
            threads += 1
            place.thread_number = threads
        else:
            in_thread[place.root_id] += 1
            place.place = in_thread[place.root_id]
        places.append(place)
        accepted[author_id] += 1
    return places


def _comment(essay: Essay, place: Place) -> dict[str, Any]:
    return {
        "id": place.id,
        "essay_id": essay.id,
        "author_id": place.author_id,
        "parent_id": place.parent.id if place.parent else None,
        "answers_id": place.answers.id if place.answers else None,
        "root_id": place.root_id,
        "thread_number": place.thread_number,
        "place": place.place,
        "depth": place.depth,
        "path": place.path,
        "form_token": f"load-{place.id}",
        "subscription": State.FREE.value,
        "created_at": place.created_at,
        "accepted_before": place.accepted_before,
        "spoken_at": place.created_at,
        "shown_number": 1,
        "visible": True,
        "visible_below": place.visible_below,
        "replies": place.replies,
    }


def _words(random: Random) -> Iterator[Rendered]:
    """Yield comments without end: long discussions come back to their first ones, for most of the time is rendering."""
    writer, written = Writer(random), list[Rendered]()
    for _ in range(DIFFERENT):
        written.append(render_comment(writer.comment()))
        yield written[-1]
    yield from cycle(written)


def _wording(place: Place, words: Rendered) -> dict[str, Any]:
    return {
        "comment_id": place.id,
        "source": words.source,
        "html": words.html,
        "renderer": words.renderer,
        "verdict": Verdict.ACCEPTED,
        "created_at": place.created_at,
    }


def _event(essay: Essay, place: Place) -> dict[str, Any]:
    return {
        "at": place.created_at,
        "actor_id": place.author_id,
        "act": "post",
        "essay_id": essay.id,
        "comment_id": place.id,
        "revision": 1,
        "to_state": Verdict.ACCEPTED.value,
    }


def _count(essay: Essay, places: list[Place]) -> None:
    essay.visible_comments += len(places)
    essay.thread_version += len(places)
    essay.commented_at = places[-1].created_at
    written = Counter(place.author_id for place in places)
    db.session.flush()
    before = db.session.execute(select(User.id, User.accepted_comments).where(User.id.in_(written)))
    counted = [{"id": row.id, "accepted_comments": row.accepted_comments + written[row.id]} for row in before]
    db.session.execute(update(User), counted)


def _reader(reader_id: int, name: str, number: int, now: datetime) -> dict[str, Any]:
    joined = now - timedelta(days=730 - number % 720, minutes=number)
    return {
        "id": reader_id,
        "name": name,
        "name_key": name_key(name),
        "email": f"reader-{number + 1}@{MAIL_DOMAIN}",
        "email_confirmed_at": joined,
        "created_at": joined,
    }


def _essay_text(slug: str) -> tuple[EssayWords, EssayText]:
    file = read_essay_file(ESSAYS / f"{slug}.md")
    words = EssayWords.typed(file.title, file.subtitle, file.source)
    return words, render_words(words)


def _reserve_ids(model: type[Base], count: int) -> Sequence[int]:
    """Return ids that nobody else will get, rising: paths are made of them before the rows are there."""
    if is_sqlite():  # the whole file is ours since the transaction began
        first = (db.session.scalar(select(func.max(model.__table__.c.id))) or 0) + 1
        return range(first, first + count)
    sequence = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :count)")
    return list(db.session.scalars(sequence, {"table": f'"{model.__tablename__}"', "count": count}))


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
