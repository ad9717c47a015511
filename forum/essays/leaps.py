"""Finding the different values of an index without reading it all: from each to the next by one look."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import CTE, Select, select


def leaps(first: Select[Any], following: Callable[[Any], Select[Any]]) -> CTE:
    """Return a table of the values found, in a column `key` that ends with one NULL.

    `first` is a select whose first row is the first value; `following` gives the same for what comes after a value.
    """
    found = select(first.limit(1).scalar_subquery().label("key")).cte("found", recursive=True)
    onward = following(found.c.key).limit(1).scalar_subquery()
    return found.union_all(select(onward).where(found.c.key.is_not(None)))


def values_of(found: CTE, most: int) -> Select[Any]:
    """Return the select of the values that were found, `most` of them."""
    return select(found.c.key).where(found.c.key.is_not(None)).limit(most)
