"""The page about reasons: other words, new ones, retired ones, and what follows from each."""

import re
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from forum.database import db
from forum.discussion.reasons import offered, words_of
from forum.discussion.report import REASONS, Report
from forum.site.audit import AuditEntry
from tests.cast import Cast, comment_id, words

PATH = "/admin/reasons"
WHY = "Readers asked."
OWN = "Too long: it says less than it could"


def in_force(cast: Cast) -> dict[str, str]:
    with cast.app.app_context():
        return offered()


def as_shown(cast: Cast) -> dict[str, Any]:
    """Return what a browser would send of the page as it is, with a why."""
    page = cast.admin.get(PATH).text
    seen = re.search(r'name="seen"[^>]*value="(\d+)"', page)
    assert seen
    ticked = re.findall(r'<input checked [^>]*name="(offered-[^"]+)"', page)
    return {
        "seen": seen[1],
        "reason": WHY,
        **{f"words-{code}": sentence for code, sentence in in_force(cast).items()},
        **dict.fromkeys(ticked, "y"),
    }


def save(cast: Cast, **changes: Any) -> TestResponse:
    """Send the page with some fields changed; None leaves one out, as a browser does with an empty tick."""
    sent = as_shown(cast) | {name.replace("__", "-"): value for name, value in changes.items()}
    return cast.admin.post(PATH, {name: value for name, value in sent.items() if value is not None})


def audited(cast: Cast) -> list[dict[str, Any]]:
    with cast.app.app_context():
        found = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [one.details for one in found if one.subject == "setting:reasons" and one.reason == WHY]


def test_what_an_admin_changes_is_what_people_choose_from_and_read(cast: Cast) -> None:
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    hidden = comment_id(cast.reader.comment(cast.slug, "Buy my ships."))
    form = {"revision": "1", "reason": "unkind", "note": ""}
    assert cast.author.post(f"/moderation/comments/{hidden}/hide", form).status_code == 303
    answer = save(cast, words__spam="Spam: it sells", offered__unkind=None, added=f"  {OWN} ")
    assert answer.location == PATH
    assert list(in_force(cast)) == ["off-topic", "spam", "private", "unlawful", "too-long", "other"]
    for page in (cast.other_reader.get(f"/comments/{comment}"), cast.author.get(f"/comments/{comment}")):
        assert "Spam: it sells" in words(page)
        assert OWN in words(page)
        assert REASONS["unkind"] not in words(page)
    assert REASONS["unkind"] in words(cast.reader.get(f"/comments/{hidden}"))  # it was decided with that
    report = f"/comments/{comment}/report"
    assert cast.other_reader.post(report, {"reason": "unkind"}).status_code == 422
    assert cast.other_reader.post(report, {"reason": "too-long"}).status_code == 303
    assert f"Reported by 1 reader: {OWN.partition(':')[0].lower()}" in words(cast.author.get("/moderation"))
    assert audited(cast) == [
        {"old": REASONS["unkind"], "new": f"{REASONS['unkind']} (retired)"},
        {"old": REASONS["spam"], "new": "Spam: it sells"},
        {"old": "", "new": OWN},
    ]
    assert save(cast, offered__unkind="y").status_code == 303
    assert list(in_force(cast))[:2] == ["off-topic", "unkind"]


def test_a_reason_of_its_own_has_a_short_code_that_no_other_has(cast: Cast) -> None:
    for sentence in ("Spam: again", "Spam: and again", "Ünverständliches Durcheinander von Worten", "…"):
        assert save(cast, added=sentence).status_code == 303
    codes = [code for code in in_force(cast) if code not in REASONS]
    assert codes[:2] == ["spam-2", "spam-3"]
    assert len(set(codes)) == 4
    assert all(code and len(code) <= 20 for code in codes)


def test_other_is_always_there_and_needs_words(cast: Cast) -> None:
    assert save(cast, offered__other=None, words__other="Else, as said below").status_code == 303
    assert list(in_force(cast).items())[-1] == ("other", "Else, as said below")
    comment = comment_id(cast.reader.comment(cast.slug, "Buy my boats."))
    report = f"/comments/{comment}/report"
    answer = cast.other_reader.post(report, {"reason": "other", "note": " "})
    assert answer.status_code == 422
    assert "Say in your words what is wrong." in words(answer)
    assert cast.other_reader.post(report, {"reason": "other", "note": "A boat."}).status_code == 303
    with cast.app.app_context():
        assert words_of(db.session.scalars(select(Report.reason)).one()) == "Else, as said below"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"words__spam": " "}, "A reason needs a sentence."),
        ({"words__spam": "x" * 121}, "Keep the sentence under 120 characters."),
        ({"added": "x" * 121}, "Keep the sentence under 120 characters."),
        ({"added": REASONS["spam"].upper()}, "Give each its own words."),
        ({"reason": ""}, "Give a reason in one sentence."),
    ],
)
def test_what_cannot_be_saved_changes_nothing_and_stays_typed(
    cast: Cast, changes: dict[str, str], sentence: str
) -> None:
    before = in_force(cast)
    answer = save(cast, **({"words__private": "Private & mine", "added": OWN} | changes))
    assert answer.status_code == 422
    assert sentence in words(answer)
    assert 'value="Private &amp; mine"' in answer.text
    assert f'value="{changes.get("added", OWN)}"' in answer.text
    assert (in_force(cast), audited(cast)) == (before, [])


def test_whoever_saves_an_older_page_is_shown_that_it_changed_and_retires_nothing_new(cast: Cast) -> None:
    older = as_shown(cast)
    assert save(cast, added=OWN).status_code == 303
    answer = cast.admin.post(PATH, older | {"words-spam": "Spam: mine"})
    assert answer.status_code == 409
    assert 'value="Spam: mine"' in answer.text
    assert in_force(cast)["spam"] == REASONS["spam"]
    seen = re.search(r'name="seen"[^>]*value="(\d+)"', answer.text)
    assert seen
    again = older | {"words-spam": "Spam: mine", "seen": seen[1]}
    assert cast.admin.post(PATH, again).status_code == 303
    assert in_force(cast)["spam"] == "Spam: mine"
    assert in_force(cast)["too-long"] == OWN
    assert (
        cast.admin.post("/admin/settings", {"seen": "0", "reason": WHY}).status_code == 303
    )  # not its business
