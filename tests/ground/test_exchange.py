"""Workers of one generation take from each other what one of them has made, and none waits for one that is dead."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forum.exchange import LARGEST_SHARE, SLOTS, Exchange

SIZE = 100_000


def in_another_worker(work: Callable[[], None]) -> int:
    """Run something in a process that is forked now, and return its number."""
    process = os.fork()
    if not process:
        work()
        os._exit(0)
    return process


def never() -> bytes:
    raise AssertionError("made a second time")


def test_what_one_worker_made_another_takes() -> None:
    exchange = Exchange(SIZE)
    os.waitpid(in_another_worker(lambda: exchange.find_or_make(("a", 1), lambda: b"made there") and None), 0)
    assert exchange.find_or_make(("a", 1), never) == b"made there"
    assert exchange.find_or_make(("a", 2), lambda: b"another") == b"another"


def test_many_workers_that_ask_at_once_make_it_once(tmp_path: Path) -> None:
    exchange, made = Exchange(SIZE), tmp_path / "made"

    def make() -> bytes:
        with made.open("a") as file:
            file.write("once ")
        time.sleep(0.05)
        return b"value"

    workers = [in_another_worker(lambda: exchange.find_or_make("key", make) and None) for _ in range(4)]
    assert exchange.find_or_make("key", make) == b"value"
    for worker in workers:
        os.waitpid(worker, 0)
    assert made.read_text() == "once "


def test_a_worker_that_is_killed_while_it_makes_something_holds_up_nobody(tmp_path: Path) -> None:
    exchange, began = Exchange(SIZE), tmp_path / "began"

    def stand_still() -> bytes:
        began.touch()
        time.sleep(30)
        return b"too late"

    worker = in_another_worker(lambda: exchange.find_or_make("key", stand_still) and None)
    while not began.exists():
        time.sleep(0.001)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert exchange.find_or_make("key", lambda: b"ours") == b"ours"


def test_a_worker_that_stands_still_in_the_memory_holds_up_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forum.exchange.LONGEST_WAIT_SECONDS", 0.05)
    exchange, began = Exchange(SIZE), tmp_path / "began"

    def stand_still() -> None:
        with exchange._directory():
            began.touch()
            time.sleep(30)

    worker = in_another_worker(stand_still)
    while not began.exists():
        time.sleep(0.001)
    assert exchange.find_or_make("key", lambda: b"ours") == b"ours"
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)


def test_the_newest_values_are_there_and_every_value_is_whole() -> None:
    exchange = Exchange(SIZE)
    for number in range(3 * SLOTS):
        value = bytes([number % 251]) * (number * 997 % (SIZE // LARGEST_SHARE))
        assert exchange.find_or_make(number, lambda value=value: value) == value
        for earlier in range(max(0, number - 3), number + 1):
            found = exchange.find_or_make(earlier, lambda: b"gone")
            assert found in (b"gone", bytes([earlier % 251]) * (earlier * 997 % (SIZE // LARGEST_SHARE)))
    assert exchange.find_or_make(number, never) == value


def test_what_is_too_large_is_made_each_time() -> None:
    exchange = Exchange(SIZE)
    large = bytes(SIZE)
    assert exchange.find_or_make("large", lambda: large) == large
    assert exchange.find_or_make("large", lambda: b"anew") == b"anew"
