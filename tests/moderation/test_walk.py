"""Everything that moderators did in a random walk is taken back, to the byte; whatever else happens stays sound."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from forum.moderation import batch
from tests.cast import Cast
from tests.moderation.walk import MODERATORS, READERS, build, differences

SEEDS = range(1, int(os.environ.get("FORUM_WALKS", "1")) + 1)
"""One walk for each; `make walk` goes further, and from more places."""

ACTS = int(os.environ.get("FORUM_WALK_ACTS", "60"))
FEW = ACTS // 3
BEGAN = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[time_machine.Traveller]:
    """Return the clock, which stands until it is moved; the worker does not wait between its pieces."""
    monkeypatch.setattr(batch, "PAUSE_SECONDS", 0)
    with time_machine.travel(BEGAN, tick=False) as traveller:
        yield traveller


@pytest.mark.parametrize("seed", SEEDS)
def test_all_acts_of_a_walk_are_taken_back_one_by_one_and_nothing_is_left_of_them(
    cast: Cast, time: time_machine.Traveller, seed: int
) -> None:
    walk = build(cast, seed, time)
    rows, pages, first = walk.rows(), walk.pages(), walk.last_event()
    walk.walk(ACTS, MODERATORS)
    last = walk.last_event()
    assert walk.pages() != pages
    while events := walk.in_force(first, last):
        assert walk.undo(events[0]), walk.refusal
    assert walk.unsound() == []
    assert differences(walk.rows(), rows) == {}
    assert differences(walk.pages(), pages) == {}
    assert walk.mails() == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_walk_is_taken_back_in_any_order_each_act_with_what_followed(
    cast: Cast, time: time_machine.Traveller, seed: int
) -> None:
    walk = build(cast, seed, time)
    rows, pages, first = walk.rows(), walk.pages(), walk.last_event()
    walk.walk(FEW, MODERATORS)
    last = walk.last_event()
    while events := walk.in_force(first, last, is_undo=False):
        walk.random.shuffle(events)
        assert any(walk.undo(event, with_later=True) for event in events), walk.refusal
        assert walk.unsound() == []
    assert differences(walk.rows(), rows) == {}
    assert differences(walk.pages(), pages) == {}
    assert walk.mails() == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_writers_readers_and_moderators_do_among_each_other_stays_sound(
    cast: Cast, time: time_machine.Traveller, seed: int
) -> None:
    walk = build(cast, seed, time)
    walk.walk(FEW, MODERATORS | READERS)
    assert set(walk.done) & set(READERS)
