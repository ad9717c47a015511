"""gzip from parts: any reader of gzip gets all bytes back."""

import contextlib
import gzip
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from forum.pagecache import PageCache
from forum.stitching import MOST_STORED, Segment, gzip_of

PIECES = st.lists(st.tuples(st.booleans(), st.binary(max_size=300)))


@given(PIECES)
def test_what_was_stitched_unpacks_to_all_pieces_in_order(pieces: list[tuple[bool, bytes]]) -> None:
    stitched = gzip_of(Segment(raw) if is_shared else raw for is_shared, raw in pieces)
    assert gzip.decompress(stitched) == b"".join(raw for _, raw in pieces)


@given(PIECES, st.binary(max_size=50))
def test_what_was_joined_is_the_same_wherever_it_stands(pieces: list[tuple[bool, bytes]], own: bytes) -> None:
    joined = Segment.joined(Segment(raw) if is_shared else raw for is_shared, raw in pieces)
    text, long = b"".join(raw for _, raw in pieces), bytes(range(256)) * 20
    again = Segment.joined([Segment(long), joined])
    stitched = gzip_of([joined, own, Segment(long), joined, own, again])
    assert gzip.decompress(stitched) == text + own + long + text + own + long + text


@given(st.binary(max_size=50), st.integers(0, 40_000))
def test_a_part_that_knows_what_precedes_it_refers_back_to_it(own: bytes, length: int) -> None:
    before = random.Random(length).randbytes(length)
    raw = before[-2_000:] + b"and so on"
    known = Segment(raw, before)
    assert gzip.decompress(gzip_of([own, Segment(before), known, own])) == own + before + raw + own
    assert length < 500 or len(known.deflated) < len(Segment(raw).deflated) - 400


def test_a_piece_that_no_block_holds_is_stored_in_several() -> None:
    long = bytes(range(256)) * 600
    assert len(long) > 2 * MOST_STORED
    assert gzip.decompress(gzip_of([long, Segment(long), long])) == long * 3


class Kept:
    """Something of a size."""

    def __init__(self, size: int) -> None:
        self.size = size


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 60))))
def test_what_is_kept_never_takes_more_than_it_may_and_the_latest_stays(
    wanted: list[tuple[int, int]],
) -> None:
    cache = PageCache(100)
    for key, size in wanted:
        cache.keep(key, Kept(size))
        assert sum(part.size for part in cache.parts()) == cache.bytes <= 100
        assert cache.find(key) is not None


def test_who_comes_after_one_failed_to_make_a_part_waits_for_the_next_who_makes_it() -> None:
    cache, made, second_makes = PageCache(100), [], threading.Event()

    def make() -> Kept:
        made.append(1)
        if len(made) == 2:
            second_makes.set()
        time.sleep(0.1)  # long enough for the others to come
        if len(made) == 1:
            raise ValueError
        return Kept(1)

    def ask() -> Kept | None:
        with contextlib.suppress(ValueError):
            return cache.find_or_make("key", make)
        return None

    with ThreadPoolExecutor(3) as crowd:
        early = [crowd.submit(ask) for _ in range(2)]
        second_makes.wait(10)
        late = crowd.submit(ask)
        found = [one.result() for one in (*early, late)]
    assert (len(made), found.count(None)) == (2, 1)


def test_what_was_wanted_least_lately_goes_first() -> None:
    cache = PageCache(100)
    for key in "abcd":
        cache.keep(key, Kept(25))
    cache.find("a")
    cache.keep("e", Kept(25))
    assert [cache.find(key) is not None for key in "abcde"] == [True, False, True, True, True]
