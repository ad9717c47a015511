"""Running the commands that move readers, over files that the tests write."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from forum.cli import forum

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """Run one command as the shell does."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(forum, words, obj=ScriptInfo(create_app=lambda: app))

    return run


@pytest.fixture
def bring(run: Run, tmp_path: Path) -> Run:
    """Write a file, given as text or bytes, and import it."""

    def bring(content: str | bytes, *options: str) -> Result:
        path = tmp_path / "members.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return run("readers", "import", str(path), *options)

    return bring
