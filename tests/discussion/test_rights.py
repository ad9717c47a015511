"""The rights table of the discussion: for every person, access, policy and act, function = button = HTTP answer."""

import re
from dataclasses import dataclass

import pytest
from werkzeug.test import TestResponse

from forum import clock
from forum.accounts.user import User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.rights import Act, rights
from forum.essays.essay import Access, CommentPolicy, Essay
from forum.moderation.decisions import hide
from tests.cast import Cast, Visitor
from tests.discussion.people import people, posted

THEIR_WORDS = "another reader wrote this"

# What each person may do, in words. First what the policy does not touch, then what it adds while open.
# "edit", "withdraw" and "appeal" are about their own words, all others about another reader's comment.
OWN = "withdraw appeal"
READER = f"read {OWN} report follow"
STAFF = f"{READER} moderate pin feature close"
ALWAYS = {
    "stranger": "read",
    "unconfirmed": f"read {OWN}",
    "free": READER,
    "paid": READER,
    "complimentary": READER,
    "grace": READER,
    "cancelled": READER,
    "lapsed": f"read {OWN} follow",
    "cancelled and over": f"read {OWN} follow",
    "suspended": f"read {OWN} follow",
    "banned": f"read {OWN}",
    "author": STAFF,
    "another author": READER,
    "moderator": STAFF,
    "admin": STAFF,
}
WRITE = "comment reply edit react"
WHILE_OPEN = {
    CommentPolicy.SUBSCRIBERS: {
        "free": WRITE,
        "paid": WRITE,
        "complimentary": WRITE,
        "cancelled": WRITE,
        "grace": "edit react",  # edits and answers in the threads that they began
        "author": WRITE,
        "another author": WRITE,
        "moderator": WRITE,
        "admin": WRITE,
    },
    CommentPolicy.PAID: {
        "free": "react",
        "paid": WRITE,
        "complimentary": WRITE,
        "cancelled": WRITE,
        "grace": "edit react",
        "author": WRITE,
        "another author": "react",
        "moderator": WRITE,
        "admin": WRITE,
    },
    CommentPolicy.AUTHOR_ONLY: {
        "free": "react",
        "paid": "react",
        "complimentary": "react",
        "cancelled": "react",
        "grace": "react",
        "author": WRITE,
        "another author": "react",
        "moderator": "react",
        "admin": "react",
    },
    CommentPolicy.OFF: {},
}
READS_ALSO = {
    Access.PUBLIC: set(ALWAYS),
    Access.SUBSCRIBERS: set(ALWAYS) - {"stranger", "unconfirmed"},
    Access.PAID: {"paid", "complimentary", "cancelled", "grace", "author", "moderator", "admin"},
}
"""Who reads past the preview; for everyone else there is no discussion either, but what they wrote stays theirs."""

CELLS = [
    (access, policy, closed) for access in Access for policy in CommentPolicy for closed in (False, True)
]
WALKED = [
    *((Access.PUBLIC, policy, False) for policy in CommentPolicy),
    (Access.PUBLIC, CommentPolicy.SUBSCRIBERS, True),
    (Access.SUBSCRIBERS, CommentPolicy.PAID, False),
    (Access.PAID, CommentPolicy.SUBSCRIBERS, False),
]
"""The cells whose pages are opened and whose acts are tried: pages and routes learn of access by the function alone."""


@dataclass
class Scene:
    """One person before one essay: a reader's comment, their own, and an own one that was hidden."""

    essay_id: int
    slug: str
    theirs: int
    own: int | None
    own_hidden: int | None


def expected(person: str, access: Access, policy: CommentPolicy, closed: bool) -> set[str]:
    if person not in READS_ALSO[access]:
        return set(ALWAYS[person].split()) & set(OWN.split())
    return set(ALWAYS[person].split()) | set("" if closed else WHILE_OPEN[policy].get(person, "").split())


def test_the_function_agrees_with_every_cell_of_the_table(cast: Cast) -> None:
    visitors = people(cast)
    assert set(visitors) == set(ALWAYS)
    essay_id = cast.essay("one-for-all", "One for all")
    scenes = {name: make_scene(cast, essay_id, visitor) for name, visitor in visitors.items()}
    for access, policy, closed in CELLS:
        closed_at = clock.now() if closed else None
        cast.change(Essay, essay_id, access=access, comments=policy, discussion_closed_at=closed_at)
        with cast.app.app_context():
            for name, scene in scenes.items():
                table = expected(name, access, policy, closed)
                assert by_function(visitors[name], scene) == table, (name, access, policy, closed)


@pytest.mark.kinds("sqlite")
@pytest.mark.parametrize(("access", "policy", "closed"), WALKED)
def test_function_button_and_answer_agree_with_the_table(
    cast: Cast, access: Access, policy: CommentPolicy, closed: bool
) -> None:
    function_button_and_answer_agree(cast, access, policy, closed)


@pytest.mark.kinds("postgresql")
@pytest.mark.parametrize(("access", "policy", "closed"), WALKED[1::3])
def test_function_button_and_answer_agree_on_the_other_database_too(
    cast: Cast, access: Access, policy: CommentPolicy, closed: bool
) -> None:
    function_button_and_answer_agree(cast, access, policy, closed)


def function_button_and_answer_agree(cast: Cast, access: Access, policy: CommentPolicy, closed: bool) -> None:
    for number, (name, visitor) in enumerate(people(cast).items()):
        if name.startswith(
            "cancelled"
        ):  # to pages and routes they are what the clock makes of them: see below
            continue
        slug = f"essay-{number}"
        scene = make_scene(cast, cast.essay(slug, slug, comments=policy), visitor)
        closed_at = clock.now() if closed else None
        cast.change(Essay, scene.essay_id, access=access, discussion_closed_at=closed_at)
        table, pages = expected(name, access, policy, closed), open_pages(visitor, scene)
        with cast.app.app_context():
            assert by_function(visitor, scene) == table, f"{name}, function"
        assert by_buttons(visitor, scene, pages) == table, f"{name}, buttons"
        assert by_answers(visitor, scene, pages) == table, f"{name}, answers"


def test_in_a_closed_thread_only_staff_reply_and_edit(cast: Cast) -> None:
    everyone = people(cast)
    for number, name in enumerate(("free", "grace", "moderator", "author")):
        visitor, slug = everyone[name], f"closed-{number}"
        scene = make_scene(cast, cast.essay(slug, slug), visitor)
        for row_id in (scene.theirs, scene.own):
            cast.change(Comment, row_id or 0, closed_at=clock.now(), closing_note="All is said.")
        table = expected(name, Access.PUBLIC, CommentPolicy.SUBSCRIBERS, closed=False)
        table -= {"reply", "edit"} if name in ("free", "grace") else set()
        pages = open_pages(visitor, scene)
        with cast.app.app_context():
            assert by_function(visitor, scene) == table, f"{name}, function"
        assert by_buttons(visitor, scene, pages) == table, f"{name}, buttons"
        assert by_answers(visitor, scene, pages) == table, f"{name}, answers"


def test_in_the_grace_days_a_reader_answers_in_the_threads_that_they_began(cast: Cast) -> None:
    visitor = people(cast)["grace"]
    scene = make_scene(cast, cast.essay("grace", "Grace", comments=CommentPolicy.PAID), visitor)
    answer = cast.author.comment(scene.slug, "What did you mean?", scene.own)
    answered = int(answer.headers["Location"].rpartition("-")[2])
    assert visitor.comment(scene.slug, "I meant the tide.", answered).status_code == 303
    assert visitor.comment(scene.slug, "And you?", scene.theirs).status_code == 403


def make_scene(cast: Cast, essay_id: int, visitor: Visitor) -> Scene:
    theirs = posted(cast, essay_id, cast.other_reader.user_id or 0, THEIR_WORDS)
    own = hidden = None
    if visitor.user_id is not None:
        own = posted(cast, essay_id, visitor.user_id, "their own words")
        hidden = posted(cast, essay_id, visitor.user_id, "their own words that were hidden")
        with cast.app.app_context():
            hide(
                db.session.get_one(User, cast.author.user_id),
                db.session.get_one(Comment, hidden),
                1,
                "unkind",
                "",
            )
            db.session.commit()
    return Scene(essay_id, cast.read(Essay, essay_id).slug, theirs, own, hidden)


def by_function(visitor: Visitor, scene: Scene) -> set[str]:
    """Ask the rights function, about the own comments for the acts that concern them."""
    user = db.session.get(User, visitor.user_id) if visitor.user_id else None
    essay = db.session.get_one(Essay, scene.essay_id)

    def may(comment_id: int | None) -> set[str]:
        comment = db.session.get(Comment, comment_id) if comment_id else None
        return {act.value for act in rights(user, essay, comment, clock.now())} if comment else set()

    about_own = may(scene.own) & {"edit", "withdraw"} | may(scene.own_hidden) & {"appeal"}
    return may(scene.theirs) - {"edit", "withdraw", "appeal"} | about_own


def open_pages(visitor: Visitor, scene: Scene) -> dict[str, TestResponse]:
    """Open the essay's page and those of the three comments."""
    addresses = {"essay": f"/essays/{scene.slug}", "theirs": f"/comments/{scene.theirs}"}
    if scene.own:
        addresses |= {"own": f"/comments/{scene.own}", "hidden": f"/comments/{scene.own_hidden}"}
    return {name: visitor.get(address) for name, address in addresses.items()}


def by_buttons(visitor: Visitor, scene: Scene, pages: dict[str, TestResponse]) -> set[str]:
    """Read from the pages which acts have a form there."""
    reads = THEIR_WORDS in pages["essay"].text
    for name, page in pages.items():
        assert page.status_code == (200 if reads or name != "theirs" else 404), name
    forms = {name: actions(page.text) for name, page in pages.items()}
    composer = f"/essays/{scene.slug}/comments"
    if visitor.user_id is None:
        # A stranger may write first and sign in afterwards: their composer keeps words, it posts nothing.
        forms["essay"].discard(composer)
        forms["theirs"].discard(composer)
    found = {"read"} if reads else set()
    found |= {"comment"} if composer in forms["essay"] else set()
    found |= {"reply"} if composer in forms["theirs"] else set()
    found |= {"follow"} if f"/essays/{scene.slug}/follow" in forms["essay"] else set()
    found |= {"close"} if f"/moderation/essays/{scene.essay_id}/" in " ".join(forms["essay"]) else set()
    found |= {act for act in ("report",) if f"/comments/{scene.theirs}/{act}" in forms["theirs"]}
    may = re.search(r'data-may="([^"]*)"', pages["theirs"].text)
    found |= {"react"} & set(may[1].split() if may else ())  # css hides the button unless the word is there
    found |= {"edit", "withdraw"} & {action.rpartition("/")[2] for action in forms.get("own", ())}
    found |= {"appeal"} & {action.rpartition("/")[2] for action in forms.get("hidden", ())}
    desk = {action.rpartition("/")[2] for action in forms["theirs"] if "/moderation/comments/" in action}
    found |= {"moderate"} if "hide" in desk else set()
    return found | ({"pin", "feature"} & desk)


def actions(page: str) -> set[str]:
    """Return where the forms of a page lead, and those buttons of theirs that lead elsewhere."""
    return set(re.findall(r'<(?:form|button)\b[^>]*\s(?:form)?action="([^"]+)"', page, flags=re.S))


def by_answers(visitor: Visitor, scene: Scene, pages: dict[str, TestResponse]) -> set[str]:
    """Do everything, and tell what was done; what may not be done is refused and changes nothing."""
    revision = {"revision": "1", "reason": "unkind"}
    done = {"read"} if THEIR_WORDS in pages["essay"].text else set()
    hidden_from_them = {"moderate"} if done else {"moderate", "pin", "feature", "react", "report"}
    tries = {
        "react": lambda: visitor.post(f"/comments/{scene.theirs}/react"),
        "report": lambda: visitor.post(f"/comments/{scene.theirs}/report", {"reason": "spam"}),
        "comment": lambda: visitor.comment(scene.slug, "A thought of mine."),
        "reply": lambda: visitor.comment(scene.slug, "An answer of mine.", scene.theirs),
        "follow": lambda: visitor.post(f"/essays/{scene.slug}/follow"),
        "edit": lambda: visitor.post(
            f"/comments/{scene.own}/edit", {"body": "better words", "revision": "1"}
        ),
        "appeal": lambda: visitor.post(
            f"/comments/{scene.own_hidden}/appeal", {"words": "Look again, please."}
        ),
        "pin": lambda: visitor.post(f"/moderation/comments/{scene.theirs}/pin", revision),
        "feature": lambda: visitor.post(f"/moderation/comments/{scene.theirs}/feature", revision),
        "withdraw": lambda: visitor.post(f"/comments/{scene.own}/withdraw"),
        "close": lambda: visitor.post(f"/moderation/essays/{scene.essay_id}/close"),
        "moderate": lambda: visitor.post(f"/moderation/comments/{scene.theirs}/hide", revision),
    }
    for act, attempt in tries.items():
        if act in ("edit", "appeal", "withdraw") and scene.own is None:
            continue
        answer = attempt()
        to_sign_in = answer.headers.get("Location", "").startswith("/sign-in")
        known = (303, 403, 404, 409) if act in hidden_from_them else (303, 403, 409)
        assert answer.status_code in known, f"{visitor.name}: {act} answered {answer.status_code}"
        if answer.status_code == 303 and not to_sign_in:
            done.add(act)
        elif (
            answer.status_code == 409 and act == "close"
        ):  # it is closed already; the right to close is there
            done.add(act)
    return done


def test_the_table_knows_every_act() -> None:
    named = {act for words in ALWAYS.values() for act in words.split()} | set(WRITE.split())
    assert named == {act.value for act in Act}
