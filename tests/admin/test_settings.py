"""The settings page: bounds, effect, who changed what, and two admins at once."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from forum.accounts.user import Role
from forum.database import db
from forum.site.audit import AuditEntry
from forum.site.settings import HAVE_PAGES, NUMBERS, SWITCHES, SiteSettings, site_settings
from tests.cast import Cast, words

PATH = "/admin/settings"
WHY = "We grew."


def now_in_force(cast: Cast) -> dict[str, Any]:
    with cast.app.app_context():
        return asdict(site_settings())


def changes(cast: Cast) -> list[tuple[str, str, dict[str, Any]]]:
    with cast.app.app_context():
        found = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(one.subject, one.reason, one.details) for one in found]


def on_the_page() -> dict[str, Any]:
    """Return the settings that have no page of their own, with their defaults."""
    return {name: value for name, value in asdict(SiteSettings()).items() if name not in HAVE_PAGES}


def test_every_setting_can_be_changed_on_the_page(cast: Cast) -> None:
    page = cast.admin.get(PATH).text
    for name, default in on_the_page().items():
        assert f'name="{name}"' in page
        if type(default) is int:
            assert NUMBERS[name].least <= default <= NUMBERS[name].most


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_keeps_to_its_bounds(cast: Cast, name: str) -> None:
    bounds, before = NUMBERS[name], now_in_force(cast)
    for wrong in (bounds.least - 1, bounds.most + 1, "", "many", "1.5", "9" * 5_000):
        answer = cast.admin.post(PATH, {name: str(wrong), "reason": WHY})
        assert answer.status_code == 422
        assert "There is a problem" in words(answer)
        assert f'value="{wrong}"' in answer.text
    assert now_in_force(cast) == before
    for fine in (bounds.least, bounds.most):
        assert cast.admin.post(PATH, {name: str(fine), "reason": WHY}).status_code == 303
        assert now_in_force(cast)[name] == fine


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_can_be_turned_on_and_off(cast: Cast, name: str) -> None:
    for state in (True, False):
        assert cast.admin.post(PATH, {name: str(state), "reason": WHY}).status_code == 303
        assert now_in_force(cast)[name] is state
    assert cast.admin.post(PATH, {"reason": WHY}).status_code == 303
    assert now_in_force(cast)[name] is False  # what is not sent stays


def test_a_change_is_recorded_with_the_old_and_the_new_value_and_shown_on_the_page(cast: Cast) -> None:
    form = {
        "edit_window_minutes": "30",
        "tagline": "Letters  welcome.",
        "threads_per_page": "50",
        "reason": WHY,
    }
    assert cast.admin.post(PATH, form).location == PATH
    assert sorted(changes(cast), key=lambda one: one[0]) == [
        ("setting:edit_window_minutes", WHY, {"old": "15", "new": "30"}),
        ("setting:tagline", WHY, {"old": SiteSettings().tagline, "new": "Letters welcome."}),
    ]
    page = words(cast.admin.get(PATH))
    assert "The settings are saved." in page
    assert page.count("Changed by admin on ") == 2
    assert "Time to repair a comment We grew. 15 → 30" in words(cast.admin.get("/admin/audit"))


def test_saving_needs_a_reason_and_keeps_what_was_typed(cast: Cast) -> None:
    before = now_in_force(cast)
    answer = cast.admin.post(PATH, {"supporter_marks": "False", "house_rules": "Be <kind>", "reason": ""})
    assert answer.status_code == 422
    assert "Be &lt;kind&gt;" in answer.text
    assert re.search(r'<input[^>]*checked[^>]*value="False"', answer.text)
    assert (now_in_force(cast), changes(cast)) == (before, [])


@pytest.mark.parametrize(
    "form",
    [{"tagline": "x" * 201}, {"house_rules": "x" * 4_001}],
)
def test_words_outside_their_bounds_are_refused(cast: Cast, form: dict[str, str]) -> None:
    before = now_in_force(cast)
    assert cast.admin.post(PATH, form | {"reason": WHY}).status_code == 422
    assert now_in_force(cast) == before


def test_settings_that_do_not_exist_are_not_made(cast: Cast) -> None:
    before = now_in_force(cast)
    cast.admin.post(PATH, {"edit_window": "1", "secret_key": "x", "is_admin": "1", "reason": WHY})
    assert (now_in_force(cast), changes(cast)) == (before, [])


def test_whoever_saves_an_older_page_is_shown_that_it_changed(cast: Cast) -> None:
    admin = cast.admin
    seen = re.search(r'name="seen"[^>]*value="(\d+)"', admin.get(PATH).text)
    assert seen
    form = on_the_page() | {"seen": seen[1], "reason": WHY}
    assert admin.post(PATH, form | {"appeal_days": "20"}).status_code == 303
    answer = admin.post(PATH, form | {"reports_that_fold": "7"})
    assert answer.status_code == 409
    assert 'value="7"' in answer.text
    assert now_in_force(cast)["appeal_days"] == 20
    assert now_in_force(cast)["reports_that_fold"] == SiteSettings().reports_that_fold


def test_two_admins_who_save_at_once_are_one_after_the_other(cast: Cast) -> None:
    admins = [cast.admin, cast.person("second admin", Role.ADMIN)]
    start = Barrier(2)

    def save(number: int) -> int:
        start.wait()
        return admins[number].post(PATH, {"appeal_days": str(20 + number), "reason": WHY}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(save, range(2))) == [303, 303]
    first, second = (details for _, _, details in changes(cast))
    assert second["old"] == first["new"]
    assert str(now_in_force(cast)["appeal_days"]) == second["new"]


def test_only_admins_change_settings(cast: Cast) -> None:
    before = now_in_force(cast)
    for who in (cast.reader, cast.moderator, cast.author, cast.stranger):
        assert who.post(PATH, {"appeal_days": "3", "reason": WHY}).status_code == 403
    assert now_in_force(cast) == before
