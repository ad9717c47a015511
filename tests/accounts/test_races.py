"""Several at once: one of them has the link, the address or the name, and nobody meets an error page."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from forum.accounts.role import LastAdmin, change_role
from forum.accounts.session import Session
from forum.accounts.user import Role, User
from forum.database import db
from tests.accounts.conftest import KNOWN
from tests.accounts.mailbox import code_in, last_mail, link_in, mails_to
from tests.cast import Cast

ROUNDS = 5


def at_once(deeds: Sequence[Callable[[], TestResponse]]) -> list[int]:
    """Do all deeds in the same moment and return their statuses, sorted."""
    gate = Barrier(len(deeds))

    def do(deed: Callable[[], TestResponse]) -> int:
        gate.wait()
        return deed().status_code

    with ThreadPoolExecutor(len(deeds)) as pool:
        return sorted(pool.map(do, deeds))


def count(app: Flask, condition: object) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(User.id)).where(condition)) or 0  # type: ignore[arg-type]


def test_a_link_that_is_used_four_times_at_once_signs_in_once(cast: Cast, app: Flask, known: int) -> None:
    for _ in range(ROUNDS):
        cast.stranger.post("/sign-in", {"email": KNOWN})
        link = link_in(last_mail(app, KNOWN))
        visitors = [cast.stranger for _ in range(4)]
        assert at_once([partial(v.post, link) for v in visitors]) == [303, 410, 410, 410]
    with app.app_context():
        assert db.session.scalar(select(func.count(Session.id)).where(Session.user_id == known)) == ROUNDS


def test_two_sign_ups_with_one_address_confirmed_at_once_make_one_account(cast: Cast, app: Flask) -> None:
    for n in range(ROUNDS):
        email = f"new{n}@mail.example"
        for half in ("First", "Second"):
            cast.stranger.post("/sign-up", {"name": f"{half} of {n}", "email": email})
        links = [link_in(mail) for mail in mails_to(app, email)]
        statuses = at_once([lambda link=link: cast.stranger.post(link) for link in links])
        assert statuses in ([303, 303], [303, 410])
        assert count(app, User.email == email) == 1


@pytest.mark.parametrize(("chosen", "answers"), [(True, [303, 422]), (False, [303, 303])])
def test_two_people_who_want_one_name_at_once_get_it_once(
    cast: Cast, app: Flask, chosen: bool, answers: list[int]
) -> None:
    for n in range(ROUNDS):
        emails = [f"{half}{n}@mail.example" for half in ("one", "two")]
        for email in emails:
            cast.stranger.post("/sign-up", {"name": f"Ada {n}", "email": email})
        links = [link_in(last_mail(app, email)) for email in emails]
        form = {"name": f"Ada {n}"} if chosen else {}
        assert (
            at_once([lambda link=link, form=form: cast.stranger.post(link, form) for link in links])
            == answers
        )
        assert count(app, User.name == f"Ada {n}") == 1
        assert count(app, User.name == f"Ada {n} 2") == answers.count(303) - 1


def test_one_address_wanted_by_two_accounts_at_once_goes_to_one(cast: Cast, app: Flask) -> None:
    for n in range(ROUNDS):
        email = f"wanted{n}@mail.example"
        for visitor in (cast.reader, cast.other_reader):
            visitor.post("/account/address", {"email": email})
        links = [link_in(mail) for mail in mails_to(app, email)]
        assert at_once([lambda link=link: cast.stranger.post(link) for link in links]) == [303, 410]
        assert count(app, User.email == email) == 1


def test_five_tries_at_a_code_are_five_also_when_they_come_at_once(
    cast: Cast, app: Flask, known: int
) -> None:
    visitor = cast.stranger
    visitor.post("/sign-in", {"email": KNOWN})
    with visitor.client.session_transaction() as cookie:
        asked = cookie["asked"]
    right = code_in(last_mail(app, KNOWN))
    wrong = "111 111" if right != "111 111" else "222 222"
    others = [cast.stranger for _ in range(5)]
    for other in others:
        with other.client.session_transaction() as cookie:
            cookie["asked"] = asked
    assert at_once([lambda v=v: v.post("/sign-in/check", {"code": wrong}) for v in others]) == [422] * 5
    assert visitor.post("/sign-in/check", {"code": right}).status_code == 422


def test_two_admins_who_are_demoted_at_once_leave_one(cast: Cast, app: Flask) -> None:
    ids = [cast.user(name, Role.ADMIN) for name in ("Ada Root", "Bo Root")]

    def demote(user_id: int) -> str:
        with app.app_context():
            try:
                change_role(db.session.get_one(User, user_id), Role.READER, actor_id=None)
                db.session.commit()
            except LastAdmin:
                return "refused"
            return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, ids)) == ["done", "refused"]
    assert count(app, User.role == Role.ADMIN) == 1
