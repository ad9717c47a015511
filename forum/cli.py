"""Every command of `forum`, a few lines each."""

import json
import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import FlaskGroup

from forum.app import create_app
from forum.config import UnsafeSettings
from forum.database import db
from forum.essays.importing import ImportRefused, find_author, import_essays
from forum.essays.listing import essay_facts

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
def import_files(files: tuple[Path, ...], email: str, publish: bool) -> None:
    """Import .md files with front matter and .txt files; all of them, or none when one is refused."""
    try:
        imported = import_essays(files, find_author(email), publish=publish)
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
