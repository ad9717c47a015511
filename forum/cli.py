"""Every command of `forum`, a few lines each."""

import sys

import click
from flask.cli import FlaskGroup

from forum.app import create_app
from forum.config import UnsafeSettings

forum = FlaskGroup(
    name="forum",
    create_app=create_app,
    add_default_commands=False,
    add_version_option=False,
    load_dotenv=False,
    set_debug_flag=False,
    help="Essays with threaded, moderated discussion.",
)


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
