"""The whole job, in a browser: an essay is published, discussed, moderated; an admin suspends somebody."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, text

from tests.browser.site import Site
from tests.postgres import Postgres

ESSAY = Path(os.environ.get("FORUM_JOURNEY_ESSAY") or Path(__file__).with_name("essay.md"))
PASSWORD = "a password for the journey"

# Everything that people made, without times, tokens and the numbers that a database gives.
MADE = {
    "people": 'SELECT name, email, role, is_held, standing_reason, accepted_comments FROM "user"',
    "essays": "SELECT slug, title, version, thread_version, visible_comments FROM essay",
    "comments": "SELECT writer.name, revision.source, comment.depth, comment.presence, comment.newest_number,"
    " comment.shown_number, comment.visible, comment.visible_below, comment.replies, comment.likes,"
    " comment.subscription"
    ' FROM comment JOIN "user" writer ON writer.id = comment.author_id'
    " JOIN comment_revision revision ON revision.comment_id = comment.id AND revision.number = 1",
    "revisions": "SELECT source, html, number, verdict, causes, reason, note FROM comment_revision",
    "events": "SELECT event.act, actor.name, event.revision, event.from_state, event.to_state, event.reason, event.note"
    ' FROM event LEFT JOIN "user" actor ON actor.id = event.actor_id',
    "audit": "SELECT act, reason FROM audit_entry",
    # Letters leave by the clock, and so late that a quick journey is over before them.
    "mails": "SELECT kind, to_address FROM message WHERE letter = ''",
    "thanks": 'SELECT reader.name FROM reaction JOIN "user" reader ON reader.id = reaction.user_id',
}


def test_the_whole_job_ends_the_same_with_script_and_without(
    kind: str, browser: Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ends = {}
    for script in (True, False):
        instance = tmp_path / f"script-{script}"
        url = f"sqlite:///{instance / 'forum.sqlite3'}"
        if kind == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            server.create_database(f"journey_{script}".lower())
            url = server.url(f"journey_{script}".lower())
        with Site(instance, url) as site:
            run_journey(site, browser, script=script)
        ends[script] = what_was_made(url)
    assert ends[True] == ends[False]
    assert {len(ends[True][name]) for name in ("people", "comments")} == {5, 7}


@dataclass
class Person:
    """Somebody with a browser of their own."""

    site: Site
    page: Page
    name: str
    email: str

    def goes_to(self, path: str) -> None:
        self.page.goto(path if path.startswith("http") else self.site.url + path)

    def signs_up(self) -> None:
        self.goes_to("/sign-up")
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.locator("main").get_by_role("button", name="Sign up").click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Check your e-mail")
        self.goes_to(self.site.link_mailed_to(self.email))
        self.page.locator("main").get_by_role("button", name="Subscribe").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def signs_in(self) -> None:
        self.goes_to("/sign-in")
        self.page.get_by_label("E-mail").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.locator("main").get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def comments(self, essay: str, words: str) -> None:
        self.goes_to(essay)
        self.page.get_by_label("Write a comment").fill(words)
        self.page.get_by_role("button", name="Post comment").click()
        expect(self.page.locator(".say")).to_contain_text("Your comment is")

    def replies(self, essay: str, to: str, words: str) -> None:
        """Answer the comment with these words: in place with script, on its own page without."""
        self.goes_to(essay)
        self.comment(to).get_by_role("link", name="Reply", exact=True).first.click()
        self.page.get_by_label(re.compile("^Reply to")).fill(words)
        self.page.get_by_role("button", name=re.compile("^Post ")).first.click()
        expect(self.page.locator(".say")).to_contain_text("Your comment is")

    def comment(self, words: str) -> "object":
        return self.page.locator("article.comment", has_text=words).last

    def sees(self, words: str) -> None:
        expect(self.page.locator("main")).to_contain_text(words)

    def does_not_see(self, words: str) -> None:
        expect(self.page.locator("main")).not_to_contain_text(words)


def run_journey(site: Site, browser: Browser, *, script: bool) -> None:
    site.forum(
        "users",
        "add",
        "marlowe@mail.example",
        "--name",
        "@Marlowe",
        "--role",
        "author",
        "--password-stdin",
        typed=PASSWORD,
    )
    site.forum(
        "users",
        "add",
        "admin@mail.example",
        "--name",
        "Ruth Adeyemi",
        "--role",
        "admin",
        "--password-stdin",
        typed=PASSWORD,
    )
    printed = site.forum("essays", "import", str(ESSAY), "--author", "marlowe@mail.example", "--publish")
    essay = printed.strip().removeprefix(site.url)
    with (
        somebody(site, browser, "@Marlowe", "marlowe@mail.example", script=script) as author,
        somebody(site, browser, "Ruth Adeyemi", "admin@mail.example", script=script) as admin,
        somebody(site, browser, "Ada Marsh", "ada@mail.example", script=script) as ada,
        somebody(site, browser, "Bela Kiraly", "bela@mail.example", script=script) as bela,
        somebody(site, browser, "Cleo Duarte", "cleo@mail.example", script=script) as cleo,
    ):
        author.signs_in()
        admin.signs_in()
        for reader in (ada, bela, cleo):
            reader.signs_up()
        discuss_four_levels_deep(essay, author, ada, bela, cleo)
        reject_one_with_a_reason(essay, author, bela)
        edit_one_late(essay, author, ada)
        withdraw_one_above_a_reply(essay, author, cleo)
        suspend_one(essay, admin, bela)


def discuss_four_levels_deep(essay: str, author: Person, ada: Person, bela: Person, cleo: Person) -> None:
    ada.comments(essay, "The *first* thought.")
    ada.sees("Waiting for @Marlowe. Only you can see this.")
    bela.goes_to(essay)
    bela.does_not_see("The first thought.")
    approve(author, "The first thought.")
    bela.replies(essay, "The first thought.", "The second thought.")
    approve(author, "The second thought.")
    cleo.replies(essay, "The second thought.", "The third thought.")
    approve(author, "The third thought.")
    ada.replies(essay, "The third thought.", "The fourth thought.")
    approve(author, "The fourth thought.")
    bela.goes_to(essay)
    for depth, words in enumerate(("The first", "The second", "The third", "The fourth")):
        expect(
            bela.page.locator(f"{'ol.thread ' * (depth + 1)} > li > article", has_text=words)
        ).to_be_visible()
    bela.comment("The first thought.").get_by_role("button", name=re.compile("^Thank")).click()
    expect(bela.comment("The first thought.").get_by_role("button", name="Thank, 1")).to_be_visible()


def reject_one_with_a_reason(essay: str, author: Person, bela: Person) -> None:
    bela.comments(essay, "Buy my stamps.")
    author.goes_to("/moderation")
    card = author.page.locator("article.card", has_text="Buy my stamps.")
    card.get_by_text("Remove…").click()
    card.get_by_label(re.compile("^Spam")).check()
    card.get_by_label("Note").fill("Stamps are sold at the post office.")
    card.get_by_role("button", name=re.compile("^Remove")).click()
    expect(author.page.locator("main")).to_contain_text("Nothing is waiting.")
    bela.goes_to(essay)
    bela.sees("Stamps are sold at the post office.")


def edit_one_late(essay: str, author: Person, ada: Person) -> None:
    """An answered comment is edited: readers see the old text until the new one is accepted."""
    ada.goes_to(essay)
    ada.comment("The first thought.").get_by_role("link", name="Edit").first.click()
    ada.page.get_by_label("Your comment").fill("The first thought, mended.")
    ada.page.get_by_role("button", name="Save").click()
    expect(ada.page.locator(".say")).to_contain_text("Readers see the old one until then")
    author.goes_to(essay)
    author.does_not_see("mended")
    approve(author, "The first thought, mended.")
    author.goes_to(essay)
    author.sees("The first thought, mended.")


def withdraw_one_above_a_reply(essay: str, author: Person, cleo: Person) -> None:
    cleo.goes_to(essay)
    cleo.comment("The third thought.").get_by_role("link", name="Withdraw").first.click()
    cleo.page.get_by_role("button", name="Withdraw this comment").click()
    expect(cleo.page.locator(".say")).to_contain_text("Your comment is withdrawn.")
    cleo.does_not_see("The third thought.")
    cleo.sees("This comment was deleted by its writer.")
    cleo.sees("The fourth thought.")
    author.replies(essay, "The fourth thought.", "The last word, for now.")
    author.comments(essay, "Thank you all.")


def suspend_one(essay: str, admin: Person, bela: Person) -> None:
    admin.goes_to("/admin/users?q=bela@mail.example")
    expect(admin.page.get_by_role("heading", level=1)).to_have_text("Bela Kiraly")
    admin.page.get_by_role("link", name=re.compile("^Warn, hold, suspend or ban")).click()
    admin.page.get_by_text("Suspend…").click()
    form = admin.page.locator("form[action$='/suspend']")
    form.get_by_label("Days").fill("3")
    form.get_by_label("Reason").fill("Selling stamps")
    form.get_by_role("button", name="Suspend").click()
    admin.sees("Suspended until")
    bela.goes_to(essay)
    bela.sees("You cannot comment here until")
    bela.sees("Selling stamps")
    expect(bela.page.get_by_label("Write a comment")).to_have_count(0)


def approve(author: Person, words: str) -> None:
    author.goes_to("/moderation")
    card = author.page.locator("article.card", has_text=words)
    card.get_by_role("button", name=re.compile("^Post (the edit )?.*comment")).first.click()
    expect(author.page.locator("main")).to_contain_text("Nothing is waiting.")


@contextmanager
def somebody(site: Site, browser: Browser, name: str, email: str, *, script: bool) -> Iterator[Person]:
    context = browser.new_context(java_script_enabled=script)
    context.set_default_timeout(20_000)
    yield Person(site, context.new_page(), name, email)
    context.close()


def what_was_made(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that was made, sorted, without times and numbers."""
    engine = create_engine(url)
    with engine.connect() as connection:
        made = {
            name: sorted((tuple(map(str, row)) for row in connection.execute(text(query))), key=repr)
            for name, query in MADE.items()
        }
    engine.dispose()
    return made
