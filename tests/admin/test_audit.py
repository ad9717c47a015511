"""The audit log: everything of it, narrowed by act and by person."""

import re

from forum.database import db
from forum.site.audit import record
from tests.cast import Cast, Visitor, words


def rows(admin: Visitor, address: str) -> list[str]:
    response = admin.get(address)
    assert response.status_code == 200
    return re.findall(r'data-label="Reason"><span[^>]*>(.*?)</span>', response.text)


def test_the_log_says_who_did_what_to_whom_and_why_newest_first(cast: Cast) -> None:
    path = f"/admin/users/{cast.reader.user_id}"
    cast.admin.post(f"{path}/role", {"role": "author", "reason": "Writes well."})
    cast.admin.post(
        f"/moderation/people/{cast.reader.user_id}/ban", {"reason": "Or not.", "hide_comments": "yes"}
    )
    assert rows(cast.admin, "/admin/audit") == ["Or not.", "Writes well."]
    page = words(cast.admin.get("/admin/audit"))
    assert "admin Role changed reader Writes well. reader → author" in page


def test_the_log_is_narrowed_by_act_and_by_who_did_it_or_whom_it_befell(cast: Cast) -> None:
    reader_id, other_id = cast.reader.user_id, cast.other_reader.user_id
    cast.admin.post(f"/moderation/people/{reader_id}/hold", {"reason": "One."})
    cast.admin.post(f"/moderation/people/{other_id}/hold", {"reason": "Two."})
    cast.author.post(f"/moderation/people/{reader_id}/ban", {"reason": "Three."})
    admin = cast.admin
    assert rows(admin, f"/admin/audit?person=id:{reader_id}") == ["Three.", "One."]
    assert rows(admin, "/admin/audit?person=other.reader@mail.example") == ["Two."]
    assert rows(admin, "/admin/audit?person=author") == ["Three."]
    assert rows(admin, "/admin/audit?act=hold") == ["Two.", "One."]
    assert rows(admin, f"/admin/audit?act=hold&person=id:{reader_id}") == ["One."]
    for nothing in ("act=unknown", "person=%25", "person=_%27", "person=id:999999999999999999", "act=%00x"):
        assert rows(admin, f"/admin/audit?{nothing}") == []
    assert "Nothing was found for “ <b>x</b> ”" in words(admin.get("/admin/audit?person=<b>x</b>"))


def test_fifty_acts_stand_on_a_page_and_the_filter_stays_on_the_next(cast: Cast) -> None:
    with cast.app.app_context():
        for number in range(120):
            record(None, "note" if number % 2 else "hold", f"user:{cast.author.user_id}", f"Reason {number}")
        db.session.commit()
    assert len(rows(cast.admin, "/admin/audit?act=note")) == 50
    page = cast.admin.get("/admin/audit?act=note&person=author").text
    assert "act=note&amp;person=author&amp;page=2" in page
    assert rows(cast.admin, "/admin/audit?act=note&page=2")[-1] == "Reason 1"
    assert cast.admin.get("/admin/audit?act=note&page=3").status_code == 404


def test_what_the_command_line_did_is_in_the_log_too(cast: Cast) -> None:
    with cast.app.app_context():
        record(None, "role", f"user:{cast.author.user_id}", "", old="reader", new="author")
        db.session.commit()
    assert "the command line Role changed author reader → author" in words(cast.admin.get("/admin/audit"))
