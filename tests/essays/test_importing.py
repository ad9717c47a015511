"""Essays come in from files: good ones whole, bad ones not at all and with one clear line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from forum.database import db
from forum.essays.essay import Access, CommentPolicy, Essay, find_essay
from tests.cast import Cast, words
from tests.essays.written import count

Run = Callable[..., Result]
File = Callable[..., Path]

AUTHOR = "author@mail.example"
WHOLE = """---
title: "“Slack water” is no rest at all."
subtitle: What happens when nothing does
slug: slack-water
author: "@hven"
tags: [tides, Old Maps]
access: public
comments: paid
closing: "Write to @hven and never miss a tide."
---

The sea doesn’t stop—it only turns. It's the hour that “waits” for nobody.

## The turn

More of it[^1].

[^1]: And a note.
"""


def read(app: Flask, slug: str) -> Essay:
    """Return an imported essay, loaded and detached."""
    with app.app_context():
        essay = find_essay(slug)
        assert essay is not None, slug
        db.session.expunge_all()
        return essay


def test_a_markdown_file_becomes_an_essay_with_all_that_its_front_matter_says(
    cast: Cast, app: Flask, run: Run, file: File
) -> None:
    done = run("essays", "import", file("a.md", WHOLE), "--author", AUTHOR, "--publish")
    assert done.exit_code == 0, done.output
    assert done.stdout == "http://localhost/essays/slack-water\n"
    essay = read(app, "slack-water")
    assert essay.title == "“Slack water” is no rest at all."
    assert essay.subtitle == "What happens when nothing does"
    assert [(tag.slug, tag.label) for tag in essay.tags] == [("tides", "tides"), ("old-maps", "Old Maps")]
    assert (essay.access, essay.comments) == (Access.PUBLIC, CommentPolicy.PAID)
    page = words(cast.stranger.get("/essays/slack-water"))
    for part in (
        "“Slack water” is no rest at all.",
        "It’s the hour that “waits”",
        "it only turns",
        "And a note.",
    ):
        assert part in page
    assert "Write to @hven and never miss a tide." in page


def test_the_account_is_the_author_and_another_name_in_the_file_is_noted(
    cast: Cast, app: Flask, run: Run, file: File
) -> None:
    done = run("essays", "import", file("a.md", WHOLE), "--author", AUTHOR, "--publish")
    assert "@hven" in done.stderr
    assert read(app, "slack-water").author_id == cast.author.user_id
    same = file("b.md", "---\ntitle: B\nauthor: author\n---\nWords.")
    assert run("essays", "import", same, "--author", AUTHOR).stderr == ""


def test_a_text_file_has_its_title_in_the_first_line(cast: Cast, app: Flask, run: Run, file: File) -> None:
    path = file("found.txt", "“Slack water” covers it.\r\n\r\n\r\nThe sea turns.\r\n\r\nIt waits.\r\n")
    done = run("essays", "import", path, "--author", AUTHOR, "--publish")
    assert done.stdout == "http://localhost/essays/slack-water-covers-it\n"
    essay = read(app, "slack-water-covers-it")
    assert essay.title == "“Slack water” covers it."
    assert essay.html == "<p>The sea turns.</p>\n<p>It waits.</p>"


def test_a_byte_order_mark_and_other_line_ends_change_nothing(
    cast: Cast, app: Flask, run: Run, file: File
) -> None:
    path = file("a.md", "\ufeff---\r\ntitle: Marked\r\n---\r\nWords.\r\n".encode())
    assert run("essays", "import", path, "--author", AUTHOR).exit_code == 0
    assert read(app, "marked").source == "Words."


def test_without_publish_everything_becomes_a_draft(cast: Cast, app: Flask, run: Run, file: File) -> None:
    dated = file("a.md", "---\ntitle: Dated\npublished: 2020-05-01\n---\nWords.")
    done = run("essays", "import", dated, "--author", AUTHOR)
    assert done.exit_code == 0
    assert "Add --publish" in done.stderr
    assert read(app, "dated").published_at is None
    assert cast.stranger.get("/essays/dated").status_code == 404


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2020-05-01", datetime(2020, 5, 1, tzinfo=UTC)),
        ("2020-05-01 09:30", datetime(2020, 5, 1, 9, 30, tzinfo=UTC)),
        ("2020-05-01T09:30:00+02:00", datetime(2020, 5, 1, 7, 30, tzinfo=UTC)),
        ('"2020-05-01T09:30:00Z"', datetime(2020, 5, 1, 9, 30, tzinfo=UTC)),
    ],
)
def test_publish_takes_the_moment_from_the_file(
    cast: Cast, app: Flask, run: Run, file: File, given: str, moment: datetime
) -> None:
    path = file("a.md", f"---\ntitle: Dated\npublished: {given}\n---\nWords.")
    assert run("essays", "import", path, "--author", AUTHOR, "--publish").exit_code == 0
    assert read(app, "dated").published_at == moment


def test_a_moment_to_come_schedules_and_false_stays_a_draft(
    cast: Cast, app: Flask, run: Run, file: File
) -> None:
    later = file("a.md", "---\ntitle: Later\npublished: 2999-05-01\n---\nWords.")
    never = file("b.md", "---\ntitle: Never\npublished: false\n---\nWords.")
    assert run("essays", "import", later, never, "--author", AUTHOR, "--publish").exit_code == 0
    assert read(app, "later").published_at == datetime(2999, 5, 1, tzinfo=UTC)
    assert cast.stranger.get("/essays/later").status_code == 404
    assert read(app, "never").published_at is None


def test_a_bare_off_is_a_comment_policy(cast: Cast, app: Flask, run: Run, file: File) -> None:
    path = file("a.md", "---\ntitle: Quiet\ncomments: off\n---\nWords.")
    assert run("essays", "import", path, "--author", AUTHOR).exit_code == 0
    assert read(app, "quiet").comments == CommentPolicy.OFF


@pytest.mark.parametrize(
    ("name", "content", "key", "sentence"),
    [
        ("a.md", "Words without front matter.", "title", "is missing"),
        ("a.md", "---\nsubtitle: Only this\n---\nWords.", "title", "is missing"),
        ("a.md", "---\ntitle: ''\n---\nWords.", "title", "is missing"),
        ("a.md", "---\ntitle: A\nauthr: B\n---\nWords.", "authr", "is no known key"),
        ("a.md", "---\ntitle: A\naccess: everyone\n---\nWords.", "access", "public or subscribers or paid"),
        ("a.md", "---\ntitle: A\ncomments: on\n---\nWords.", "comments", "off or author-only"),
        ("a.md", "---\ntitle: A\npublished: soon\n---\nWords.", "published", "a date such as"),
        ("a.md", "---\ntitle: A\npublished: 2020-02-31\n---\nWords.", "front matter", "not what it looks"),
        ("a.md", "---\ntitle: [A, B]\n---\nWords.", "title", "text"),
        ("a.md", "---\ntitle: A\ntags: {a: b}\n---\nWords.", "tags", "a list"),
        ("a.md", "---\ntitle: A\ntags: ['!!']\n---\nWords.", "tags", "letters or digits"),
        ("a.md", "---\ntitle: A\nslug: Not A Slug\n---\nWords.", "slug", "such as not-a-slug"),
        ("a.md", "---\ntitle: A\nslug: on-tides\n---\nWords.", "slug", "on-tides"),
        ("a.md", "---\ntitle: A\ntitle: B\n---\nWords.", "front matter", "line 3: title is there twice"),
        ("a.md", '---\ntitle: "A\n---\nWords.', "front matter", "line"),
        ("a.md", "---\n- a\n- b\n---\nWords.", "front matter", "key: value"),
        ("a.md", "---\ntitle: A\nWords.", "front matter", "no second line"),
        ("a.md", "---\ntitle: " + "[" * 5000 + "\n---\nWords.", "front matter", ""),
        ("a.md", "---\ntitle: A\n---\n", "text", "empty"),
        ("a.md", "---\ntitle: A\n---\n![](/media/a.png)", "text", "alternative text"),
        ("a.md", "---\ntitle: A\n---\n![A](https://else.example/a.png)", "text", "on another site"),
        ("a.md", f"---\ntitle: {'A' * 301}\n---\nWords.", "title", "at most 300"),
        ("a.md", "---\ntitle: A\n---\n" + "words " * 40_000, "text", "at most 200,000"),
        ("a.md", "---\ntitle: Größe\n---\nWords.".encode("latin-1"), "", "is not UTF-8"),
        ("a.txt", "\n\n", "title", "empty"),
        ("a.docx", "Words.", "", "only .md and .txt"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_it(
    cast: Cast, app: Flask, run: Run, file: File, name: str, content: str | bytes, key: str, sentence: str
) -> None:
    good = file("good.md", "---\ntitle: Good\n---\nWords.")
    bad = file(name, content)
    done = run("essays", "import", good, bad, "--author", AUTHOR, "--publish")
    assert done.exit_code == 1
    assert done.stdout == ""
    line = done.stderr.strip()
    assert "\n" not in line
    assert line.startswith(f"Error: {bad}: ")
    assert key in line
    assert sentence in line
    assert count(app, Essay) == 1  # the cast's own; not even the good one came in


def test_two_essays_with_one_slug_are_refused(cast: Cast, app: Flask, run: Run, file: File) -> None:
    first = file("a.md", "---\ntitle: A\nslug: one\n---\nWords.")
    second = file("b.md", "---\ntitle: B\nslug: one\n---\nWords.")
    done = run("essays", "import", first, second, "--author", AUTHOR)
    assert done.exit_code == 1
    assert f"{second}: slug:" in done.stderr
    assert count(app, Essay) == 1


def test_two_essays_with_one_title_get_two_addresses_but_a_repeat_is_refused(
    cast: Cast, app: Flask, run: Run, file: File
) -> None:
    assert cast.admin.user_id
    path = file("a.md", "---\ntitle: Once\n---\nWords.")
    assert run("essays", "import", path, "--author", AUTHOR).stdout.endswith("/essays/once\n")
    again = run("essays", "import", path, "--author", AUTHOR)
    assert again.exit_code == 1
    assert "there already, at http://localhost/essays/once" in again.stderr
    other = run("essays", "import", path, "--author", "admin@mail.example")
    assert other.stdout.endswith("/essays/once-2\n")


def test_only_an_author_can_be_named(cast: Cast, app: Flask, run: Run, file: File) -> None:
    path = file("a.md", "---\ntitle: A\n---\nWords.")
    assert cast.reader.user_id
    nobody = run("essays", "import", path, "--author", "nobody@mail.example")
    reader = run("essays", "import", path, "--author", "reader@mail.example")
    assert (nobody.exit_code, reader.exit_code) == (1, 1)
    assert "no account has this address" in nobody.stderr
    assert "is a reader" in reader.stderr
    assert count(app, Essay) == 1


def test_a_missing_file_is_named(cast: Cast, run: Run, tmp_path: Path) -> None:
    done = run("essays", "import", tmp_path / "none.md", "--author", AUTHOR)
    assert done.exit_code == 1
    assert "none.md: cannot be read" in done.stderr


def test_the_list_tells_state_and_address_of_each(cast: Cast, run: Run, file: File) -> None:
    later = file("a.md", "---\ntitle: Later\npublished: 2999-05-01\ntags: [tides]\n---\nWords.")
    run("essays", "import", later, "--author", AUTHOR, "--publish")
    run("essays", "import", file("b.txt", "Draft\n\nWords."), "--author", AUTHOR)
    listed = json.loads(run("essays", "list", "--json").stdout)
    states = {one["slug"]: one["state"] for one in listed}
    assert states == {"later": "scheduled", "draft": "draft", "on-tides": "published"}
    first = listed[0]
    assert first["address"] == "http://localhost/essays/later"
    assert first["published_at"] == "2999-05-01T00:00:00Z"
    assert (first["author"], first["tags"]) == ("author", ["tides"])
    assert "scheduled" in run("essays", "list").stdout
