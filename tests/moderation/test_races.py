"""Two at one comment at the same moment, on both databases: one outcome, nobody meets an error, all counts are true."""

import pytest

from tests.cast import Cast
from tests.moderation.race import RACES, prepare, refuse_wrong_counters

TRIES = 2
"""`bench/races.py` tries each a few hundred times."""


@pytest.mark.parametrize("race", RACES)
def test_whoever_meets_at_one_moment_one_outcome_comes_of_it(cast: Cast, race: str) -> None:
    prepare(cast)
    for number in range(TRIES):
        RACES[race](cast, number)
    refuse_wrong_counters(cast)
