"""The commands that make accounts, give roles and let people in."""

from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy import select

from forum.accounts.user import Role, User
from forum.cli import forum
from forum.database import db
from forum.site.audit import AuditEntry
from tests.accounts.conftest import KNOWN, PASSWORD
from tests.accounts.test_sign_in import is_signed_in, sign_in
from tests.cast import Cast


@pytest.fixture
def run(app: Flask):
    """Run one command as the shell does."""

    def run(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(forum, words, input=stdin, obj=ScriptInfo(create_app=lambda: app))

    return run


def test_every_command_answers_under_flask_too() -> None:
    under_flask = {entry.name: entry.load() for entry in entry_points(group="flask.commands")}
    for name, command in forum.commands.items():
        assert under_flask[name] is command, name


def test_the_first_admin_is_made_on_the_command_line(cast: Cast, app: Flask, run) -> None:
    words = ("users", "add", "Root@Mail.Example", "--name", "Ada Root", "--role", "admin", "--password-stdin")
    done = run(*words, stdin=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert done.output == "Added Ada Root <root@mail.example>, admin.\n"
    visitor = cast.stranger
    assert sign_in(visitor, "root@mail.example").status_code == 303
    with app.app_context():
        assert db.session.scalars(select(AuditEntry.act)).all() == ["add-user"]


def test_a_wrong_command_says_why_in_one_line_and_changes_nothing(
    cast: Cast, app: Flask, known: int, run
) -> None:
    long_enough = f"{PASSWORD}\n"
    for words, stdin, reason in (
        (("users", "add", "no address", "--name", "Bo"), "", "This is not an e-mail address."),
        (("users", "add", KNOWN, "--name", "Bo Marsh"), "", "There is an account with this address already."),
        (("users", "add", "bo@mail.example", "--name", "ada known"), "", "Somebody here has this name"),
        (("users", "add", "bo@mail.example", "--name", "B"), "", "A name needs at least 2 characters."),
        (("users", "add", "bo@mail.example", "--name", "Bo", "--role", "king"), "", "'king' is not one of"),
        (("users", "add", "bo@mail.example", "--name", "Bo", "--password-stdin"), "short\n", "10 to 200"),
        (("users", "add", KNOWN, "--name", "Bo M", "--password-stdin"), long_enough, "There is an account"),
        (("users", "role", "nobody@mail.example", "author"), "", "There is no account with the address"),
        (("users", "link", "nobody@mail.example"), "", "There is no account with the address"),
    ):
        done = run(*words, stdin=stdin)
        assert done.exit_code != 0
        assert reason in done.output
        assert "Traceback" not in done.output
    with app.app_context():
        assert set(db.session.scalars(select(User.name))) == {"author", "Ada Known"}


def test_a_new_role_ends_the_sessions_and_is_recorded(cast: Cast, app: Flask, known: int, run) -> None:
    visitor = cast.sign_in(known)
    assert run("users", "role", KNOWN, "moderator").exit_code == 0
    assert not is_signed_in(visitor)
    assert cast.read(User, known).role == Role.MODERATOR
    with app.app_context():
        entry = db.session.scalars(select(AuditEntry)).one()
    assert (entry.act, entry.subject, entry.actor_id) == ("role", f"user:{known}", None)
    assert entry.details == {"old": "reader", "new": "moderator"}


def test_the_same_role_again_changes_nothing(cast: Cast, known: int, run) -> None:
    visitor = cast.sign_in(known)
    assert run("users", "role", KNOWN, "reader").exit_code == 0
    assert is_signed_in(visitor)


def test_the_last_admin_stays_admin(cast: Cast, known: int, run) -> None:
    assert run("users", "role", KNOWN, "admin").exit_code == 0
    refused = run("users", "role", KNOWN, "reader")
    assert refused.exit_code == 1
    assert refused.output == "Error: This is the only admin. Make another one first.\n"
    assert cast.read(User, known).role == Role.ADMIN
    cast.user("Second", Role.ADMIN)
    assert run("users", "role", KNOWN, "reader").exit_code == 0


def test_a_printed_link_signs_in_once(cast: Cast, known: int, run) -> None:
    printed = run("users", "link", KNOWN).output
    assert printed.startswith("http://localhost/sign-in/link/")
    path = printed.strip().removeprefix("http://localhost")
    visitor = cast.stranger
    assert visitor.post(path).location == "/"
    assert is_signed_in(visitor)
    assert cast.stranger.post(path).status_code == 410
