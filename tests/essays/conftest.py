"""What the tests of essays share: the command line, and a folder for files to import."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo

from forum.cli import forum


@pytest.fixture
def run(app: Flask) -> Callable[..., Result]:
    """Run one command of `forum` as the shell does."""

    def run(*words: str | Path) -> Result:
        arguments = [str(word) for word in words]
        return CliRunner().invoke(forum, arguments, obj=ScriptInfo(create_app=lambda: app))

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file and return its path."""

    def file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file
