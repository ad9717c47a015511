"""Every command of `forum`, a few lines each."""

import json
import mailbox
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from flask import current_app
from flask.cli import FlaskGroup
from flask_migrate import upgrade
from flask_migrate.cli import db as migrations  # type: ignore[import-not-found]
from sqlalchemy.exc import OperationalError

from forum.accounts.address import BadAddress, clean_address
from forum.accounts.asking import link_for
from forum.accounts.password import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, hash_password
from forum.accounts.role import LastAdmin, change_role
from forum.accounts.sign_in import user_with_address
from forum.accounts.sign_up import AddressTaken, NameTaken, make_user
from forum.accounts.user import Role, User
from forum.app import create_app
from forum.archive.copying import (
    CopyRefused,
    TableReport,
    compare,
    copy_rows,
    count_rows,
    has_rows,
    opened_source,
)
from forum.archive.reader_file import FileRefused, ReaderFile
from forum.archive.readers import Outcome, Verdict, export_readers, import_readers
from forum.config import UnsafeSettings, read_settings
from forum.database import db
from forum.demo.filling import is_empty, sign_in_words
from forum.demo.load import Amount, load
from forum.demo.story import tell_story
from forum.essays.importing import ImportRefused, find_author, import_essays
from forum.essays.listing import essay_facts
from forum.essays.sending import wish_to_send
from forum.migrations import migration_of, newest_migration
from forum.outbox.bounces import NotUnderstood, bounces_in, keep
from forum.pages.health import find_problems
from forum.server.command import serve_site
from forum.server.mail import send_mail
from forum.site.audit import record
from forum.text.names import BadName
from forum.text.normal import one_line

forum = FlaskGroup(
    name="forum",
    create_app=create_app,
    add_default_commands=False,
    add_version_option=False,
    load_dotenv=False,
    set_debug_flag=False,
    help="Essays with threaded, moderated discussion.",
)


@forum.group("essays")
def essays() -> None:
    """Bring essays in and list them."""


@essays.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--author", "email", required=True, help="The address of the author's account.")
@click.option("--publish", is_flag=True, help="Publish them, at the moments that the files give, or now.")
@click.option(
    "--send", is_flag=True, help="Send them to the subscribers too, as they appear. Needs --publish."
)
def import_files(files: tuple[Path, ...], email: str, publish: bool, send: bool) -> None:
    """Import .md files with front matter and .txt files; all of them, or none when one is refused.

    Nothing is sent to subscribers without --send.
    """
    if send and not publish:
        raise click.ClickException("Only what is published can be sent: add --publish.")
    try:
        author = find_author(email)
        imported = import_essays(files, author, publish=publish)
        for one in imported if send else ():
            wish_to_send(one.essay, author)
        db.session.commit()
    except ImportRefused as error:
        raise click.ClickException(str(error)) from None
    for one in imported:
        for note in one.notes:
            click.echo(f"Note: {note}", err=True)
        click.echo(current_app.config["SITE_URL"] + one.essay.path)


@essays.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_essays(as_json: bool) -> None:
    """List every essay, newest first: its state, its date, its address and its title."""
    facts = essay_facts()
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for one in facts:
        click.echo(f"{one['state']:<10} {(one['published_at'] or '-'):<20} {one['address']}  {one['title']}")


forum.add_command(serve_site)
forum.add_command(migrations)
run_server = serve_site


@forum.command("worker", with_appcontext=False)
def work() -> None:
    """Send the mails of the outbox, and do what is due between them, until stopped."""
    send_mail(create_app())


@forum.command("check")
def check() -> None:
    """Say whether the settings, the database, the migrations and the mail are well; the exit status says it too."""
    if problems := find_problems():
        raise click.ClickException(" ".join(problems))
    click.echo("Settings, database, migrations and mail are well.")


@forum.command("copy", with_appcontext=False)
@click.option(
    "--to", "to_url", required=True, envvar="FORUM_COPY_TO", help="A PostgreSQL database, empty or begun."
)
@click.option("--from", "from_url", help="An SQLite database; by default the one that is set.")
def copy_site(to_url: str, from_url: str | None) -> None:
    """Copy the whole site from SQLite into PostgreSQL, then compare every row. Stop the site before.

    Killed, it goes on where it was. The status is 0 only when every row is there as it is here, and no other.
    """
    settings = read_settings()
    if not to_url.startswith("postgresql"):
        raise click.ClickException("The target has to be a PostgreSQL database: --to postgresql://…")
    app = create_app(replace(settings, database_url=to_url, replica_url=None, redis_url=None))
    head = newest_migration(app.config["MIGRATIONS"])
    try:
        with opened_source(from_url or settings.database_url, head) as source, app.app_context():
            _migrate_empty_target(head)
            with db.engine.connect() as target:
                rows = count_rows(source)
                with click.progressbar(length=rows, label="Copying", file=sys.stderr) as bar:
                    copy_rows(source, target, head, bar.update)
                with click.progressbar(length=rows, label="Comparing", file=sys.stderr) as bar:
                    reports = list(compare(source, target, bar.update))
    except CopyRefused as error:
        raise click.ClickException(str(error)) from None
    except OperationalError as error:
        raise click.ClickException(f"PostgreSQL does not answer: {one_line(str(error.orig))}") from None
    _tell_reports(reports)


def _migrate_empty_target(head: str) -> None:
    with db.engine.connect() as target:
        is_behind = migration_of(target) != head
        if is_behind and has_rows(target):
            raise CopyRefused(
                "The target has rows of another version of the site. Copy into an empty database."
            )
    if is_behind:
        upgrade()


def _tell_reports(reports: list[TableReport]) -> None:
    for report in reports:
        is_same = "same" if report.is_same else f"{report.wrong:,} WRONG"
        click.echo(f"{report.name:<18} {report.rows:>10,} rows  {report.digest[:16]}  {is_same}")
        for words in report.named:
            click.echo(f"  {words}")
    if wrong := sum(report.wrong for report in reports):
        rows_are = "1 row is" if wrong == 1 else f"{wrong:,} rows are"
        raise click.ClickException(f"{rows_are} not the same in both. Copy again, into an empty database.")
    rows = sum(report.rows for report in reports)
    click.echo(f"All {rows:,} rows are there, each compared. Now set FORUM_DATABASE_URL.")


@forum.command("demo")
@click.option("--essays", type=click.IntRange(0), help="Load data: so many essays.")
@click.option("--comments", type=click.IntRange(0), help="Load data: so many comments, over all essays.")
@click.option("--readers", type=click.IntRange(0), help="Load data: so many readers who write them.")
@click.option("--if-empty", is_flag=True, help="Do nothing where there is data already, and be content.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same load data.")
def demo(essays: int | None, comments: int | None, readers: int | None, if_empty: bool, seed: int) -> None:
    """Fill an empty database with a small demo; with numbers, with load data instead."""
    if current_app.config["IS_PRODUCTION"]:
        raise click.ClickException(
            "The demo's password is known to everyone: there is no demo in production."
        )
    if is_empty():
        if essays is comments is readers is None:
            tell_story()
        else:
            _load(Amount.asked(essays, comments, readers), seed)
        db.session.commit()
    elif if_empty:
        click.echo("There is data already; nothing was added.")
    else:
        raise click.ClickException("The database is not empty. Give the demo a new one (FORUM_DATABASE_URL).")
    if words := sign_in_words():
        click.echo(words)


def _load(amount: Amount, seed: int) -> None:
    try:
        with click.progressbar(length=amount.total, label="Making load data", file=sys.stderr) as bar:
            load(amount, seed, bar.update)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@forum.group("readers")
def readers() -> None:
    """Bring readers in from Ghost or Substack, and take them all out again."""


@readers.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say, row by row, what would happen.")
def import_reader_file(file: Path, dry_run: bool) -> None:
    """Make an account of every row of a CSV; who is here already stays as they are. Sends no mail.

    The status is 1 when any row could not be kept; the other rows are kept all the same.
    """
    try:
        with ReaderFile(file) as rows:
            if rows.not_read:
                click.echo(f"Note: these columns are not read: {', '.join(rows.not_read)}.", err=True)
            with click.progressbar(length=rows.size, label="Reading", file=sys.stderr) as bar:
                counts = import_readers(
                    rows,
                    dry_run=dry_run,
                    report=lambda outcome: _tell_row(outcome) if dry_run or outcome.is_news else None,
                    moved=bar.update,
                )
    except FileRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(("Nothing was changed. " if dry_run else "") + _readers_words(counts))
    if wrong := counts[Verdict.WRONG]:
        rows_are = "1 row is" if wrong == 1 else f"{wrong:,} rows are"
        raise click.ClickException(f"{rows_are} wrong. Mend the file and import it again.")


@readers.command("export")
@click.argument("file", default="-", type=click.Path(allow_dash=True, dir_okay=False))
def export_reader_file(file: str) -> None:
    """Write all confirmed readers as CSV with Ghost's columns, to a file or to standard output."""
    try:
        with click.open_file(file, "w", encoding="utf-8", atomic=file != "-") as out:
            if file != "-":
                os.fchmod(out.fileno(), 0o600)  # it is full of addresses
            written = export_readers(out)
    except OSError as error:
        where = "standard output" if file == "-" else file
        raise click.ClickException(f"{where}: cannot be written: {error.strerror}.") from None
    click.echo(f"{written:,} readers exported.", err=True)


@forum.group("bounces")
def bounces() -> None:
    """Learn from mails that came back."""


@bounces.command("read")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def read_bounces(file: Path) -> None:
    """Read a mailbox of bounce messages: who is gone for good gets no mail any more. Reading it twice is once."""
    told = {"gone for good": 0, "back for now": 0, "known before": 0, "not understood": 0}
    try:
        for one in bounces_in(file):
            if isinstance(one, NotUnderstood):
                told["not understood"] += 1
                click.echo(f"Not understood: {one.subject or 'a message without a subject'}")
                continue
            address = keep(one)
            db.session.commit()
            kind = ("gone for good" if one.is_permanent else "back for now") if address else "known before"
            told[kind] += 1
            if address:
                click.echo(f"{address}, {kind} ({one.status}): {one.words or 'no reason was given'}")
    except (OSError, mailbox.Error) as error:
        why = getattr(error, "strerror", None) or "there is no such file"
        raise click.ClickException(f"{file}: cannot be read: {why}.") from None
    if not any(told.values()):
        raise click.ClickException(f"{file}: there is no message in it. A mailbox file begins with “From ”.")
    click.echo(", ".join(f"{count:,} {words}" for words, count in told.items()) + ".")


def _tell_row(outcome: Outcome) -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)  # where the progress bar stands
    address = f", {outcome.address}" if outcome.address else ""
    click.echo(f"Line {outcome.line}{address}, {outcome.verdict}: {outcome.words}")


def _readers_words(counts: dict[Verdict, int]) -> str:
    return (
        f"{counts[Verdict.NEW]:,} new, {counts[Verdict.HERE]:,} here already and left as they are, "
        f"{counts[Verdict.SKIPPED]:,} skipped, {counts[Verdict.WRONG]:,} wrong."
    )


@forum.group("users")
def users() -> None:
    """Make accounts, give roles, help people in."""


@users.command("add")
@click.argument("email")
@click.option("--name", required=True, help="The name that others see.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.READER.value)
@click.option("--password-stdin", is_flag=True, help="Read a password from the first line of standard input.")
def add_user(email: str, name: str, role: str, password_stdin: bool) -> None:
    """Make an account whose address needs no confirmation."""
    password_hash = hash_password(_password_from_stdin()) if password_stdin else None
    with _one_line_errors():
        user = make_user(name, clean_address(email), role=Role(role), password_hash=password_hash)
        record(None, "add-user", f"user:{user.id}", role=role)
        db.session.commit()
    click.echo(f"Added {user.name} <{user.email}>, {user.role.value}.")


@users.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def give_role(email: str, role: str) -> None:
    """Give a person another role; they have to sign in again."""
    with _one_line_errors():
        user = _account(email)
        change_role(user, Role(role), actor_id=None)
        db.session.commit()
    click.echo(f"{user.name} <{user.email}> is now {user.role.value}.")


@users.command("link")
@click.argument("email")
def make_link(email: str) -> None:
    """Print a link that signs a person in once, within 15 minutes."""
    with _one_line_errors():
        address = link_for(_account(email))
        db.session.commit()
    click.echo(address)


def _account(email: str) -> User:
    user = user_with_address(clean_address(email))
    if user is None:
        raise click.ClickException(f"There is no account with the address {email}.")
    return user


def _password_from_stdin() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise click.ClickException(
            f"A password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters."
        )
    return password


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (BadAddress, BadName, NameTaken, LastAdmin) as error:
        raise click.ClickException(str(error)) from None
    except AddressTaken:
        raise click.ClickException("There is an account with this address already.") from None


def main() -> None:
    """Run one command; an error is one clear line on standard error and a non-zero status."""
    try:
        forum.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit("Stopped.")
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        sys.exit(error.exit_code)
    except UnsafeSettings as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
