"""The ways to an essay: home, archive, authors, tags, feeds, sitemap; and that gated words stay behind their gate."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, insert
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Access, Essay, EssayTag
from forum.essays.feeds import with_whole_addresses
from forum.essays.listing import EssayList, find_place
from forum.subscriptions.subscription import Kind
from tests.cast import Cast, Visitor, words
from tests.discussion.rows import statements
from tests.essays.written import DRAFT, GATED, SECRET, settings_form, write

ATOM = "{http://www.w3.org/2005/Atom}"
PLACES = ("/", "/archive", "/archive/2026", "/feed.xml", "/sitemap.xml", "/robots.txt")
LATEST = datetime(2026, 3, 1, tzinfo=UTC)


def publish_many(cast: Cast, how_many: int) -> None:
    """Publish essays a day apart, each with tags, ending before today."""
    for number in range(how_many):
        at = LATEST - timedelta(days=number)
        cast.essay(f"essay-{number}", f"Essay {number}", published_at=at)


def link_to(rel: str, page: TestResponse) -> list[str]:
    """Return the addresses of the links of a kind, "prev" or "next"."""
    return re.findall(rf'<a href="([^"]+)" rel="{rel}"', page.text)


def fill(cast: Cast, since: int, until: int) -> None:
    """Publish short essays with a tag, one for each minute back in time from the end of 2025."""
    end = datetime(2025, 12, 31, tzinfo=UTC)
    numbers = range(since, until)
    made = [
        {"slug": f"of-many-{n}", "title": f"No. {n}", "published_at": end - timedelta(minutes=n)}
        for n in numbers
    ]
    empty = {"author_id": cast.author.user_id, "source": "", "html": "", "created_at": end, "updated_at": end}
    with cast.app.app_context():
        ids = db.session.scalars(insert(Essay).returning(Essay.id), [one | empty for one in made]).all()
        db.session.execute(
            insert(EssayTag), [{"essay_id": one, "slug": "many", "label": "Many"} for one in ids]
        )
        db.session.commit()


def steps(app: Flask, visitor: Visitor, path: str) -> int:
    """Return how many hundred steps SQLite takes for a page; they do not depend on the machine."""
    counted = []
    with app.app_context():
        engine = db.engine

    def count(connection: Any, *_: Any) -> None:
        connection.set_progress_handler(lambda: counted.append(1), 100)

    def stop(connection: Any, *_: Any) -> None:
        connection.set_progress_handler(None, 0)

    event.listen(engine, "checkout", count)
    event.listen(engine, "checkin", stop)
    assert visitor.get(path).status_code == 200
    event.remove(engine, "checkout", count)
    event.remove(engine, "checkin", stop)
    return len(counted)


def test_an_empty_home_says_so(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, published_at=None)
    for path in ("/", "/archive"):
        answer = cast.stranger.get(path)
        assert answer.status_code == 200
        assert "The first essay is being written." in words(answer)
    assert ElementTree.fromstring(cast.stranger.get("/feed.xml").data).findall(f"{ATOM}entry") == []  # noqa: S314
    assert cast.stranger.get("/sitemap.xml").status_code == 200


def test_home_leads_with_the_newest_and_lists_the_others_by_year(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, published_at=datetime(2023, 5, 1, tzinfo=UTC))
    write(cast, "Old one", at=datetime(2021, 5, 1, tzinfo=UTC))
    write(cast, "New one", subtitle="It leads.", at=datetime(2024, 5, 1, tzinfo=UTC))
    page = words(cast.stranger.get("/"))
    order = ("New one", "It leads.", "2023", "On tides", "2021", "Old one")
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    assert "2024 New" not in page


def test_home_shows_thirty_essays_and_leads_to_the_older_ones_and_back(cast: Cast) -> None:
    publish_many(cast, 31)
    first = cast.stranger.get("/")
    [older] = link_to("next", first)
    second = cast.stranger.get(older)
    assert len(re.findall(r'href="/essays/[\w-]+"', first.text)) == 30
    assert len(re.findall(r'href="/essays/[\w-]+"', second.text)) == 2
    assert "Essay 30" in second.text
    assert (link_to("prev", first), link_to("prev", second), link_to("next", second)) == ([], ["/"], [])
    assert f'<link rel="canonical" href="http://localhost{older}">' in second.text
    # Addresses from when pages had numbers.
    assert cast.stranger.get("/?page=2").text == second.text
    assert cast.stranger.get("/?page=3").status_code == 404


def test_every_essay_is_in_one_stretch_of_a_list_also_when_many_appeared_at_one_moment(cast: Cast) -> None:
    later = LATEST + timedelta(days=1)
    ids = [cast.essay(f"e-{n}", f"E {n}", published_at=later if n % 3 == 0 else LATEST) for n in range(8)]
    newest_first = [ids[n] for n in (6, 3, 0, 7, 5, 4, 2, 1)]
    with cast.app.app_context():
        listed = EssayList("/", later, since=LATEST, length=3)
        stretches = [listed.stretch()]
        while older := stretches[-1].older:
            stretches.append(listed.stretch(find_place(int(older.partition("=")[2]), later)))
        assert [[essay.id for essay in one.essays] for one in stretches] == [
            newest_first[:3],
            newest_first[3:6],
            newest_first[6:],
        ]
        assert [one.newer for one in stretches] == [None, "/", stretches[1].address]


def test_a_list_goes_on_after_an_essay_that_was_withdrawn_but_tells_of_none_that_is_not_out(
    cast: Cast,
) -> None:
    gone = cast.essay("gone", "Gone", published_at=LATEST, withdrawn_at=LATEST)
    cast.essay("older", "Older", published_at=LATEST - timedelta(days=1))
    page = cast.stranger.get(f"/?before={gone}")
    assert "Older" in page.text
    assert "On tides" not in page.text
    hidden = [
        write(cast, "Draft", at=DRAFT),
        cast.essay("soon", "Soon", published_at=clock.now() + timedelta(days=1)),
    ]
    for missing in (*hidden, 999_999, "x", "-1", "9" * 19, "%C2%B2"):
        assert cast.stranger.get(f"/?before={missing}").status_code == 404


@pytest.mark.kinds("sqlite")
def test_lists_count_to_a_thousand(cast: Cast) -> None:
    fill(cast, 0, 1_000)
    author = f"/authors/{cast.author.user_id}"
    assert "more than 1,000 essays" in words(cast.stranger.get(author))
    assert "1,000 essays with this tag" in words(cast.stranger.get("/tags/many"))
    assert "2026 , (1 essay) 2025 , (1,000 essays)" in words(cast.stranger.get("/archive"))
    fill(cast, 1_000, 1_001)
    assert "more than 1,000 essays with this tag" in words(cast.stranger.get("/tags/many"))
    assert "2025 , (more than 1,000 essays)" in words(cast.stranger.get("/archive/2025"))
    for path in (author, "/tags/many"):
        [older] = link_to("next", cast.stranger.get(path))
        assert len(re.findall(r'href="/essays/[\w-]+"', cast.stranger.get(older).text)) == 30


LISTS = (
    "/",
    "/archive",
    "/archive/2025",
    "/authors/{author}",
    "/tags/many",
    "/feed.xml",
    "/readers/{reader}",
)
SITEMAPS = ("/sitemap.xml", "/sitemap/site.xml", "/sitemap/essays-1.xml")


@pytest.mark.kinds("sqlite")
def test_no_list_takes_the_database_longer_when_there_are_more_essays(cast: Cast, app: Flask) -> None:
    fill(cast, 0, 1_100)
    cast.reader.comment(cast.slug, "One of theirs.")
    paths = [path.format(author=cast.author.user_id, reader=cast.reader.user_id) for path in LISTS]
    paths += [older for path in paths for older in link_to("next", cast.stranger.get(path))]
    before = [steps(app, cast.stranger, path) for path in (*paths, *SITEMAPS)]
    fill(cast, 1_100, 3_300)
    after = [steps(app, cast.stranger, path) for path in (*paths, *SITEMAPS)]
    grown = {
        path: (few, many)
        for path, few, many in zip((*paths, *SITEMAPS), before, after, strict=True)
        if many > 1.3 * few + 5  # a look at the settings, the leaps of the sitemap
    }
    assert grown == {}


def test_home_names_the_discussions_that_are_going_on(cast: Cast) -> None:
    assert "Being discussed now" not in words(cast.stranger.get("/"))
    quiet = cast.essay("quiet", "A quiet one", published_at=clock.now() - timedelta(days=400))
    cast.change(Essay, quiet, visible_comments=3, commented_at=clock.now() - timedelta(days=31))
    cast.reader.comment("on-tides", "The tide is turning.")
    page = words(cast.stranger.get("/"))
    assert "Being discussed now On tides 1 comment, the latest" in page
    with time_machine.travel(clock.now() + timedelta(days=31)):
        assert "Being discussed now" not in words(cast.stranger.get("/"))


def test_the_archive_is_by_year(cast: Cast) -> None:
    cast.change(Essay, cast.essay_id, published_at=datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC))
    write(cast, "New year", at=datetime(2024, 1, 1, tzinfo=UTC))
    assert "2024 , (1 essay) 2023 , (1 essay)" in words(cast.stranger.get("/archive"))
    year = words(cast.stranger.get("/archive/2023"))
    assert "On tides" in year
    assert "New year" not in year
    for missing in ("1999", "0", "99999", "9999"):
        assert cast.stranger.get(f"/archive/{missing}").status_code == 404


def test_an_authors_page_shows_who_they_are_and_what_they_published(cast: Cast) -> None:
    cast.change(User, cast.author.user_id or 0, about="Keeps tide tables.")
    write(cast, "Not yet", at=DRAFT)
    page = words(cast.stranger.get(f"/authors/{cast.author.user_id}"))
    assert "Keeps tide tables." in page
    assert "1 essay" in page
    assert "On tides" in page
    assert "Not yet" not in page
    assert cast.stranger.get(f"/authors/{cast.reader.user_id}").status_code == 404
    assert cast.stranger.get("/authors/999999").status_code == 404


def test_a_tag_lists_its_essays_and_only_published_ones_count(cast: Cast) -> None:
    write(cast, "Tagged", tags=["Old maps"])
    write(cast, "Hidden", tags=["Old maps", "secret"], at=DRAFT)
    page = words(cast.stranger.get("/tags/old-maps"))
    assert "Old maps 1 essay with this tag." in page
    assert "Tagged" in page
    assert "Hidden" not in page
    for missing in ("secret", "none", "Old maps", "a" * 500, "%00"):
        assert cast.stranger.get(f"/tags/{missing}").status_code == 404
    assert "/tags/old-maps" in cast.stranger.get("/essays/tagged").text
    assert "secret" not in cast.stranger.get("/sitemap/site.xml").text


@pytest.mark.parametrize(
    "path", ["/", "/archive", "/archive/2026", "/tags/tides", "/authors/{author}", "/desk/essays"]
)
def test_a_list_takes_the_same_number_of_queries_however_long(cast: Cast, app: Flask, path: str) -> None:
    path = path.format(author=cast.author.user_id)
    cast.change(Essay, cast.essay_id, published_at=LATEST, visible_comments=1, commented_at=clock.now())
    cast.author.post(
        f"/desk/essays/{cast.essay_id}/settings", settings_form(cast, cast.essay_id, tags="tides")
    )
    visitor = cast.author if path.startswith("/desk") else cast.stranger
    visitor.get(path)
    with statements(app) as few:
        assert visitor.get(path).status_code == 200
    for number in range(1, 25):
        at = LATEST - timedelta(hours=number)
        write(cast, f"Essay {number}", at=at, tags=["tides", f"tag {number}"])
    with statements(app) as many:
        assert len(re.findall("Essay 2[0-9]", visitor.get(path).text)) >= 5
    assert len(many) == len(few), [*few, "---", *many]


# What is not for everyone


@pytest.mark.parametrize("access", [Access.SUBSCRIBERS, Access.PAID])
@pytest.mark.parametrize("source", [GATED, GATED.replace("<!--more-->\n\n", "")])
def test_gated_words_are_nowhere_that_everyone_looks(cast: Cast, access: Access, source: str) -> None:
    without_mark = source != GATED
    source = source.replace("Everyone reads this.", f"{SECRET} from the start.") if without_mark else source
    essay = write(cast, "Gated", source, access=access, tags=["gate"])
    cast.change(Essay, essay, commented_at=clock.now(), visible_comments=1)
    places = (*PLACES, "/tags/gate", f"/authors/{cast.author.user_id}", "/essays/gated")
    for path in places:
        answer = cast.stranger.get(path)
        assert SECRET not in answer.text, path
    page = cast.stranger.get("/essays/gated")
    assert page.status_code == 200
    assert "Gated" in cast.stranger.get("/feed.xml").text
    whom = "supporters" if access == Access.PAID else "subscribers"
    assert f"The rest is for {whom}" in words(page)
    assert ("Everyone reads this." in words(page)) is not without_mark
    assert cast.stranger.get("/essays/gated/feed.xml").status_code == 404


def test_those_for_whom_it_is_read_the_whole(cast: Cast) -> None:
    write(cast, "Free", GATED, access=Access.SUBSCRIBERS)
    write(cast, "Paid", GATED, access=Access.PAID)
    assert SECRET in cast.reader.get("/essays/free").text
    assert SECRET not in cast.reader.get("/essays/paid").text
    cast.subscribe(cast.reader.user_id or 0, Kind.PAID)
    page = cast.reader.get("/essays/paid")
    assert SECRET in page.text
    assert "The rest is for" not in words(page)
    data = page.text.split("application/ld+json")[1].split("</script>")[0]
    assert SECRET not in data


# What other programs read


def test_the_feed_of_essays_is_atom_with_the_whole_text(cast: Cast) -> None:
    body = "Water & <b>salt</b>: [archive](/archive), ![A buoy](/media/a.png)[^1]\n\n## Turn\n\n[^1]: Noted."
    write(cast, "Salt & <water>", body, tags=["sea & salt"], subtitle="“Brine”")
    answer = cast.stranger.get("/feed.xml")
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    feed = ElementTree.fromstring(answer.data)  # noqa: S314
    entries = feed.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == ["Salt & <water>", "On tides"]
    for part in ("id", "updated", "published", "author"):
        assert entries[0].find(f"{ATOM}{part}") is not None
    link = entries[0].find(f"{ATOM}link")
    assert link is not None
    assert link.get("href") == "http://localhost/essays/salt-water"
    content = entries[0].findtext(f"{ATOM}content") or ""
    assert '<a href="http://localhost/archive"' in content
    assert 'src="http://localhost/media/a.png"' in content
    assert 'href="http://localhost/essays/salt-water#fn-1"' in content
    assert "Noted." in content


def test_an_entry_keeps_its_id_when_its_address_changes(cast: Cast) -> None:
    before = re.findall("<id>(tag:[^<]+)</id>", cast.stranger.get("/feed.xml").text)
    form = settings_form(cast, cast.essay_id, slug="moved")
    cast.author.post(f"/desk/essays/{cast.essay_id}/settings", form)
    after = cast.stranger.get("/feed.xml").text
    assert "/essays/moved" in after
    assert re.findall("<id>(tag:[^<]+)</id>", after) == before
    assert len(before) == 1


def test_whole_addresses_leave_words_alone(app: Flask) -> None:
    words = '<p title="x">href="/a"'
    outside = '<a href="https://else.example/">d</a></p>'
    with app.app_context():
        whole = with_whole_addresses(f'{words} <a href="/a" title="b">c</a> {outside}', "/essays/x")
    assert whole == f'{words} <a href="http://localhost/a" title="b">c</a> {outside}'


@pytest.mark.parametrize(
    "path", ["/feed.xml", "/essays/on-tides/feed.xml", "/sitemap.xml", "/sitemap/{part}.xml", "/robots.txt"]
)
def test_programs_may_keep_what_has_not_changed(cast: Cast, path: str) -> None:
    path = path.format(part=f"essays-{(cast.essay_id - 1) // 1_000 * 1_000 + 1}")
    first = cast.reader.get(path)
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = cast.stranger.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    if path not in ("/sitemap.xml", "/robots.txt"):
        again = cast.stranger.get(path, headers={"If-Modified-Since": first.headers["Last-Modified"]})
        assert again.status_code == 304
    assert "Set-Cookie" not in first.headers
    assert "author@mail.example" not in first.text


def test_a_changed_feed_is_sent_again(cast: Cast) -> None:
    tag = cast.stranger.get("/feed.xml").headers["ETag"]
    write(cast, "Newer")
    again = cast.stranger.get("/feed.xml", headers={"If-None-Match": tag})
    assert again.status_code == 200
    assert "Newer" in again.text


def test_the_feed_of_comments_holds_the_visible_ones_newest_first(cast: Cast) -> None:
    for text in ("First & <i>foremost</i>", "Second of all"):
        assert cast.reader.comment("on-tides", text).status_code == 303
    cast.newcomer.comment("on-tides", "This one waits to be read.")
    feed = ElementTree.fromstring(cast.stranger.get("/essays/on-tides/feed.xml").data)  # noqa: S314
    entries = feed.findall(f"{ATOM}entry")
    contents = [entry.findtext(f"{ATOM}content") or "" for entry in entries]
    assert len(contents) == 2
    assert "Second of all" in contents[0]
    assert "First &amp;" in contents[1]
    assert [entry.findtext(f"{ATOM}author/{ATOM}name") for entry in entries] == ["reader", "reader"]


def test_the_sitemap_names_what_everyone_can_open(cast: Cast) -> None:
    write(cast, "Tagged", tags=["maps"])
    write(cast, "Draft", at=DRAFT, tags=["secret"])
    cast.essay("far", "Far", id=987_654, published_at=LATEST)
    cast.essay("early", "Early", id=999_999, published_at=clock.now() + timedelta(days=1))
    parts = sitemap_addresses(cast, "/sitemap.xml")
    assert parts[0] == "/sitemap/site.xml"
    assert parts[2:] == ["/sitemap/essays-987001.xml"]
    found = [address for part in parts for address in sitemap_addresses(cast, part)]
    years = {LATEST.year, clock.now().year}
    assert sorted(found) == sorted(
        [
            "/",
            "/archive",
            *(f"/archive/{year}" for year in years),
            "/essays/on-tides",
            "/essays/tagged",
            "/essays/far",
            f"/authors/{cast.author.user_id}",
            "/tags/maps",
        ]
    )
    for address in found:
        assert cast.stranger.get(address).status_code == 200
    assert cast.stranger.get("/sitemap/essays-999001.xml").status_code == 404


def sitemap_addresses(cast: Cast, path: str) -> list[str]:
    """Return what a sitemap, or the list of its parts, names on this site."""
    tree = ElementTree.fromstring(cast.stranger.get(path).data)  # noqa: S314
    found = [element.text or "" for element in tree.iter() if element.tag.endswith("}loc")]
    assert all(address.startswith("http://localhost/") for address in found)
    return [address.removeprefix("http://localhost") for address in found]


def test_robots_are_kept_from_desks_and_told_of_the_sitemap(cast: Cast) -> None:
    answer = cast.stranger.get("/robots.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    lines = answer.text.splitlines()
    assert "Disallow: /desk" in lines
    assert "Disallow: /" not in lines
    assert "Sitemap: http://localhost/sitemap.xml" in lines


def test_an_essays_page_tells_other_programs_what_it_is(cast: Cast) -> None:
    title = "</script><script>alert(1)</script> & “more”"
    write(cast, title, "First words of it.", slug="told", tags=["maps"])
    page = cast.stranger.get("/essays/told").text
    assert '<link rel="canonical" href="http://localhost/essays/told">' in page
    assert '<meta property="og:type" content="article">' in page
    assert '<meta name="description" content="First words of it.">' in page
    assert "<script>alert" not in page
    article = json.loads(page.split('<script type="application/ld+json">')[1].split("</script>")[0])
    assert article["headline"] == title
    assert article["@type"] == "Article"
    assert article["url"] == "http://localhost/essays/told"
    assert (article["isAccessibleForFree"], article["keywords"]) == (True, ["maps"])


def test_a_long_essay_has_contents_and_a_short_one_none(cast: Cast) -> None:
    headings = "\n\n".join(f"## Part {number}\n\nWords." for number in range(1, 5))
    write(cast, "Long", headings)
    write(cast, "Short", headings.replace("## Part 4", "Part 4"))
    page = cast.stranger.get("/essays/long").text
    for number in range(1, 5):
        assert f'href="#s-part-{number}"' in page
        assert f'id="s-part-{number}"' in page
    assert 'class="contents"' not in cast.stranger.get("/essays/short").text


def test_an_essay_says_when_it_was_updated_on_a_later_day(cast: Cast) -> None:
    essay = write(cast, "Aged", at=clock.now() - timedelta(days=10))
    cast.change(Essay, essay, updated_at=clock.now() - timedelta(days=3))
    assert "Updated" in words(cast.stranger.get("/essays/aged"))
    cast.change(Essay, essay, updated_at=clock.now() - timedelta(days=10, hours=25))
    assert "Updated" not in words(cast.stranger.get("/essays/aged"))
