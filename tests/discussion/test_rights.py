"""The rights table of the discussion: for every person, policy and act, function = button = HTTP answer."""

import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask

from forum import clock
from forum.accounts.user import Role, User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.posting import post_comment
from forum.discussion.rights import Act, rights
from forum.essays.essay import CommentPolicy, Essay
from forum.moderation.decisions import hide
from forum.subscriptions.subscription import Kind
from forum.text.markdown import render_comment
from tests.cast import Cast, Visitor

GRACE = timedelta(days=7)

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
    "lapsed": f"read {OWN} follow",
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
        "grace": "react",
        "author": WRITE,
        "another author": "react",
        "moderator": "react",
        "admin": "react",
    },
    CommentPolicy.OFF: {},
}
CELLS = [(policy, closed) for policy in CommentPolicy for closed in (False, True)]


@dataclass
class Scene:
    """One person before one essay: a reader's comment, their own, and an own one that was hidden."""

    essay_id: int
    slug: str
    theirs: int
    own: int | None
    own_hidden: int | None


def expected(person: str, policy: CommentPolicy, closed: bool) -> set[str]:
    return set(ALWAYS[person].split()) | set("" if closed else WHILE_OPEN[policy].get(person, "").split())


@pytest.mark.parametrize(("policy", "closed"), CELLS)
def test_function_button_and_answer_agree_with_the_table(
    cast: Cast, policy: CommentPolicy, closed: bool
) -> None:
    for number, (name, visitor) in enumerate(people(cast).items()):
        scene = make_scene(cast, f"essay-{number}", visitor, policy, closed=closed)
        table = expected(name, policy, closed)
        assert by_function(cast.app, visitor, scene) == table, f"{name}, function"
        assert by_buttons(visitor, scene) == table, f"{name}, buttons"
        assert by_answers(visitor, scene) == table, f"{name}, answers"


def test_in_the_grace_days_a_reader_answers_in_the_threads_that_they_began(cast: Cast) -> None:
    visitor = people(cast)["grace"]
    scene = make_scene(cast, "grace", visitor, CommentPolicy.PAID, closed=False)
    answer = cast.author.comment(scene.slug, "What did you mean?", scene.own)
    answered = int(answer.headers["Location"].rpartition("-")[2])
    assert visitor.comment(scene.slug, "I meant the tide.", answered).status_code == 303
    assert visitor.comment(scene.slug, "And you?", scene.theirs).status_code == 403


@pytest.mark.parametrize("access", ["subscribers", "paid"])
def test_who_may_not_read_the_essay_finds_no_comment_of_it(cast: Cast, access: str) -> None:
    scene = make_scene(cast, "hidden-away", cast.reader, CommentPolicy.SUBSCRIBERS, closed=False)
    cast.change(Essay, scene.essay_id, access=access, preview_html="<p>Only this.</p>")
    stranger = cast.stranger
    assert stranger.get(f"/comments/{scene.theirs}").status_code == 404
    assert "another reader wrote this" not in stranger.get(f"/essays/{scene.slug}").text
    assert "Only this." in stranger.get(f"/essays/{scene.slug}").text


def people(cast: Cast) -> dict[str, Visitor]:
    """Return one browser for each person of the table."""
    now = clock.now()
    visitors = {
        "stranger": cast.stranger,
        "unconfirmed": cast.person("unconfirmed", email_confirmed_at=None),
        "free": cast.person("free"),
        "suspended": cast.person("suspended", suspended_until=now + timedelta(days=3)),
        "banned": cast.person("banned", banned_at=now),
        "author": cast.author,
        "another author": cast.person("another author", Role.AUTHOR),
        "moderator": cast.moderator,
        "admin": cast.admin,
    }
    ends = {
        "paid": (Kind.PAID, now + timedelta(days=30)),
        "complimentary": (Kind.COMPLIMENTARY, None),
        "grace": (Kind.PAID, now - GRACE / 2),
        "lapsed": (Kind.PAID, now - GRACE * 2),
    }
    for name, (kind, ends_at) in ends.items():
        visitors[name] = cast.person(name)
        cast.subscribe(visitors[name].user_id or 0, kind, ends_at)
    assert set(visitors) == set(ALWAYS)
    return visitors


def make_scene(cast: Cast, slug: str, visitor: Visitor, policy: CommentPolicy, *, closed: bool) -> Scene:
    essay_id = cast.essay(slug, slug, comments=policy)
    theirs = posted(cast, essay_id, cast.other_reader.user_id or 0, "another reader wrote this")
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
    if closed:
        cast.change(Essay, essay_id, discussion_closed_at=clock.now())
    return Scene(essay_id, slug, theirs, own, hidden)


def posted(cast: Cast, essay_id: int, author_id: int, words: str) -> int:
    """Make a visible comment, whatever its writer may do today: it was posted in better days."""
    with cast.app.app_context():
        author, essay = db.session.get_one(User, author_id), db.session.get_one(Essay, essay_id)
        author.accepted_comments = 9
        text = render_comment(f"{words}, on {essay.slug}")
        comment = post_comment(author, essay, text, f"{essay_id}-{author_id}-{words}")
        db.session.commit()
        return comment.id


def by_function(app: Flask, visitor: Visitor, scene: Scene) -> set[str]:
    """Ask the rights function, about the own comments for the acts that concern them."""
    with app.app_context():
        user = db.session.get(User, visitor.user_id) if visitor.user_id else None
        essay = db.session.get_one(Essay, scene.essay_id)

        def may(comment_id: int | None) -> set[str]:
            comment = db.session.get(Comment, comment_id) if comment_id else None
            return {act.value for act in rights(user, essay, comment, clock.now())} if comment else set()

        about_own = may(scene.own) & {"edit", "withdraw"} | may(scene.own_hidden) & {"appeal"}
        return may(scene.theirs) - {"edit", "withdraw", "appeal"} | about_own


def by_buttons(visitor: Visitor, scene: Scene) -> set[str]:
    """Read from the pages which acts have a form there."""
    essay = visitor.get(f"/essays/{scene.slug}")
    pages = {"theirs": visitor.get(f"/comments/{scene.theirs}")}
    for name, comment_id in (("own", scene.own), ("hidden", scene.own_hidden)):
        if comment_id:
            pages[name] = visitor.get(f"/comments/{comment_id}")
    assert {page.status_code for page in (essay, *pages.values())} == {200}
    forms = {name: actions(page.text) for name, page in pages.items()} | {"essay": actions(essay.text)}
    composer = f"/essays/{scene.slug}/comments"
    if visitor.user_id is None:
        # A stranger may write first and sign in afterwards: their composer keeps words, it posts nothing.
        forms["essay"].discard(composer)
        forms["theirs"].discard(composer)
    found = {"read"} if "another reader wrote this" in essay.text else set()
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
    return set(re.findall(r'<form\b[^>]*\baction="([^"]+)"', page, flags=re.S))


def by_answers(visitor: Visitor, scene: Scene) -> set[str]:
    """Do everything, and tell what was done; what may not be done is refused and changes nothing."""
    revision = {"revision": "1", "reason": "unkind"}
    done = {"read"} if "another reader wrote this" in visitor.get(f"/essays/{scene.slug}").text else set()
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
        assert answer.status_code in (303, 403, 409) or (answer.status_code == 404 and act == "moderate"), (
            f"{visitor.name}: {act} answered {answer.status_code}"
        )
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
