"""A stranger's first comment, in a browser and through a real mail server: five actions, with script and without."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import MAIL_SECONDS, Site
from tests.outbox.sink import Sink

ESSAY = Path(__file__).with_name("essay.md")
WORDS = "I borrowed it after you. There is now a *fourth* hand."
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """A mail server."""
    sink = Sink()
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Site]:
    """A site that sends its mail there."""
    with Site(tmp_path_factory.mktemp("subscribing"), FORUM_SMTP_URL=sink.url) as running:
        yield running


@pytest.fixture(scope="module")
def essay(site: Site) -> str:
    """The address of an essay."""
    site.forum("users", "add", "marlowe@mail.example", "--name", "@Marlowe", "--role", "author")
    return site.forum("essays", "import", str(ESSAY), "--author", "marlowe@mail.example", "--publish").strip()


@SCRIPT
@pytest.mark.parametrize("way", ["link", "code"])
def test_the_first_comment_subscribes_and_signs_in_with_five_actions(
    site: Site, essay: str, sink: Sink, browser: Browser, script: bool, way: str
) -> None:
    address, actions = f"thea.{way}.{script:d}@mail.example", 0

    def act(deed: Callable[[], object]) -> None:
        nonlocal actions
        deed()
        actions += 1

    with browser_page(browser, script) as page:
        page.goto(essay)
        form = page.locator("#compose")
        expect(form.get_by_label("E-mail address")).to_be_hidden()
        act(lambda: form.get_by_label("Write a comment").fill(WORDS))
        act(lambda: form.get_by_label("E-mail address").fill(address))
        act(lambda: form.get_by_role("button", name="Post comment").click())
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your e-mail")
        expect(page.locator("main")).to_contain_text(WORDS)
        mail = mail_to(sink, address)
        if way == "link":
            act(lambda: page.goto(link_in(mail)))
            act(lambda: page.get_by_role("button", name="Post my comment").click())
        else:
            act(lambda: page.get_by_label("Code").fill(code_in(mail)))
            act(lambda: page.get_by_role("button", name="Go on").click())
        assert actions == 5
        expect(page.locator(".say")).to_contain_text(
            "Your comment is waiting for @Marlowe. Only you can see it."
        )
        expect(page.locator(".say")).to_contain_text("You are on the list.")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.goto(essay)
        expect(page.locator(".comment--waiting em")).to_have_text("fourth")
        expect(page.locator("#compose textarea")).to_have_value("")
        page.goto(f"{site.url}/subscribe")
        expect(page.locator("main")).to_contain_text(f"new essays come to {address}")


@SCRIPT
def test_the_box_under_an_essay_subscribes_in_another_browser(
    site: Site, essay: str, sink: Sink, browser: Browser, script: bool
) -> None:
    address = f"lena.{script:d}@mail.example"
    with browser_page(browser, script) as page:
        page.goto(essay)
        box = page.locator(".letter")
        box.get_by_label("E-mail address").fill(address)
        box.get_by_role("button", name="Subscribe").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Check your e-mail")
    with browser_page(browser, script) as page:
        page.goto(link_in(mail_to(sink, address)))
        page.get_by_label("Name").fill(f"Lena {script:d}")
        page.locator("main").get_by_role("button", name="Subscribe").click()
        expect(page.locator(".say")).to_contain_text("You are on the list.")
        expect(page).to_have_url(essay)
        expect(page.locator(".letter")).to_have_count(0)
        page.goto(f"{site.url}/account")
        expect(page.locator("main")).to_contain_text(f"Lena {script:d}")


@contextmanager
def browser_page(browser: Browser, script: bool) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=script)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def mail_to(sink: Sink, address: str) -> EmailMessage:
    """Return the one mail that the server took for an address, waiting for it."""
    until = time.monotonic() + MAIL_SECONDS
    while not (found := [mail for mail in sink.got if mail["To"] == address]):
        assert time.monotonic() < until, f"no mail came to {address}"
        time.sleep(0.1)
    (mail,) = found
    return mail


def link_in(mail: EmailMessage) -> str:
    found = re.search(r"http://\S+/sign-in/link/\S+", text_of(mail))
    assert found, text_of(mail)
    return found[0]


def code_in(mail: EmailMessage) -> str:
    found = re.search(r"\d{3} \d{3}", mail["Subject"])
    assert found, mail["Subject"]
    return found[0]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())
