"""One person’s page: role, standing, name, notes and sessions, each with its reason; and what nobody may do."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from forum import clock
from forum.accounts.session import Session
from forum.accounts.user import Role, Standing, User
from forum.admin.people import change_role
from forum.database import db
from forum.moderation.standing import NotDone
from forum.site.audit import AuditEntry
from tests.admin.written import STATES, comment_by
from tests.cast import Cast, Visitor, words

WHY = "They insulted two readers."
ACTS = ("role", "suspend", "unsuspend", "hold", "release", "name", "notes", "sessions/end", "ban", "unban")
FIELDS = {"role": "moderator", "days": "3", "name": "A new name", "note": "Seen.", "hide_comments": "yes"}
ON_THE_DESK = ("suspend", "unsuspend", "hold", "release", "ban", "unban", "notes")
"""The acts that more people than admins may do; the others are on the account."""


def page_of(user_id: int | None, what: str) -> str:
    return f"/moderation/people/{user_id}" if what in ON_THE_DESK else f"/admin/users/{user_id}"


def act(visitor: Visitor, user_id: int | None, what: str, /, **fields: Any) -> Any:
    return visitor.post(f"{page_of(user_id, what)}/{what}", {"reason": WHY} | fields)


def entries(cast: Cast) -> list[tuple[str, int | None, str, str]]:
    with cast.app.app_context():
        found = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(one.act, one.actor_id, one.subject, one.reason) for one in found]


def everything(cast: Cast) -> list[Any]:
    """Return every user and every session, column by column."""
    with cast.app.app_context():
        return [
            list(db.session.execute(select(table).order_by(table.c.id)))
            for table in (User.__table__, Session.__table__, AuditEntry.__table__)
        ]


def prepare_for(cast: Cast, what: str, user_id: int | None) -> None:
    """Bring a person into the standing that an act ends."""
    columns: dict[str, dict[str, Any]] = {
        "unsuspend": {"suspended_until": clock.now() + timedelta(days=2)},
        "release": {"is_held": True},
        "unban": {"banned_at": clock.now()},
    }
    cast.change(User, user_id, **columns.get(what, {}))


@pytest.mark.parametrize("what", ACTS)
def test_every_act_needs_a_reason_and_keeps_what_was_typed(cast: Cast, what: str) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    prepare_for(cast, what, user_id)
    before = everything(cast)
    missing = {"note": ""} if what == "notes" else {"reason": " \x00 "}
    answer = act(admin, user_id, what, **(FIELDS | {"name": "Half typed", "days": "17"} | missing))
    assert answer.status_code == 422
    assert everything(cast) == before
    page = words(answer)
    assert "There is a problem" in page
    assert ("Write the note first." if what == "notes" else "Give a reason in one sentence.") in page
    for kept in {"suspend": ['value="17"'], "name": ['value="Half typed"']}.get(what, []):
        assert kept in answer.text
    too_long = act(admin, user_id, what, **(FIELDS | {"reason": "x" * 301, "note": "x" * 2_001}))
    assert too_long.status_code == 422
    assert "x" * 300 in too_long.text
    assert everything(cast) == before


@pytest.mark.parametrize("what", ACTS)
def test_every_act_writes_who_did_what_to_whom_and_why(cast: Cast, what: str) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    prepare_for(cast, what, user_id)
    answer = act(admin, user_id, what, **FIELDS)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, page_of(user_id, what))
    names = {"notes": "note", "sessions/end": "sign-out"}
    reason = "Seen." if what == "notes" else WHY
    assert entries(cast) == [(names.get(what, what), admin.user_id, f"user:{user_id}", reason)]
    assert reason in words(admin.get(f"/admin/users/{user_id}"))


@pytest.mark.parametrize("what", [*ACTS, "sessions/1/end"])
def test_each_act_is_for_those_whose_it_is(cast: Cast, what: str) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    prepare_for(cast, what, user_id)
    moderator = cast.moderator
    others = [cast.reader, cast.newcomer, cast.stranger]
    if what not in ("hold", "release", "notes"):
        others.append(moderator)
    if what not in ON_THE_DESK:
        others.append(cast.author)
    before = everything(cast)
    for who in others:
        assert act(who, user_id, what, **FIELDS).status_code == 403
        if not (who is moderator and what in ON_THE_DESK):
            assert act(who, 999_999, what, **FIELDS).status_code == 403  # whether somebody exists is not told
    assert everything(cast) == before
    for nobody in (999_999, 2**63, 10**30):
        assert act(admin, nobody, what, **FIELDS).status_code == 404
    assert everything(cast) == before


@pytest.mark.parametrize("what", ACTS)
def test_a_forged_form_does_nothing(cast: Cast, what: str) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    prepare_for(cast, what, user_id)
    before = everything(cast)
    answer = admin.client.post(f"{page_of(user_id, what)}/{what}", data=FIELDS | {"reason": WHY})
    assert answer.status_code == 400
    assert everything(cast) == before


@pytest.mark.parametrize("what", ["suspend", "unsuspend", "hold", "release", "ban", "unban"])
def test_nobody_changes_their_own_standing(cast: Cast, what: str) -> None:
    admin = cast.admin
    cast.person("second admin", Role.ADMIN)
    before = everything(cast)
    assert act(admin, admin.user_id, what, **FIELDS).status_code == 403
    assert act(cast.author, cast.author.user_id, "ban").status_code == 403
    assert everything(cast) == before


def test_fields_that_the_form_does_not_show_are_ignored(cast: Cast) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    extra = {"email": "x@mail.example", "is_held": "1", "accepted_comments": "99", "id": "1", "actor_id": "1"}
    extra |= {"banned_at": "2020-01-01", "password_hash": "x", "user_id": str(admin.user_id)}
    assert act(admin, user_id, "name", name="Another name", role="admin", **extra).status_code == 303
    user = cast.read(User, user_id)
    assert (user.name, user.role, user.email) == ("Another name", Role.READER, "reader@mail.example")
    assert (user.is_held, user.accepted_comments, user.banned_at, user.password_hash) == (
        False,
        2,
        None,
        None,
    )


def test_a_new_role_signs_the_person_out_and_counts_from_then_on(cast: Cast) -> None:
    reader = cast.reader
    assert act(cast.admin, reader.user_id, "role", role="moderator").status_code == 303
    assert reader.get("/account").status_code == 303  # to the sign-in page
    assert cast.read(User, reader.user_id).role == Role.MODERATOR


@pytest.mark.parametrize("role", ["king", "", "ADMIN", "reader"])
def test_a_role_that_is_none_or_the_same_is_refused(cast: Cast, role: str) -> None:
    answer = act(cast.admin, cast.reader.user_id, "role", role=role)
    assert answer.status_code == 422
    assert cast.read(User, cast.reader.user_id).role == Role.READER


def test_the_only_admin_keeps_the_role_and_is_told_why(cast: Cast) -> None:
    admin = cast.admin
    page = admin.get(f"/admin/users/{admin.user_id}")
    assert "You are the only admin." in words(page)
    assert "/role" not in page.text
    answer = act(admin, admin.user_id, "role", role="reader")
    assert answer.status_code == 422
    assert "You are the only admin." in words(answer)
    other = cast.person("other admin", Role.ADMIN, suspended_until=clock.now() + timedelta(days=1))
    assert (
        act(admin, admin.user_id, "role", role="reader").status_code == 422
    )  # a suspended admin cannot manage
    cast.change(User, other.user_id, suspended_until=None)
    assert act(admin, admin.user_id, "role", role="reader").status_code == 303
    assert cast.read(User, admin.user_id).role == Role.READER


def test_the_command_line_changes_roles_but_never_takes_the_last_admin(cast: Cast) -> None:
    admin_id, reader_id = cast.admin.user_id, cast.reader.user_id
    with cast.app.app_context():
        admin, reader = (db.session.get_one(User, one) for one in (admin_id, reader_id))
        with pytest.raises(NotDone, match="only admin"):
            change_role(None, admin, Role.READER, "")
        change_role(None, reader, Role.ADMIN, "")
        change_role(None, admin, Role.READER, "")
        db.session.commit()
    assert [(act, actor) for act, actor, _, _ in entries(cast)] == [("role", None), ("role", None)]


@pytest.mark.parametrize("round_number", range(3))
@pytest.mark.parametrize("what", ["role", "ban", "suspend", "own role"])
def test_two_admins_who_act_on_each_other_at_once_leave_one(cast: Cast, what: str, round_number: int) -> None:
    admins = [cast.admin, cast.person("second admin", Role.ADMIN)]
    start = Barrier(2)

    def topple(number: int) -> int:
        whom = admins[number if what == "own role" else 1 - number].user_id
        start.wait()
        form = {"role": "reader", "days": "3"}
        return int(act(admins[number], whom, what.removeprefix("own "), **form).status_code)

    with ThreadPoolExecutor(2) as pool:
        codes = sorted(pool.map(topple, range(2)))
    assert codes[0] == 303
    assert codes[1] in (403, 422)
    with cast.app.app_context():
        standing = User.has_standing(Standing.ACTIVE, clock.now())
        left = select(func.count(User.id)).where(User.role == Role.ADMIN, standing)
        assert db.session.scalar(left) == 1


def test_a_suspension_stops_posting_with_its_reason_and_passes_by_itself(cast: Cast) -> None:
    reader, admin = cast.reader, cast.admin
    assert act(admin, reader.user_id, "suspend", days="3").status_code == 303
    page = words(admin.get(f"/admin/users/{reader.user_id}"))
    assert "Suspended until" in page
    assert WHY in page
    answer = reader.comment(cast.slug, "Let me in")
    assert answer.status_code == 403
    assert WHY.rstrip(".") in words(answer) or WHY.rstrip(".") in words(reader.get(f"/essays/{cast.slug}"))
    with time_machine.travel(clock.now() + timedelta(days=2, hours=23), tick=False):
        assert reader.comment(cast.slug, "Almost").status_code == 403
    with time_machine.travel(clock.now() + timedelta(days=3, minutes=1), tick=False):
        assert reader.comment(cast.slug, "Served").status_code == 303
        admin = cast.sign_in(admin.user_id or 0)
        assert "In good standing." in words(admin.get(f"/moderation/people/{reader.user_id}"))


@time_machine.travel(datetime(2026, 3, 10, 12, tzinfo=clock.UTC), tick=False)
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Say for how many days, or until which date."),
        ({"days": "0"}, "Give 1 to 3650 days."),
        ({"days": "-4"}, "Give 1 to 3650 days."),
        ({"days": "99999999999999999999"}, "Give 1 to 3650 days."),
        ({"days": "9" * 5_000}, "Type a whole number."),
        ({"days": "two"}, "Type a whole number."),
        ({"until": "2026-03-10"}, "Choose a date in the future."),
        ({"until": "0001-01-01"}, "Choose a date in the future."),
        ({"until": "9999-12-31"}, "Choose a date within ten years, or ban the person without an end."),
        ({"until": "tomorrow"}, "Type a date as year-month-day, such as 2027-01-31."),
        ({"days": "3", "until": "2026-04-01"}, "Give the days or the date, not both."),
    ],
)
def test_a_suspension_needs_one_end_within_its_bounds(
    cast: Cast, fields: dict[str, str], sentence: str
) -> None:
    answer = act(cast.admin, cast.reader.user_id, "suspend", **fields)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert f'value="{WHY}"' in answer.text
    assert cast.read(User, cast.reader.user_id).suspended_until is None


def test_a_date_suspends_until_that_day_begins(cast: Cast) -> None:
    with time_machine.travel(datetime(2026, 3, 10, 12, tzinfo=clock.UTC), tick=False):
        act(cast.admin, cast.reader.user_id, "suspend", until="2026-03-20")
    until = cast.read(User, cast.reader.user_id).suspended_until
    assert until == datetime(2026, 3, 20, tzinfo=clock.UTC)


def test_a_held_persons_comments_wait_until_they_are_released(cast: Cast) -> None:
    reader, admin = cast.reader, cast.admin
    act(admin, reader.user_id, "hold")
    reader.comment(cast.slug, "This waits")
    assert "This waits" not in cast.stranger.get(f"/essays/{cast.slug}").text
    act(admin, reader.user_id, "release")
    reader.comment(cast.slug, "This does not")
    page = cast.stranger.get(f"/essays/{cast.slug}").text
    assert "This does not" in page
    assert "This waits" not in page


def test_a_lifted_suspension_lets_the_person_write_at_once(cast: Cast) -> None:
    act(cast.admin, cast.reader.user_id, "suspend", days="300")
    act(cast.admin, cast.reader.user_id, "unsuspend")
    assert cast.reader.comment(cast.slug, "Back again").status_code == 303


@pytest.mark.parametrize("what", ["unsuspend", "release", "unban"])
def test_what_is_not_in_force_cannot_be_lifted(cast: Cast, what: str) -> None:
    answer = act(cast.admin, cast.reader.user_id, what)
    assert answer.status_code == 422
    assert "any more" in words(answer)
    assert entries(cast) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Type the new name."),
        ("x", "A name needs at least 2 characters."),
        ("y" * 61, "A name can have at most 60 characters."),
        ("reader", "That is their name already."),
        ("author", "Somebody has this name, or one that looks like it."),
        ("Auth0r", "Somebody has this name, or one that looks like it."),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_the_cause(cast: Cast, name: str, sentence: str) -> None:
    answer = act(cast.admin, cast.reader.user_id, "name", name=name)
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert cast.read(User, cast.reader.user_id).name == "reader"


def test_a_new_name_stands_beside_everything_the_person_wrote(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "My words")
    assert "reader" in words(cast.stranger.get(f"/essays/{cast.slug}"))
    act(cast.admin, cast.reader.user_id, "name", name="Somebody Else")
    page = words(cast.stranger.get(f"/essays/{cast.slug}"))
    assert "Somebody Else" in page
    assert [details(cast)] == [[{"old": "reader", "new": "Somebody Else"}]]


def test_two_people_given_one_name_at_once_do_not_share_it(cast: Cast) -> None:
    whom = [cast.reader.user_id, cast.newcomer.user_id]
    admins = [cast.admin, cast.person("second admin", Role.ADMIN)]
    start = Barrier(2)

    def rename(number: int) -> int:
        start.wait()
        return int(act(admins[number], whom[number], "name", name="One name").status_code)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(rename, range(2))) == [303, 422]


def test_an_admin_signs_one_browser_out_or_all(cast: Cast) -> None:
    first, admin = cast.reader, cast.admin
    second, third = (cast.sign_in(first.user_id or 0) for _ in range(2))
    with cast.app.app_context():
        mine = select(Session.id).where(Session.user_id == first.user_id).order_by(Session.id)
        ids = db.session.scalars(mine).all()
    assert act(admin, first.user_id, f"sessions/{ids[1]}/end").status_code == 303
    assert [one.get("/account").status_code for one in (first, second, third)] == [200, 303, 200]
    act(admin, first.user_id, "sessions/end")
    assert [one.get("/account").status_code for one in (first, second, third)] == [303, 303, 303]


def test_a_session_ends_only_under_the_address_of_its_person(cast: Cast) -> None:
    with cast.app.app_context():
        theirs = db.session.scalar(select(Session.id).where(Session.user_id == cast.author.user_id))
    reader_id, admin = cast.reader.user_id, cast.admin
    before = everything(cast)
    for session_id in (theirs, 999_999, 2**63):
        assert act(admin, reader_id, f"sessions/{session_id}/end").status_code == 404
    assert everything(cast) == before


def test_the_page_shows_facts_comments_with_states_notes_and_history(cast: Cast) -> None:
    user_id, admin = cast.reader.user_id, cast.admin
    for state in STATES:
        comment_by(cast.app, user_id, cast.essay_id, state)
    act(admin, user_id, "notes", note="Writes from a library.\nKnows Hanne.")
    act(admin, user_id, "hold")
    page = words(admin.get(f"/admin/users/{user_id}"))
    for sentence in (
        "reader@mail.example, confirmed",
        f"id:{user_id}",
        "5 comments",
        *STATES,
        "Writes from a library. Knows Hanne.",
        "Comments held",
        "Comment withdrawn",
    ):
        assert sentence in page
    assert page.count("Writes from a library.") == 1


def test_the_page_shows_the_last_twenty_comments_and_not_what_was_withdrawn(cast: Cast) -> None:
    user_id = cast.user("busy one")
    ids = [comment_by(cast.app, user_id, cast.essay_id, "shown") for _ in range(22)]
    gone = comment_by(cast.app, user_id, cast.essay_id, "withdrawn")
    page = cast.admin.get(f"/admin/users/{user_id}").text
    assert "The last 20 of 23." in page
    comments = page[page.index('id="comments"') : page.index('id="sessions"')]
    assert [f'"/comments/{one}"' in comments for one in [*ids, gone]] == [False] * 3 + [True] * 20
    assert comments.count("Comment number") == 19


def test_what_people_typed_is_shown_as_text_only(cast: Cast) -> None:
    evil = "<script>alert(1)</script>"
    admin, user_id = cast.admin, cast.reader.user_id
    act(admin, user_id, "notes", note=evil)
    act(admin, user_id, "suspend", days="3", reason=evil)
    act(admin, user_id, "name", name="<i>Name</i> of one", reason=evil)
    with cast.app.app_context():
        session = db.session.scalar(select(Session).where(Session.user_id == user_id))
        assert session is not None
        session.device = evil
        db.session.commit()
    person = f"/moderation/people/{user_id}"
    for path in (f"/admin/users/{user_id}", person, f"{person}/ban", "/admin/audit", "/admin/users"):
        page = admin.get(path).text
        assert "<script>alert" not in page
        assert "<i>Name" not in page
    assert "&lt;script&gt;alert(1)" in admin.get(person).text


def details(cast: Cast) -> list[dict[str, Any]]:
    with cast.app.app_context():
        return list(db.session.scalars(select(AuditEntry.details).order_by(AuditEntry.id)))
