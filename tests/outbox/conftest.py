"""A mail server for the tests of the outbox, and a folder for mails without one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.outbox.sink import Sink


@pytest.fixture
def sink(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """Run a real mail server on loopback and let the app use it."""
    sink = Sink()
    sink.start()
    monkeypatch.setitem(app.config, "SMTP_URL", sink.url)
    yield sink
    sink.stop()


@pytest.fixture
def folder(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the app write its mails into a folder of this test."""
    monkeypatch.setattr(app, "instance_path", str(tmp_path))
    return tmp_path / "mail"
