"""The same kind of discussion for every system: 40 % begin a thread, replies prefer recent ones, 40 to 400 words."""

from dataclasses import dataclass
from itertools import islice
from random import Random

from forum.demo.load import RECENT, ROOT_SHARE, SOURCES
from forum.demo.story import ESSAYS
from forum.demo.words import Writer, reader_names
from forum.discussion.comment import MAX_DEPTH
from forum.essays.importing import read_essay_file

READERS = 100
SEED = 1


@dataclass(frozen=True)
class Said:
    """One comment; `parent` is the place of what it answers in the same discussion."""

    author: int
    parent: int | None
    text: str


@dataclass(frozen=True)
class Discussion:
    """What was said about one essay, oldest first."""

    slug: str
    title: str
    essay: str
    comments: list[Said]


def discussion(slug: str, count: int) -> Discussion:
    """Make a discussion of so many comments, always the same for the same number."""
    random = Random(SEED)
    writer = Writer(random)
    comments: list[Said] = []
    depths: list[int] = []
    for number in range(count):
        parent = None
        if number and random.random() >= ROOT_SHARE:
            parent = number - 1 - min(int(random.expovariate(1 / RECENT)), number - 1)
        # At the cap a reply stands beside what it answers.
        if parent is not None and depths[parent] >= MAX_DEPTH:
            parent = comments[parent].parent
        depths.append(0 if parent is None else depths[parent] + 1)
        comments.append(Said(random.randrange(READERS), parent, writer.comment()))
    essay = read_essay_file(ESSAYS / f"{SOURCES[0]}.md")
    return Discussion(slug, essay.title, essay.source, comments)


def people() -> list[str]:
    """Return the names of those who wrote the comments; `Said.author` is a place in this list."""
    return list(islice(reader_names(), READERS))


def letters(count: int) -> list[str]:
    """Return texts to post."""
    writer = Writer(Random(SEED + 1))
    return [writer.comment() for _ in range(count)]
