"""Takes the README's pictures: the running product with its demo, in a real browser. `make pictures` calls it."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from forum.demo.accounts import PASSWORD
from forum.demo.story import FIRST
from tests.browser.site import Site
from tests.chromium import chromium

PICTURES = Path(__file__).resolve().parent / "pictures"
WIDE: ViewportSize = {"width": 1440, "height": 1000}
PHONE: ViewportSize = {"width": 390, "height": 844}
MOST_BYTES = 250 * 1024


def main() -> None:
    """Take every picture, and say how large each is; the exit status is 1 when one is too large."""
    with tempfile.TemporaryDirectory(prefix="forum-pictures-") as name, Site(Path(name)) as site:
        site.forum("demo")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            _take_all(browser, site.url)
            browser.close()
    sizes = {file.name: file.stat().st_size for file in sorted(PICTURES.glob("*.png"))}
    for file_name, size in sizes.items():
        print(f"docs/pictures/{file_name}: {size // 1024} KB")
    sys.exit(1 if max(sizes.values()) > MOST_BYTES else 0)


def _take_all(browser: Browser, url: str) -> None:
    essay = f"{url}/essays/{FIRST}"
    wide = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    page = wide.new_page()
    page.goto(essay)
    _take(page, "essay")
    page.goto(f"{essay}#discussion")
    page.evaluate(
        "scrollTo(0, scrollY + document.getElementById('discussion').getBoundingClientRect().top - 24)"
    )
    _take(page, "discussion")
    page.fill("#compose textarea", "The lifeboat log has the same dip in 1938. I can send you the page.")
    page.evaluate("scrollTo(0, scrollY + document.querySelector('.letter').getBoundingClientRect().top - 24)")
    _take(page, "joining")
    _sign_in(page, url)
    page.goto(f"{url}/moderation")
    _decide_some(page)
    _take(page, "desk")
    page.goto(f"{url}/moderation/rules/words/try")
    _take(page, "rule")
    phone = browser.new_context(
        viewport=PHONE, color_scheme="dark", reduced_motion="reduce", is_mobile=True, has_touch=True
    )
    page = phone.new_page()
    page.goto(essay)
    _take(page, "essay-phone")


def _sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/sign-in")
    page.fill("[name=email]", "author@demo.example")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda address: "/sign-in" not in address)


def _decide_some(page: Page) -> None:
    """Remove the first comment and post the second by their keys, so that the picture has the undo; tick another."""
    page.wait_for_selector("[data-ready]")
    page.keyboard.press("x")
    page.keyboard.press("2")
    page.wait_for_selector("#happened .undo >> text=Removed")
    page.keyboard.press("a")
    page.wait_for_selector("#happened .undo >> text=Posted")
    # A click would make the ticked card the current one.
    page.locator(".card__pick").nth(1).evaluate(
        "box => { box.checked = true; box.dispatchEvent(new Event('change', { bubbles: true })); }"
    )
    page.evaluate("scrollTo(0, 0)")


def _take(page: Page, name: str) -> None:
    """Keep what the window shows, one picture point for each of the page's, so that the file stays small."""
    size = page.viewport_size or WIDE
    clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": size["height"]}
    page.evaluate("document.fonts.ready")
    page.screenshot(path=PICTURES / f"{name}.png", clip=clip, animations="disabled")


if __name__ == "__main__":
    main()
