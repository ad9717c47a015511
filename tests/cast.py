"""The people of the tests: users made straight in the database, and browsers that speak through the client."""

import html
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import Client, TestResponse

from forum import clock
from forum.accounts.session import Session, token_digest
from forum.accounts.user import Role, User
from forum.database import db
from forum.essays.essay import Access, CommentPolicy, Essay, EssayAddress
from forum.essays.revision import EssayRevision
from forum.pages.front import Front
from forum.pages.shared import Pages
from forum.subscriptions.subscription import Kind, Subscription

SECRET = "a known secret of the form token"


def making_anew(app: Flask) -> Client:
    """Return a browser for which every page is made anew, whatever is kept."""
    front: Any = app.wsgi_app
    return Client(Front(app, front.behind, Pages(app, 0)))


@dataclass
class Visitor:
    """One browser. `user_id` None is a stranger; posts carry a valid form token unless told otherwise."""

    app: Flask
    client: FlaskClient
    user_id: int | None = None
    name: str = "a stranger"
    form_tokens: int = field(default=0)

    def get(self, path: str, **options: Any) -> TestResponse:
        """Open a page."""
        return self.client.get(path, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """Send a form, with this browser's form token."""
        return self.client.post(path, data={"csrf_token": self.token(), **(data or {})}, **options)

    def token(self) -> str:
        """Return a form token that is valid in this browser's session."""
        with self.client.session_transaction() as cookie:
            cookie["csrf_token"] = SECRET
        signer = URLSafeTimedSerializer(self.app.config["SECRET_KEY"], salt="wtf-csrf-token")
        return signer.dumps(SECRET)

    def comment(self, essay: str, body: str, parent: int | None = None, **data: Any) -> TestResponse:
        """Post a comment on the essay with this slug, each time from a new form."""
        self.form_tokens += 1
        form = {
            "body": body,
            "form_token": f"form-{self.user_id}-{self.form_tokens}",
            "parent_id": parent or "",
        }
        return self.post(f"/essays/{essay}/comments", form | data)


class Cast:
    """A small site: people by role, made when they are first named, and one published essay `slug`."""

    slug = "on-tides"

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.visitors: dict[str, Visitor] = {}
        self.author = self.person("author", Role.AUTHOR)
        self.essay_id = self.essay(self.slug, "On tides")

    @property
    def reader(self) -> Visitor:
        """Return a reader in good standing, two of whose comments were accepted before."""
        return self.person("reader", accepted_comments=2)

    @property
    def other_reader(self) -> Visitor:
        """Return another known reader."""
        return self.person("other reader", accepted_comments=2)

    @property
    def newcomer(self) -> Visitor:
        """Return a reader without any accepted comment."""
        return self.person("newcomer")

    @property
    def moderator(self) -> Visitor:
        """Return a moderator."""
        return self.person("moderator", Role.MODERATOR)

    @property
    def admin(self) -> Visitor:
        """Return an admin."""
        return self.person("admin", Role.ADMIN)

    @property
    def stranger(self) -> Visitor:
        """Return a browser that nobody is signed in on, a new one each time."""
        return Visitor(self.app, self.app.test_client())

    def person(self, name: str, role: Role = Role.READER, **columns: Any) -> Visitor:
        """Return the signed-in browser of the person with this name, made at the first call."""
        if name not in self.visitors:
            user_id = self.user(name, role, **columns)
            self.visitors[name] = self.sign_in(user_id, name)
        return self.visitors[name]

    def user(self, name: str, role: Role = Role.READER, **columns: Any) -> int:
        """Make a confirmed account `<name>@mail.example` and return its id."""
        now = clock.now()
        values = {"email": f"{name.replace(' ', '.')}@mail.example", "email_confirmed_at": now} | columns
        with self.app.app_context():
            user = User(name=name, role=role, created_at=now, **values)
            db.session.add(user)
            db.session.commit()
            return user.id

    def sign_in(self, user_id: int, name: str = "somebody") -> Visitor:
        """Return a new browser on which the person is signed in."""
        client, token, now = (
            self.app.test_client(),
            f"session-{user_id}-{clock.now().timestamp()}",
            clock.now(),
        )
        with self.app.app_context():
            db.session.add(
                Session(user_id=user_id, token_hash=token_digest(token), created_at=now, last_seen_at=now)
            )
            db.session.commit()
        with client.session_transaction() as cookie:
            cookie["_user_id"] = token
            cookie["_fresh"] = True
            cookie.permanent = True
        return Visitor(self.app, client, user_id, name)

    def essay(self, slug: str, title: str, **columns: Any) -> int:
        """Make an essay by the author, published an hour ago unless the columns say otherwise; return its id."""
        now = clock.now()
        words = {
            "source": "Water waits for **nobody**.",
            "html": "<p>Water waits for <strong>nobody</strong>.</p>",
        }
        values: dict[str, Any] = {
            "author_id": self.author.user_id,
            "published_at": now - timedelta(hours=1),
            "access": Access.PUBLIC,
            "comments": CommentPolicy.SUBSCRIBERS,
            "preview_html": None,
        }
        with self.app.app_context():
            essay = Essay(
                slug=slug, title=title, created_at=now, updated_at=now, **(words | values | columns)
            )
            db.session.add(essay)
            db.session.flush()
            db.session.add(EssayAddress(slug=slug, essay_id=essay.id))
            revision = {"number": 1, "editor_id": essay.author_id, "source": essay.source, "created_at": now}
            db.session.add(EssayRevision(essay_id=essay.id, title=title, **revision))
            db.session.commit()
            return essay.id

    def subscribe(self, user_id: int, kind: Kind, ends_at: datetime | None = None) -> None:
        """Give a person a paid or complimentary period that ends at a moment, or never."""
        with self.app.app_context():
            began = clock.now() - timedelta(days=100)
            db.session.add(Subscription(user_id=user_id, kind=kind, began_at=began, ends_at=ends_at))
            db.session.commit()

    def change(self, model: type[Any], row_id: int, **columns: Any) -> None:
        """Change columns of one row straight in the database, which no page that is kept can know of."""
        self.app.extensions["pages"].clear()
        with self.app.app_context():
            row = db.session.get(model, row_id)
            assert row is not None
            for name, value in columns.items():
                setattr(row, name, value)
            db.session.commit()

    def read(self, model: type[Any], row_id: Any) -> Any:
        """Return a row as the database has it now, loaded and detached."""
        with self.app.app_context():
            row = db.session.get(model, row_id)
            db.session.expunge_all()
            return row


def comment_id(response: TestResponse) -> int:
    """Return the id of the comment that a redirect points to."""
    found = re.search(r"(?:#comment-|/comments/)(\d+)$", response.headers["Location"])
    assert found, response.headers["Location"]
    return int(found[1])


def words(response: TestResponse) -> str:
    """Return the visible words of a page, in one line."""
    text = re.sub(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]+>", " ", response.text, flags=re.S)
    return " ".join(html.unescape(text).split())
