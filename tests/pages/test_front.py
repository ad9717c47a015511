"""Kept pages: what they must be, whoever asks and whatever happened; and that nobody's own is in them."""

import gzip
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import brotli
import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text
from werkzeug.test import create_environ

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.thread import Order
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.essays.publishing import update_essay
from forum.essays.revision import EssayWords
from forum.finding import Unmade, only_find_here
from forum.pages.front import Repeat
from forum.pages.shared import (
    COMMENTS,
    COUNT,
    Card,
    Count,
    Frame,
    Group,
    Leaf,
    Leaves,
    Other,
    Page,
    Pages,
    Threads,
    Validity,
    Versions,
    View,
    filled_gzip,
)
from forum.rawreads import moment
from forum.site.settings import change_setting
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, comment_id, making_anew, words
from tests.discussion.rows import statements

ON_TIDES = "/essays/on-tides"


def kept(app: Flask) -> Pages:
    pages: Pages = app.extensions["pages"]
    return pages


def without_tokens(page: str) -> str:
    return re.sub(r'(name="(?:csrf_token|form_token)"[^>]*? value=)"[^"]*"', r"\1", page)


def as_brotli(visitor: Visitor, path: str) -> Any:
    """Ask as a browser does until the background has made it."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        answer = visitor.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
        if answer.headers["Content-Encoding"] == "br":
            return answer
        time.sleep(0.002)
    raise AssertionError("no brotli")


def reached_the_application(cast: Cast, visitor: Visitor, path: str, **options: Any) -> bool:
    """Tell whether a visit was handed on by what answers from kept pages."""
    reached = []
    front: Any = cast.app.wsgi_app
    behind = front.behind
    front.behind = lambda environ, start: reached.append(1) or behind(environ, start)
    try:
        visitor.get(path, **options)
    finally:
        front.behind = behind
    return bool(reached)


def test_a_stranger_gets_one_page_in_every_encoding_and_304_while_it_is_current(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "The moon does the pulling.")
    plain = cast.stranger.get(ON_TIDES)
    packed = cast.stranger.get(ON_TIDES, headers={"Accept-Encoding": "gzip"})
    soon = cast.stranger.get(ON_TIDES, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert (soon.headers["Content-Encoding"], soon.data) == ("gzip", packed.data)
    small = as_brotli(cast.stranger, ON_TIDES)
    assert len({one.headers["ETag"] for one in (plain, packed, soon, small)}) == 1
    assert (packed.headers["Content-Encoding"], small.headers["Content-Encoding"]) == ("gzip", "br")
    assert gzip.decompress(packed.data) == brotli.decompress(small.data) == plain.data
    assert "The moon does the pulling." in plain.text
    refused = cast.stranger.get(ON_TIDES, headers={"Accept-Encoding": "br;q=0, gzip;q=0"})
    assert "Content-Encoding" not in refused.headers
    same = {"If-None-Match": plain.headers["ETag"]}
    assert cast.stranger.get(ON_TIDES, headers=same).status_code == 304
    assert "Content-Security-Policy" in plain.headers
    assert plain.headers["Cache-Control"] == "no-cache"
    cast.reader.comment(cast.slug, "And the sun.")
    assert "And the sun." in cast.stranger.get(ON_TIDES, headers=same).text


def test_who_takes_brotli_alone_gets_the_page_as_it_is_until_that_is_made(cast: Cast) -> None:
    soon = cast.stranger.get(ON_TIDES, headers={"Accept-Encoding": "br"})
    assert "Content-Encoding" not in soon.headers
    assert brotli.decompress(as_brotli(cast.stranger, ON_TIDES).data) == soon.data


def test_a_thread_that_only_finds_makes_nothing_and_answers_what_is_kept(cast: Cast) -> None:
    for visitor in (cast.stranger, cast.reader):
        visitor.get(ON_TIDES)  # a reader is judged, the frame is made
        cookie = "; ".join(f"{one.key}={one.value}" for one in visitor.client._cookies.values())
        headers = {"Accept-Encoding": "gzip"} | ({"Cookie": cookie} if cookie else {})
        cast.other_reader.comment(cast.slug, f"Something new for {visitor.name}.")
        before = kept(cast.app).cache.parts()
        assert only_found(cast.app, headers) is None
        assert kept(cast.app).cache.parts() == before
        visitor.get(ON_TIDES, headers={"Accept-Encoding": "gzip"})
        page = only_found(cast.app, headers)
        assert page is not None
        assert f"Something new for {visitor.name}." in gzip.decompress(page).decode()


def test_what_is_asked_in_one_moment_is_answered_to_each_by_itself(cast: Cast) -> None:
    cast.essay("on-dunes", "On dunes")
    readers = [cast.person("Tilda Quill"), cast.person("Otto Sedge")]
    visitors = (cast.stranger, *readers)
    asked = [(visitor, path) for visitor in visitors for path in (ON_TIDES, "/essays/on-dunes")]
    for visitor, path in asked:
        visitor.get(path)

    def ask() -> list[str]:
        with moment():
            return [
                b"".join(cast.app.wsgi_app(environ, lambda *_: lambda _: None)).decode()
                for environ in environs
            ]

    environs = []
    for visitor, path in asked:
        cookie = "; ".join(f"{one.key}={one.value}" for one in visitor.client._cookies.values())
        environs.append(
            create_environ(path, cast.app.config["SITE_URL"], headers={"Cookie": cookie} if cookie else {})
        )
    with ThreadPoolExecutor(1) as thread:
        pages = thread.submit(ask).result()
    for (visitor, path), page in zip(asked, pages, strict=True):
        assert f"{path}/comments" in page
        for reader in readers:
            assert (reader.name in page) == (visitor is reader)


def only_found(app: Flask, headers: dict[str, str]) -> bytes | None:
    """Ask for the page in a thread that only finds; None where that hands it on."""

    def ask() -> bytes | None:
        only_find_here()
        environ = create_environ(ON_TIDES, app.config["SITE_URL"], headers=headers)
        try:
            with moment():
                return b"".join(app.wsgi_app(environ, lambda *_: lambda _: None))
        except Unmade:
            return None

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


def test_head_answers_with_the_length_and_without_the_page(cast: Cast) -> None:
    whole = cast.stranger.get(ON_TIDES)
    head = cast.stranger.client.head(ON_TIDES)
    assert (head.data, head.headers["Content-Length"]) == (b"", str(len(whole.data)))


def test_the_second_visit_of_strangers_and_readers_does_not_reach_the_application(cast: Cast) -> None:
    for visitor in (cast.stranger, cast.reader, cast.moderator, cast.author):
        visitor.token()
        visitor.get(ON_TIDES)
        assert not reached_the_application(cast, visitor, f"{ON_TIDES}?utm_source=letter&page=1"), (
            visitor.name
        )


def test_words_that_only_their_writer_sees_are_put_in_with_six_statements_at_most(cast: Cast) -> None:
    writer, answered = cast.newcomer, comment_id(cast.reader.comment(cast.slug, "What do you think?"))
    writer.comment(cast.slug, "I think that I wait here.", parent=answered)
    for _ in range(2):
        writer.get(ON_TIDES)  # judged, and the frame for such as them is made
    with statements(cast.app) as sent:
        assert not reached_the_application(cast, writer, ON_TIDES)
    assert len(sent) <= 4, sent  # beside the two that are read past SQLAlchemy
    page = writer.get(ON_TIDES).text
    assert "I think that I wait here." in page
    alone = making_anew(cast.app)
    for cookie in writer.client._cookies.values():
        alone.set_cookie(cookie.key, cookie.value)
    assert without_tokens(page) == without_tokens(alone.get(ON_TIDES).text)


def test_a_moderator_sees_on_every_visit_how_much_waits(cast: Cast) -> None:
    cast.newcomer.comment(cast.slug, "I wait.")
    for visitor in (cast.moderator, cast.author):
        for _ in range(3):
            assert "Moderation 1 waiting" in words(visitor.get(ON_TIDES))
        assert not reached_the_application(cast, visitor, ON_TIDES)


def test_what_others_say_lets_nobody_be_judged_anew(cast: Cast) -> None:
    reader = cast.reader
    reader.token()
    reader.get(ON_TIDES)
    cast.other_reader.comment(cast.slug, "Something new.")
    assert not reached_the_application(cast, reader, ON_TIDES)
    assert "Something new." in reader.get(ON_TIDES).text
    cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
    assert 'id="compose"' not in reader.get(ON_TIDES).text


def test_where_comments_were_moved_to_is_called_as_it_is_now(cast: Cast) -> None:
    cast.essay("on-wells", "On wells")
    moved = comment_id(cast.reader.comment(cast.slug, "About wells."))
    cast.author.post(f"/moderation/comments/{moved}/move", {"target": "/essays/on-wells"})
    assert "was moved to On wells" in words(cast.stranger.get(ON_TIDES))
    with cast.app.app_context():
        wells = db.session.scalars(select(Essay).where(Essay.slug == "on-wells")).one()
        update_essay(wells, wells.author, EssayWords("On springs", "", wells.source))
        db.session.commit()
    assert "was moved to On springs" in words(cast.stranger.get(ON_TIDES))
    assert not reached_the_application(cast, cast.stranger, ON_TIDES)


def test_what_a_reader_gets_from_kept_parts_is_what_is_made_for_them_alone(cast: Cast) -> None:
    reader, other = cast.reader, cast.other_reader
    first = comment_id(other.comment(cast.slug, "A first thread."))
    own = comment_id(reader.comment(cast.slug, "My answer.", parent=first))
    comment_id(cast.moderator.comment(cast.slug, "Another thread."))
    reader.post(f"/comments/{first}/react")
    reader.post(f"/essays/{cast.slug}/follow")
    reader.post(f"/readers/{cast.moderator.user_id}/mute")
    other.comment(cast.slug, "Who answers you?", parent=own)
    for visitor in (reader, other, cast.moderator, cast.author, cast.admin, cast.newcomer):
        visitor.get(ON_TIDES)  # what was said last, and what is judged of them
        visitor.get(ON_TIDES)
        alone = making_anew(cast.app)
        for cookie in visitor.client._cookies.values():
            alone.set_cookie(cookie.key, cookie.value)
        for view in ("", "?sort=newest", "?sort=best"):
            seen = visitor.get(ON_TIDES + view, headers={"Accept-Encoding": "gzip"})
            page = gzip.decompress(seen.data).decode() if view else visitor.get(ON_TIDES).text
            assert without_tokens(page) == without_tokens(alone.get(ON_TIDES + view).text), visitor.name
    page = reader.get(ON_TIDES).text
    assert f'href="/comments/{own}#edit"' in page
    assert "You thanked." in page
    assert "Muted: a comment by" in page


def test_nothing_of_a_reader_is_in_any_kept_byte(cast: Cast) -> None:
    name, address, held = "Wilhelmina Quist", "quist.private@mail.example", "Words that wait for a look."
    secret = cast.sign_in(cast.user(name, email=address, accepted_comments=0), name)
    liked = comment_id(cast.reader.comment(cast.slug, "To be thanked."))
    secret.comment(cast.slug, held)
    secret.post(f"/comments/{liked}/react")
    secret.post(f"/comments/{liked}/follow")
    said = [secret.get(ON_TIDES, headers={"Accept-Encoding": "gzip"} if n else {}).data for n in range(3)]
    cast.change(User, secret.user_id or 0, is_held=True, warning="A warning for one person.")
    secret.get(ON_TIDES)
    cast.change(User, secret.user_id or 0, warning="", accepted_comments=5)
    pages = [secret.get(ON_TIDES).text for _ in range(3)]
    own = set(re.findall(r'name="(?:csrf_token|form_token)"[^>]*? value="([^"]+)"', "".join(pages)))
    assert held in said[0].decode()
    assert len(own) > 3
    plain = cast.sign_in(cast.user("Ottoline Brandvold"), "Ottoline Brandvold")  # nothing of hers waits
    plain.post(f"/comments/{liked}/react")
    pages = [plain.get(ON_TIDES).text for _ in range(3)]
    own |= set(re.findall(r'name="(?:csrf_token|form_token)"[^>]*? value="([^"]+)"', "".join(pages)))
    assert "Ottoline Brandvold" in pages[2]
    assert any(isinstance(part, Frame) for part in kept(cast.app).cache.parts())
    for visitor in (secret, plain):
        with visitor.client.session_transaction() as cookie:
            own |= {cookie["_user_id"], cookie["csrf_token"]}
    everything = "\n".join(_texts(cast.app))
    assert "To be thanked." in everything
    secrets = {name, "Ottoline Brandvold", address, held, "You thanked.", "A warning for one person.", *own}
    assert [one for one in secrets if one in everything] == []


def test_many_who_come_at_once_wait_for_one_rendering(app: Flask, cast: Cast) -> None:
    cast.reader.comment(cast.slug, "One comment.")
    essay = cast.read(Essay, cast.essay_id)
    versions = Versions(essay.id, essay.version, essay.thread_version, "")
    together = threading.Barrier(8)

    def visit() -> Page:
        together.wait()
        return kept(app).stranger(versions, View(Order.OLDEST, 1))

    kept(app).clear()
    with ThreadPoolExecutor(8) as crowd:
        pages = [one.result() for one in [crowd.submit(visit) for _ in range(8)]]
    assert len({id(page) for page in pages}) == 1


def test_what_was_closed_while_a_page_was_made_is_open_again_for_strangers(cast: Cast) -> None:
    cast.reader.comment(cast.slug, "One comment.")
    cast.author.token()
    cast.reader.get(ON_TIDES)  # the threads are kept now, what strangers have around them is not yet
    front: Any = cast.app.wsgi_app
    reads = front._ready()
    versions = reads.versions

    def closed_after_them(slug: str) -> Any:
        found = versions(slug)
        reads.versions = versions
        cast.author.post(f"/moderation/essays/{cast.essay_id}/close")
        return found

    reads.versions = closed_after_them
    cast.stranger.get(ON_TIDES)
    cast.author.post(f"/moderation/essays/{cast.essay_id}/reopen")
    assert 'id="compose"' in cast.stranger.get(ON_TIDES).text


def test_a_page_that_another_worker_made_is_the_same_and_holds_as_long(app: Flask, cast: Cast) -> None:
    cast.reader.comment(cast.slug, "One comment.")
    essay = cast.read(Essay, cast.essay_id)
    made = kept(app).stranger(
        Versions(essay.id, essay.version, essay.thread_version, ""), View(Order.OLDEST, 1)
    )
    made.validity = replace(made.validity, others=frozenset({Other(7, 1, 9), Other(8, 2, 3)}))
    assert Page.unpacked(made.packed()) == made


@pytest.mark.parametrize("last", ["Words that are repeated, 12.", "Words that are repeated, \0\0."])
def test_any_number_of_comments_fits_into_text_that_is_compressed_already(last: str) -> None:
    frame = Frame(f"Words that are repeated, {COUNT}. Words that are repeated, {COMMENTS}. {last}")
    nothing = Threads([], [], 1, False, 0, b"", Validity(clock.now()))
    for visible in (1, 12, 345, 12, 78):
        filled = frame.with_number({COUNT: str(visible), COMMENTS: f"{visible} comments"})
        assert f"{visible}. Words that are repeated, {visible} comments" in filled.html
        packed = filled_gzip(filled.segments, {}, nothing, {})
        assert gzip.decompress(packed).decode() == filled.html


def test_a_discussion_that_a_rule_closes_is_shown_closed_from_that_moment_on(cast: Cast) -> None:
    with cast.app.test_request_context():
        change_setting("rules", {"close-age": {"on": True, "days": 10, "note": "Ten days are enough."}})
        db.session.commit()
    published = cast.read(Essay, cast.essay_id).published_at
    reader = cast.reader
    for seconds in (-2, -1, 1, 2):
        with time_machine.travel(published + timedelta(days=10, seconds=seconds), tick=False):
            for visitor in (cast.stranger, reader):
                page = visitor.get(ON_TIDES)
                assert ("Ten days are enough." in words(page)) is (seconds > 0), visitor.name
                assert ('id="compose"' in page.text) is (seconds < 0), visitor.name


def test_what_an_admin_changes_for_all_pages_is_on_the_next_one(cast: Cast) -> None:
    cast.stranger.get(ON_TIDES)
    with cast.app.test_request_context():
        change_setting("house_rules", "Be brief and kind.")
        db.session.commit()
    assert "Be brief and kind." in words(cast.stranger.get(ON_TIDES))


def test_who_may_write_no_more_loses_the_form_with_the_next_page(cast: Cast) -> None:
    cast.reader.get(ON_TIDES)
    assert 'id="compose"' in cast.reader.get(ON_TIDES).text
    soon = clock.now() + timedelta(minutes=5)
    with cast.app.app_context():
        db.session.get_one(User, cast.reader.user_id).suspended_until = soon
        db.session.commit()
    assert 'id="compose"' not in cast.reader.get(ON_TIDES).text
    with time_machine.travel(soon + timedelta(seconds=1), tick=False):
        cast.reader.get(ON_TIDES)
        assert 'id="compose"' in cast.reader.get(ON_TIDES).text


def test_a_page_behind_a_gate_is_kept_for_who_may_read_and_for_nobody_else(cast: Cast) -> None:
    cast.change(
        Essay,
        cast.essay_id,
        access=Access.PAID,
        comments=CommentPolicy.PAID,
        preview_html="<p>The beginning.</p>",
    )
    cast.subscribe(cast.reader.user_id or 0, Kind.PAID)
    for _ in range(2):
        assert "Water waits" in words(cast.reader.get(ON_TIDES))
        for visitor in (cast.stranger, cast.newcomer):
            assert "Water waits" not in words(visitor.get(ON_TIDES))


@pytest.mark.kinds("sqlite")
@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/essays/on-tides", {"headers": {"Host": "elsewhere.example"}}, 400),
        ("/essays/on-tides?page=12345678", {}, 404),
        ("/essays/on-tides?page=2", {}, 404),
        ("/essays/On-Tides", {}, 404),
        ("/essays/on-tides", {"headers": {"Accept": "application/json"}}, 200),
    ],
)
def test_what_is_not_plain_is_answered_by_the_application(
    cast: Cast, path: str, options: dict[str, Any], status: int
) -> None:
    cast.stranger.get(ON_TIDES)
    assert cast.stranger.get(path, **options).status_code == status
    assert reached_the_application(cast, cast.stranger, path, **options)


@pytest.mark.kinds("sqlite")
def test_signed_out_elsewhere_nothing_is_shown_as_if_signed_in(cast: Cast) -> None:
    cast.reader.get(ON_TIDES)
    assert "Sign out" in cast.reader.get(ON_TIDES).text
    with cast.app.app_context():
        db.session.execute(text("DELETE FROM session"))
        db.session.commit()
    assert "Sign out" not in cast.reader.get(ON_TIDES).text


@pytest.mark.kinds("postgresql")
def test_a_connection_that_was_cut_is_opened_anew(cast: Cast) -> None:
    cast.stranger.get(ON_TIDES)
    with cast.app.app_context():
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        db.session.execute(text(others + " AND datname = current_database()"))
        db.session.commit()
    assert cast.stranger.get(ON_TIDES).status_code == 200
    assert not reached_the_application(cast, cast.stranger, ON_TIDES)


def test_what_the_database_cannot_say_is_answered_with_the_page_for_that(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast.stranger.get(ON_TIDES)
    with moment():
        cast.stranger.get(ON_TIDES)
    assert kept(cast.app).repeats.parts()
    front: Any = cast.app.wsgi_app
    reads = front._ready()

    def fail(_slug: str) -> None:
        raise reads._raw._broken[0]("gone")

    cast.reader.comment(cast.slug, "Another state.")
    monkeypatch.setattr(reads, "versions", fail)
    with moment():
        assert reached_the_application(cast, cast.stranger, ON_TIDES)


def test_of_answers_to_long_headers_none_is_kept(cast: Cast) -> None:
    tag = cast.stranger.get(ON_TIDES).headers["ETag"]
    with moment():
        for tags in (tag, f"{tag}, {'x' * 60_000}"):
            assert cast.stranger.get(ON_TIDES, headers={"If-None-Match": tags}).status_code == 304
    keys: Any = kept(cast.app).repeats._parts
    assert [key[-1] for key in keys if key[-1]] == [tag]


def _texts(app: Flask) -> list[str]:
    repeats = [
        body for repeat in kept(app).repeats.parts() if isinstance(repeat, Repeat) for body in repeat.body
    ]
    texts = [gzip.decompress(one).decode() if one[:2] == b"\x1f\x8b" else one.decode() for one in repeats]
    for part in kept(app).cache.parts():
        if isinstance(part, Page):
            texts.append(part.html.decode())
        elif isinstance(part, Threads):
            texts += [leaf.html.decode() for group in part.groups for leaf in group.leaves]
        elif isinstance(part, Group):
            texts.append(part.plain.decode())
        elif isinstance(part, Leaf):
            texts.append(part.html.decode())
        elif isinstance(part, Card):
            texts.append((part.begin + part.end).decode())
        elif isinstance(part, Leaves):
            texts += [leaf.html.decode() for leaf in part.leaves]
        elif not isinstance(part, Count):
            assert isinstance(part, Frame)
            texts.append(part.html)
    return texts
