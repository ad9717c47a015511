"""The scene of the moderation tests."""

import pytest

from tests.cast import Cast
from tests.moderation.stage import Scene


@pytest.fixture
def scene(cast: Cast) -> Scene:
    """Return an essay with its discussion and people who may decide about it."""
    return Scene(cast)
