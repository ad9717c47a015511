"""The scene of the moderation tests."""

from datetime import timedelta

import pytest

from forum import clock
from forum.essays.essay import Essay
from tests.cast import Cast
from tests.moderation.stage import Scene


@pytest.fixture
def scene(cast: Cast) -> Scene:
    """Return an essay that is a month old, with its discussion and people who may decide about it."""
    cast.change(Essay, cast.essay_id, published_at=clock.now() - timedelta(days=30))
    return Scene(cast)
