"""The list of people: search, filters, order, pages."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.subscriptions.subscription import Kind
from tests.admin.written import comment_by
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements

DAY = timedelta(days=1)


def names(admin: Visitor, address: str) -> list[str]:
    response = admin.get(address)
    assert response.status_code == 200, address
    return re.findall(r'<th role="rowheader" scope="row"><a href="[^"]*"><bdi>(.*?)</bdi>', response.text)


@pytest.mark.parametrize("path", ["/admin/users", "/admin/audit", "/admin/settings"])
def test_only_admins_in_good_standing_see_the_admin_pages(cast: Cast, path: str) -> None:
    assert cast.admin.get(path).status_code == 200
    for who in (cast.reader, cast.newcomer, cast.moderator, cast.author):
        assert who.get(path).status_code == 403
    answer = cast.stranger.get(path)
    assert (answer.status_code, answer.location) == (303, f"/sign-in?next={path}")
    cast.change(User, cast.admin.user_id, banned_at=clock.now())
    assert cast.admin.get(path).status_code == 403


@pytest.mark.parametrize("query", ["ANNA", "anna", "ümlaut", "ÜMLAUT", "ma@mail", "Anna-Ü", "anna  üml"])
def test_people_are_found_by_parts_of_name_and_address_whatever_their_case(cast: Cast, query: str) -> None:
    cast.user("Anna-Ümlaut", email="anna.ma@mail.example")
    cast.user("Anna Ümlautine", email="other.ma@mail.example")
    assert "Anna-Ümlaut" in names(cast.admin, f"/admin/users?q={quote(query)}")


def test_an_id_an_address_and_an_only_name_open_the_page_at_once(cast: Cast) -> None:
    user_id = cast.user("Mira Holt", email="mira_holt@mail.example")
    cast.user("Mira Holtz")
    for query in (f"id:{user_id}", f" ID: {user_id} ", "MIRA_holt@mail.example", "mira holtz"):
        answer = cast.admin.get(f"/admin/users?q={quote(query)}")
        assert answer.status_code == 303, query
        assert answer.location.startswith("/admin/users/")
    both = names(cast.admin, "/admin/users?q=mira holt&sort=name")
    assert both == ["Mira Holt", "Mira Holtz"]  # the name of one, a part of the other's: the reader chooses


@pytest.mark.parametrize(
    "query",
    [
        *("%", "_", "%%%", "\\", "' OR 1=1 --", '"; DROP TABLE user; --', "<script>alert(1)</script>"),
        *("\x00", "a\x00b", "\u202e", "x" * 5_000),
        *("id:", "id:x", "id:-1", "id:٣", "id:999999999999999999", "id:" + "9" * 200),
    ],
)
def test_a_query_is_only_ever_text(cast: Cast, query: str) -> None:
    cast.user("A 100% honest one")
    cast.user("An under scorer", email="under_scorer@mail.example")
    answer = cast.admin.get("/admin/users", query_string={"q": query})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    found = names(cast.admin, f"/admin/users?q={quote(query)}")
    expected = {"%": ["A 100% honest one"], "_": ["An under scorer"]}
    everyone = ["An under scorer", "A 100% honest one", "admin", "author"]
    if query in ("\x00", "\u202e"):  # nothing is left of it, so nothing is asked
        assert sorted(found) == sorted(everyone)
    else:
        assert found == expected.get(query, [])


def test_broken_letters_in_a_query_find_nobody_and_break_nothing(cast: Cast) -> None:
    assert cast.admin.get("/admin/users?q=%ff%fe%ed%a0%80").status_code == 200


def test_a_search_that_finds_nobody_says_so_with_what_was_asked(cast: Cast) -> None:
    page = words(cast.admin.get("/admin/users?q=<b>nobody</b>&role=author"))
    assert "Nobody was found for “ <b>nobody</b> ” with these filters" in page
    assert "0 people found" in page


def test_filters_find_by_role_standing_and_subscription(cast: Cast) -> None:
    now = clock.now()
    cast.user("A moderator", Role.MODERATOR)
    cast.user("B suspended", suspended_until=now + DAY)
    cast.user("C served", suspended_until=now - DAY)
    cast.user("D banned", banned_at=now, suspended_until=now + DAY)
    cast.user("E held", is_held=True)
    cast.user("F unconfirmed", email_confirmed_at=None)
    cast.subscribe(cast.user("G paid"), Kind.PAID)
    cast.subscribe(cast.user("H lapsed"), Kind.PAID, now - 30 * DAY)
    cast.subscribe(cast.user("I grace"), Kind.PAID, now - DAY)
    admin = cast.admin
    assert names(admin, "/admin/users?role=moderator") == ["A moderator"]
    assert names(admin, "/admin/users?standing=suspended") == ["B suspended"]
    assert names(admin, "/admin/users?standing=banned") == ["D banned"]
    assert names(admin, "/admin/users?standing=held") == ["E held"]
    assert names(admin, "/admin/users?subscription=unconfirmed") == ["F unconfirmed"]
    assert names(admin, "/admin/users?subscription=paid") == ["G paid"]
    assert names(admin, "/admin/users?subscription=lapsed") == ["H lapsed"]
    assert names(admin, "/admin/users?subscription=grace") == ["I grace"]
    assert "C served" in names(admin, "/admin/users?standing=active&subscription=free&role=reader")
    assert names(admin, "/admin/users?standing=banned&role=admin") == []
    everyone = names(admin, "/admin/users")
    assert names(admin, "/admin/users?role=king&standing=%00&sort=password_hash") == everyone


def test_the_filters_and_the_order_stay_in_the_form_and_in_the_links(cast: Cast) -> None:
    cast.user("Some reader")
    page = cast.admin.get("/admin/users?q=r&role=reader&standing=active&sort=name&order=ascending").text
    for kept in (
        'name="q" value="r"',
        '<option value="reader" selected>',
        '<option value="active" selected>',
    ):
        assert kept in page
    assert 'name="sort" value="name"' in page
    assert "/admin/users?q=r&amp;role=reader&amp;standing=active&amp;sort=email&amp;order=ascending" in page


def test_every_column_sorts_both_ways_and_says_how_it_is_sorted(cast: Cast) -> None:
    first = cast.user("aaa", Role.MODERATOR, email="zz@mail.example")
    cast.user("zzz", email="aa@mail.example")
    comment_by(cast.app, first, cast.essay_id, "withdrawn")
    cast.admin  # noqa: B018  # so that somebody sorts last by role
    expected = {
        "name": ("aaa", "zzz"),
        "email": ("zzz", "aaa"),
        "since": ("author", "admin"),
        "role": ("zzz", "admin"),
    }
    for column, (lowest, highest) in expected.items():
        up = cast.admin.get(f"/admin/users?sort={column}&order=ascending")
        assert re.findall(r'aria-sort="(\w+)"', up.text) == ["ascending"]
        found = names(cast.admin, f"/admin/users?sort={column}&order=ascending")
        assert (found[0], found[-1]) == (lowest, highest)
        assert names(cast.admin, f"/admin/users?sort={column}&order=descending")[0] == highest
    assert names(cast.admin, "/admin/users?sort=comments&order=descending")[0] == "aaa"


def test_fifty_people_stand_on_a_page_and_the_total_is_said(cast: Cast) -> None:
    with cast.app.app_context():
        for number in range(103):
            name, now = f"Reader {number:03}", clock.now()
            db.session.add(
                User(name=name, email=f"r{number}@mail.example", created_at=now, email_confirmed_at=now)
            )
        db.session.commit()
    pages = [names(cast.admin, f"/admin/users?q=Reader&sort=name&page={page}") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 3]
    assert len({name for page in pages for name in page}) == 103
    assert "103 people found" in words(cast.admin.get("/admin/users?q=Reader"))
    assert cast.admin.get("/admin/users?q=Reader&page=4").status_code == 404
    assert cast.admin.get("/admin/users?page=99999999999").status_code == 404


def test_the_list_takes_the_same_number_of_queries_for_few_people_and_for_many(cast: Cast) -> None:
    admin = cast.admin
    cast.user("Reader few")
    few = queries(cast, admin, "/admin/users?q=Reader")
    with cast.app.app_context():
        for number in range(49):
            name, now = f"Reader {number:03}", clock.now()
            db.session.add(User(name=name, email=f"r{number}@mail.example", created_at=now))
        db.session.commit()
    assert queries(cast, admin, "/admin/users?q=Reader") == few <= 11


def test_names_and_reasons_are_shown_as_text_only(cast: Cast) -> None:
    evil = '"><img src=x onerror=alert(1)>'
    user_id = cast.user("<b>Bold</b> one", is_held=True, standing_reason=evil)
    for path in ("/admin/users", f"/admin/users/{user_id}", f"/moderation/people/{user_id}/ban"):
        page = cast.admin.get(path).text
        assert "<b>Bold" not in page
        assert "<img src=x" not in page
        assert "&lt;b&gt;Bold&lt;/b&gt; one" in page


def queries(cast: Cast, admin: Visitor, path: str) -> int:
    with statements(cast.app) as sent:
        assert admin.get(path).status_code == 200
    return len(sent)
