"""Every screen with the demo in it: axe finds nothing, and nothing is wider than its window, light and dark."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from itsdangerous import URLSafeSerializer
from playwright.sync_api import Browser, Page

from forum.demo.accounts import PASSWORD
from tests.browser.site import Site

WIDTHS = (1440, 390, 320)
STYLED = (1440, 320)
"""No style sheet asks for a width between 320 and 34rem: at 390 axe would read the same page as at 320."""

SCHEMES = ("light", "dark")
ESSAY = "/essays/the-difference-column"
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # what passes need not be told node by node
}
OF_COLOUR = RULES | {"runOnly": ["color-contrast", "link-in-text-block"]}

Screen = str | Callable[[Page, Site], None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the demo in it."""
    instance = tmp_path_factory.mktemp("screens")
    with Site(instance) as running:
        running.forum("demo")
        yield running


def empty_comment(page: Page, site: Site) -> None:
    page.goto(f"{site.url}{ESSAY}/write")
    page.get_by_label("Your comment").fill("x")
    page.get_by_role("button", name="Post comment").click()
    page.wait_for_selector(".problem")


def preview(page: Page, site: Site) -> None:
    page.goto(f"{site.url}{ESSAY}/write")
    page.get_by_label("Your comment").fill("Some *words*.\n\n> quoted\n\n- one\n- two\n\n`code`")
    page.get_by_role("button", name="Preview").click()
    page.wait_for_selector(".preview .comment__body")


def kept_words(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.get_by_label("Write a comment").fill("Words of somebody who is not signed in.")
    page.get_by_role("button", name="I have an account").click()
    page.wait_for_url(re.compile("/sign-in"))


def waiting_words(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    form = page.locator("#compose")
    form.get_by_label("Write a comment").fill("Words of somebody who is new.\n\n> quoted")
    form.get_by_label("E-mail address").fill("thea.park@mail.example")
    form.get_by_role("button", name="Post comment").click()
    page.wait_for_url(re.compile("/sign-in/check"))


def open_link(page: Page, site: Site) -> None:
    page.goto(site.link_mailed_to("thea.park@mail.example"))


def link_cut_short(page: Page, site: Site) -> None:
    page.goto(site.link_mailed_to("thea.park@mail.example")[:-4])


def open_composer(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.get_by_label("Write a comment").fill("Words of somebody who is new.")
    page.locator("#compose").get_by_label("E-mail address").fill("no address")


def wrong_subscription(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/subscribe")
    page.get_by_label("E-mail").fill("a@b")
    page.locator("main").get_by_role("button", name="Subscribe").click()
    page.wait_for_selector(".problem")


def code_asked(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("E-mail").fill("somebody@mail.example")
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile("/sign-in/check"))


def wrong_sign_up(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sign-up")
    page.get_by_label("Name").fill("Edda Lindqvist")
    page.get_by_label("E-mail").fill("somebody.else@mail.example")
    page.locator("main").get_by_role("button", name="Sign up").click()
    page.wait_for_selector(".problem")


def open_reply(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.get_by_role("link", name="Reply", exact=True).first.click()
    page.wait_for_selector(".composer--reply")


def comment_with_all_acts(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.locator(".comment__time").nth(3).click()
    page.wait_for_url(re.compile("/comments/"))


def own_comment(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/account/comments")
    page.locator(".said__where a[href^='/comments/']").first.click()
    page.wait_for_url(re.compile("/comments/"))


def report_without_a_reason(page: Page, site: Site) -> None:
    comment_with_all_acts(page, site)
    for radio in page.locator("form[action$='/report'] input[type=radio]").all():
        radio.evaluate("radio => { radio.required = false }")
    page.get_by_role("button", name="Report", exact=True).click()
    page.wait_for_selector(".problem")


def muted_person(page: Page, site: Site) -> None:
    comment_with_all_acts(page, site)
    page.get_by_role("button", name=re.compile("^Mute (?!this)")).click()
    page.wait_for_selector(".muted")
    page.get_by_role("button", name="Follow this thread").click()
    page.get_by_role("button", name="Stop following").wait_for()
    page.goto(site.url + ESSAY)


def stopped_letter(page: Page, site: Site) -> None:
    key = Path(site.environ["FORUM_INSTANCE"], "secret_key").read_text()
    signer = URLSafeSerializer(key, salt="unsubscribe")
    page.goto(f"{site.url}/unsubscribe/{signer.dumps([4, 'essays'])}")
    page.get_by_role("button", name="Stop new essays").click()
    page.get_by_role("button", name="Stop everything").wait_for()


def desk_with_all_panels_open(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation")
    page.wait_for_selector("[data-ready]")
    page.route("**/approve", lambda route: route.abort())
    page.keyboard.press("a")
    page.wait_for_selector(".card__error")
    page.unroute("**/approve")
    page.evaluate(
        "document.querySelectorAll('.batch details, .card details').forEach(one => { one.open = true })"
    )


def removal_of_many_without_a_reason(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation")
    # As without script: the browser sends the form as it stands.
    page.evaluate(
        """() => {
            const form = document.querySelector("#batch");
            document.querySelectorAll("[name=item]").forEach((one) => { one.checked = true });
            const verb = Object.assign(document.createElement("input"), {name: "do", value: "remove"});
            form.append(verb);
            HTMLFormElement.prototype.submit.call(form);
        }"""
    )
    page.wait_for_selector(".problem")


def published_log(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation-log")
    if page.get_by_role("heading", name="What the moderators did").count() == 0:
        page.goto(f"{site.url}/admin/settings")
        page.get_by_role("group", name="Publish what the moderators do").get_by_label("On").check()
        page.get_by_label("Reason").fill("To look at the page.")
        page.get_by_role("button", name="Save settings").click()
        page.goto(f"{site.url}/moderation-log")
    page.get_by_role("heading", name="What the moderators did").wait_for()


def undone_twice(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation/log")
    undo = page.locator("form[action^='/moderation/undo/']").first
    address = undo.get_attribute("action")
    undo.get_by_role("button").click()
    page.locator(".say__line").wait_for()
    undo.evaluate("(form, address) => { form.action = address }", address)
    undo.get_by_role("button").click()
    page.get_by_role("heading", name="Nothing was undone").wait_for()


def first_user(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/admin/users?q=edda")
    if "/admin/users/" not in page.url:
        page.locator("tbody th a").first.click()


def person_with_every_form_open(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation/people/4")
    page.locator(".card__ask").evaluate_all("asked => asked.forEach(one => { one.open = true })")


def ban_page(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/moderation/people/4")
    page.get_by_role("link", name="Ban…").click()
    page.wait_for_url(re.compile("/ban"))


def chosen_users(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/admin/users")
    for box in page.locator("[name=who]").all()[:3]:
        box.check()
    page.get_by_role("button", name="Subscriptions of those chosen…").click()
    page.wait_for_url(re.compile("/admin/users/subscriptions"))


def batch_without_an_act(page: Page, site: Site) -> None:
    chosen_users(page, site)
    page.get_by_label("Reason").fill("They paid by post.")
    page.get_by_role("button", name="Continue").click()
    page.wait_for_selector(".problem")


def reviewed_file(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/admin/subscriptions")
    lines = ("email,kind,until,note", "samir@demo.example,paid,forever,", "nobody@demo.example,paid,,")
    content = "\n".join(lines).encode()
    file = {"name": "periods.csv", "mimeType": "text/csv", "buffer": content}
    page.get_by_label("File").set_input_files(file)  # type: ignore[arg-type]
    page.get_by_label("Reason").fill("They paid by post.")
    page.get_by_role("button", name="Read the file").click()
    page.get_by_role("button", name="Grant to 1 person").wait_for()


def granted_to_oneself(page: Page, site: Site) -> None:
    change_own_subscription(page, site, "Grant", "2099-12-31")


def own_subscription_that_lapsed(page: Page, site: Site) -> None:
    change_own_subscription(page, site, "End", "")
    page.goto(f"{site.url}/account/subscription")


def change_own_subscription(page: Page, site: Site, act: str, until: str) -> None:
    page.goto(f"{site.url}/admin/users?q=admin@demo.example")
    section = page.locator("#subscription")
    section.get_by_text(f"{act}…", exact=True).click()
    page.locator(f"#{act.lower()}-until").fill(until)
    page.locator(f"#{act.lower()}-reason").fill("To look at the pages.")
    section.get_by_role("button", name=act, exact=True).click()
    page.wait_for_selector(".say__line")


def editor_of_the_first(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/desk/essays")
    page.locator("main a[href^='/desk/essays/']:not([href$=new])").first.click()


def under_the_editor(part: str) -> Callable[[Page, Site], None]:
    def open_it(page: Page, site: Site) -> None:
        editor_of_the_first(page, site)
        page.goto(re.sub(r"(/desk/essays/\d+).*", rf"\1/{part}", page.url))

    open_it.__name__ = f"editor_{part.replace('/', '_')}"
    return open_it


def publish_review(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/desk/essays/new")
    page.get_by_label("Title").fill("Slack water at night")
    page.get_by_label("Essay", exact=True).fill("Some words.")
    page.locator("main .button--primary").first.click()
    page.wait_for_url(re.compile(r"/desk/essays/\d+"))
    page.goto(re.sub(r"(/desk/essays/\d+).*", r"\1/publish", page.url))
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("What is sent cannot be unsent.").wait_for()


def sent_essay(page: Page, site: Site) -> None:
    publish_review(page, site)
    page.get_by_role("button", name=re.compile("^Publish and send to")).click()
    page.wait_for_selector("#sending[data-refresh]")
    page.get_by_text(
        re.compile(r"^Sent to \d+ subscribers")
    ).first.wait_for()  # no reload: it follows by itself


def reviewed_move(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.locator(".replies .comment__moderate").last.click()
    page.get_by_role("link", name="Move…").click()
    page.get_by_label("Where to").fill("/essays/reading-over-a-shoulder")
    page.get_by_role("button", name="Look first").click()
    page.get_by_role("button", name="Move it").wait_for()


def closed_thread_with_a_trace(page: Page, site: Site) -> None:
    reviewed_move(page, site)
    page.get_by_role("button", name="Move it").click()
    page.goto(site.url + ESSAY)
    page.locator(".thread > li:has(.trace) > article .comment__moderate").last.click()
    page.get_by_role("button", name="Close the thread").click()
    page.goto(site.url + ESSAY)
    page.get_by_text("This thread is closed.").last.wait_for()


def redaction_of_other_words(page: Page, site: Site) -> None:
    page.goto(site.url + ESSAY)
    page.locator(".comment__moderate").first.click()
    page.get_by_role("link", name="Black out words…").click()
    page.get_by_label("The words to black out").fill("words that are not there")
    page.get_by_label("Private: it tells").check()
    page.get_by_role("button", name="Black them out").click()
    page.get_by_role("alert").wait_for()


SCREENS: dict[str, list[Screen]] = {
    "": [
        "/",
        ESSAY,
        f"{ESSAY}?sort=newest",
        "/essays/reading-over-a-shoulder",
        "/archive",
        "/archive/2026",
        "/authors/1",
        "/readers/4",
        "/sign-in",
        "/sign-up",
        "/subscribe",
        "/sign-in/link/not-a-link",
        "/unsubscribe/not-a-link",
        stopped_letter,
        "/dev/mail",
        "/nothing-here",
        kept_words,
        open_composer,
        waiting_words,
        open_link,
        link_cut_short,
        wrong_subscription,
        code_asked,
        wrong_sign_up,
    ],
    "reader@demo.example": [
        ESSAY,
        open_reply,
        comment_with_all_acts,
        report_without_a_reason,
        own_comment,
        empty_comment,
        preview,
        "/account",
        "/account/name",
        "/account/about",
        "/account/address",
        "/account/password",
        "/account/sessions",
        "/account/appearance",
        "/account/comments",
        "/account/subscription",
        "/admin/users",
    ],
    "author@demo.example": [
        ESSAY,
        "/moderation",
        desk_with_all_panels_open,
        removal_of_many_without_a_reason,
        "/moderation/log",
        "/moderation/rules",
        "/moderation/learned",
        "/moderation/mirror",
        "/moderation/second-look",
        "/moderation/rules/words/try?words-words=the",
        person_with_every_form_open,
        ban_page,
        comment_with_all_acts,
        reviewed_move,
        closed_thread_with_a_trace,
        redaction_of_other_words,
        "/desk/essays",
        "/desk/essays/new",
        editor_of_the_first,
        under_the_editor("publish"),
        publish_review,
        sent_essay,
        under_the_editor("revisions"),
        under_the_editor("images"),
        under_the_editor("withdraw"),
        under_the_editor("conflict"),
    ],
    "admin@demo.example": [
        "/admin/users",
        "/admin/users?q=nobody-at-all",
        first_user,
        "/admin/mail",
        "/admin/mail/stopped",
        "/admin/tiers",
        "/admin/subscriptions",
        chosen_users,
        batch_without_an_act,
        reviewed_file,
        granted_to_oneself,
        "/account/subscription",
        "/account/subscription/cancel",
        own_subscription_that_lapsed,
        "/account",
        "/admin/audit",
        "/admin/reasons",
        "/admin/settings",
        "/moderation",
        published_log,
        undone_twice,
    ],
}


@pytest.mark.parametrize("email", SCREENS, ids=lambda email: email.partition("@")[0] or "stranger")
def test_every_screen_is_accessible_and_fits_its_window(site: Site, browser: Browser, email: str) -> None:
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(30_000)
    page, found = context.new_page(), []
    if email:
        sign_in(page, site, email)
    for screen in SCREENS[email]:
        if callable(screen):
            screen(page, site)
        else:
            page.goto(site.url + screen)
        found += [f"{name(screen)}: {problem}" for problem in problems_of(page)]
    context.close()
    assert not found, "\n".join(found)


def problems_of(page: Page) -> list[str]:
    """Return what is wrong with an open page at every width, in both schemes, and mirrored at the narrowest."""
    problems = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES if width in STYLED else ():
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            # Another scheme has other colours and nothing else.
            rules = RULES if scheme == SCHEMES[0] else OF_COLOUR
            for violation in Axe().run(page, options=rules).response["violations"]:
                where = [node["target"] for node in violation["nodes"]][:3]
                problems.append(f"{width} {scheme}: {violation['id']} at {where}")
        problems += too_wide(page, f"{width}")
    page.evaluate("document.documentElement.dir = 'rtl'")
    problems += too_wide(page, "320 right to left")
    return problems


def too_wide(page: Page, label: str) -> list[str]:
    excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{label}: {excess} px wider than the window"] if excess > 0 else []


def sign_in(page: Page, site: Site, email: str) -> None:
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def name(screen: Screen) -> str:
    return screen.__name__ if callable(screen) else screen
