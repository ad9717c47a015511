"""Finding people: by name, address or id, filtered, sorted, a page at a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, UnaryExpression, case, func, or_, select

from forum.accounts.session import Session
from forum.accounts.user import Role, Standing, User
from forum.database import Page, db, page_of
from forum.discussion.comment import Comment
from forum.subscriptions.subscription import (
    State,
    Subscription,
    has_subscription_state,
)
from forum.subscriptions.tier import subscription_words
from forum.text.names import name_key
from forum.text.normal import one_line

PER_PAGE = 50
LONGEST_QUERY = 254
"""As long as an address may be; nobody is found by more."""

ID_QUERY = re.compile(r"id\s*:\s*([0-9]{1,18})", re.IGNORECASE)
"""A longer number does not fit the column, so that it could only be part of a name."""

SORTS = ("name", "email", "since", "comments", "role")
STATES = tuple(state for state in State if state != State.NONE)

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True)
class Question:
    """What is asked of the list of people; everything of it stands in the address."""

    query: str = ""
    role: Role | None = None
    standing: Standing | None = None
    subscription: State | None = None
    sort: str = "since"
    is_descending: bool = True

    @property
    def is_narrowed(self) -> bool:
        """Tell whether anything is asked that may leave somebody out."""
        return bool(self.query or self.role or self.standing or self.subscription)

    def parts(self) -> list[tuple[str, str]]:
        """Return what narrows the list, as the address and forms name it."""
        parts = (
            ("q", self.query),
            ("role", self.role),
            ("standing", self.standing),
            ("subscription", self.subscription),
        )
        return [(name, str(value)) for name, value in parts if value]

    def address(self, **changes: Any) -> str:
        """Return the address of this question, with some parts changed; what is not asked is left out."""
        parts: dict[str, Any] = {
            **dict(self.parts()),
            "sort": self.sort,
            "order": "descending" if self.is_descending else "ascending",
        } | changes
        if (parts["sort"], parts["order"]) == ("since", "descending"):
            del parts["sort"], parts["order"]
        given = {key: str(value) for key, value in parts.items() if value and (key, value) != ("page", 1)}
        return "/admin/users" + (f"?{urlencode(given)}" if given else "")

    def sorted_by(self, column: str) -> str:
        """Return the address that sorts by a column, and turns the order round when it already does."""
        turned = column == self.sort and not self.is_descending
        return self.address(sort=column, order="descending" if turned else "ascending")

    def sort_of(self, column: str) -> str | None:
        """Return what `aria-sort` says of a column."""
        if column != self.sort:
            return None
        return "descending" if self.is_descending else "ascending"


def question_from(args: Mapping[str, str]) -> Question:
    """Read a question from the address; what is no choice there counts as not asked."""
    sort = args.get("sort", "")
    order = args.get("order", "ascending") if sort in SORTS else "descending"
    return Question(
        query=one_line(args.get("q", "")[: LONGEST_QUERY * 4])[:LONGEST_QUERY],
        role=_one_of(Role, args.get("role")),
        standing=_one_of(Standing, args.get("standing")),
        subscription=_one_of(State, args.get("subscription")),
        sort=sort if sort in SORTS else "since",
        is_descending=order == "descending",
    )


def find_people(question: Question, number: int, now: datetime) -> Page[User]:
    """Return one page of the people a question finds; two queries."""
    return page_of(_found(question, now).order_by(*_order(question), User.id), number, PER_PAGE)


def find_exactly(question: Question, now: datetime) -> User | None:
    """Return the person whose id, address or only name a query is, so that their page can open at once."""
    if not question.query:
        return None
    text = question.query.lower()
    found = db.session.scalars(_found(question, now).order_by(User.email != text, User.id).limit(2)).all()
    if not found:
        return None
    one = found[0]
    is_whole = one.email == text or _id_asked_for(text) == one.id
    is_only_name = len(found) == 1 and one.name.casefold() == text.casefold()
    return one if is_whole or is_only_name else None


def is_asked_for(query: str) -> ColumnElement[bool]:
    """Return the condition on users that a search for a name, an address or `id:12` stands for.

    Names are found whatever their case, accents of look-alike letters and spaces; `%` and `_` are letters like others.
    """
    if (number := _id_asked_for(query)) is not None:
        return User.id == number
    conditions = [
        User.name.icontains(query, autoescape=True),
        User.email.contains(query.lower(), autoescape=True),
    ]
    if key := name_key(query):
        conditions.append(User.name_key.contains(key, autoescape=True))
    return or_(*conditions)


def comment_counts(people: list[int]) -> dict[int, int]:
    """Return how many comments each of these people wrote, whatever became of them; one query."""
    counts = select(Comment.author_id, func.count(Comment.id)).group_by(Comment.author_id)
    return dict(iter(db.session.execute(counts.where(Comment.author_id.in_(people)))))


def subscriptions_in_words(people: list[User], names: Mapping[State, str], now: datetime) -> dict[int, str]:
    """Return each person's subscription with its dates in a phrase; one query. `names` is state_names()."""
    ids = [one.id for one in people]
    found = select(Subscription).where(Subscription.user_id.in_(ids))
    rows = {row.user_id: row for row in db.session.scalars(found)}
    return {one.id: _in_words(one, rows.get(one.id), names, now) for one in people}


def ids_found(question: Question, most: int, now: datetime) -> list[int]:
    """Return the ids of everybody whom a question finds, in order, `most` at most."""
    found = _found(question, now).with_only_columns(User.id).order_by(User.id).limit(most)
    return list(db.session.scalars(found))


def last_seen(user: User) -> datetime | None:
    """Return when one of a person's browsers was last here."""
    return db.session.scalar(select(func.max(Session.last_seen_at)).where(Session.user_id == user.id))


def _in_words(user: User, row: Subscription | None, names: Mapping[State, str], now: datetime) -> str:
    state = row.state(now) if row else State.FREE
    words = subscription_words(state, row, names)
    if user.is_confirmed:
        return words
    return f"{names[State.UNCONFIRMED]}; {words}" if row else names[State.UNCONFIRMED]


def _id_asked_for(query: str) -> int | None:
    found = ID_QUERY.fullmatch(query)
    return int(found[1]) if found else None


def _found(question: Question, now: datetime) -> Select[User]:
    statement = select(User)
    if question.query:
        statement = statement.where(is_asked_for(question.query))
    if question.role:
        statement = statement.where(User.role == question.role)
    if question.standing:
        statement = statement.where(User.has_standing(question.standing, now))
    if question.subscription:
        statement = statement.where(has_subscription_state(question.subscription, now))
    return statement


def _order(question: Question) -> list[UnaryExpression[Any]]:
    by: dict[str, ColumnElement[Any]] = {
        "name": func.lower(User.name),
        "email": User.email.expression,
        "since": User.created_at.expression,
        "comments": select(func.count(Comment.id)).where(Comment.author_id == User.id).scalar_subquery(),
        "role": case({role: place for place, role in enumerate(Role)}, value=User.role),
    }
    column = by[question.sort]
    return [column.desc() if question.is_descending else column.asc()]


def _one_of(kind: type[Word], word: str | None) -> Word | None:
    return kind(word) if word in set(kind) else None
