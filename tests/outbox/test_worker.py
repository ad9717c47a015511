"""Mails leave after the commit, by SMTP or into files, and none is lost when they cannot."""

import email
import email.policy
import socket
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import AsyncMessage
from flask import Flask
from sqlalchemy import func, select, update

from forum import clock
from forum.database import db
from forum.outbox.message import Message, send
from forum.outbox.smtp import as_mail
from forum.outbox.worker import MAX_TRIES, deliver_due, run_worker, wait_after

NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)


class Sink(AsyncMessage):
    """A mail server that keeps what it is given; while `is_full` it refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[EmailMessage] = []
        self.is_full = False

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.is_full:
            return "452 No room left"
        return await super().handle_DATA(server, session, envelope)

    async def handle_message(self, message) -> None:
        self.got.append(email.message_from_bytes(message.as_bytes(), policy=email.policy.default))


@pytest.fixture
def sink(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """Run a real mail server on loopback and let the app use it."""
    sink, port = Sink(), free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://127.0.0.1:{port}")
    yield sink
    controller.stop()


@pytest.fixture
def folder(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the app write its mails into a folder of this test."""
    monkeypatch.setattr(app, "instance_path", str(tmp_path))
    return tmp_path / "mail"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def put(app: Flask, to: str = "ada@mail.example", **more: object) -> int:
    with app.app_context():
        values = {"link_url": "http://localhost/sign-in/link/abc", "code": "402 117", "minutes": 15}
        message = send("sign-in", to, device="Firefox on Linux", **values, **more)  # type: ignore[arg-type]
        db.session.commit()
        return message.id


def deliver(app: Flask, now: datetime | None = None) -> int:
    with app.app_context():
        return deliver_due(now or clock.now())


def row(app: Flask, message_id: int) -> Message:
    with app.app_context():
        message = db.session.get(Message, message_id)
        db.session.expunge_all()
        assert message is not None
        return message


def test_a_mail_server_receives_text_and_html_with_honest_headers(app: Flask, sink: Sink) -> None:
    message_id = put(app)
    assert deliver(app) == 1
    assert deliver(app) == 0
    (mail,) = sink.got
    assert mail["Subject"] == "Your code is 402 117"
    assert mail["To"] == "ada@mail.example"
    assert mail["From"] == "Slack Water <letters@localhost>"
    assert mail["Message-ID"] == row(app, message_id).message_id
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == row(app, message_id).created_at.replace(microsecond=0)
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().startswith("Your code is 402 117\n")
    assert "prefers-color-scheme: dark" in html.get_content()
    for remote in ("<img", "src=", "@import", "url(", "<link"):
        assert remote not in html.get_content()
    assert row(app, message_id).sent_at is not None


def test_without_a_server_mails_become_files_that_only_the_owner_reads(app: Flask, folder: Path) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        put(app, "first@mail.example")
        moment.shift(timedelta(seconds=1))
        put(app, "second@mail.example")
        assert deliver(app) == 2
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    mails = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
    assert [mail["To"] for mail in mails] == ["first@mail.example", "second@mail.example"]
    assert files[0].name.startswith("20260511T120000")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_failed_mail_is_tried_again_later_and_nothing_is_lost(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        message_id = put(app)
        sink.is_full = True
        for minutes in (1, 2, 4):
            assert deliver(app) == 0
            waiting = row(app, message_id)
            assert waiting.sent_at is None
            assert "No room left" in waiting.last_error
            assert waiting.not_before == clock.now() + timedelta(minutes=minutes)
            moment.shift(timedelta(minutes=minutes) - timedelta(seconds=1))
            assert deliver(app) == 0
            assert row(app, message_id).tries == waiting.tries
            moment.shift(timedelta(seconds=1))
        sink.is_full = False
        assert deliver(app) == 1
    sent = row(app, message_id)
    assert (sent.tries, sent.last_error) == (4, "")
    assert len(sink.got) == 1


def test_a_server_that_is_not_there_costs_nothing_but_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    ids = [put(app), put(app, "bo@mail.example")]
    assert deliver(app) == 0
    assert all("refused" in row(app, message_id).last_error for message_id in ids)


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = app.config["SMTP_URL"].rpartition(":")[2]
    name = socket.gethostname()
    monkeypatch.setattr(socket, "getaddrinfo", to_loopback(socket.getaddrinfo))
    monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://user:secret@{name}:{port}")
    message_id = put(app)
    assert deliver(app) == 0
    assert "STARTTLS" in row(app, message_id).last_error
    assert sink.got == []


def to_loopback(real):
    """Return a name look-up that finds every machine here."""
    return lambda _host, *more, **options: real("127.0.0.1", *more, **options)


def test_the_wait_grows_to_six_hours_and_the_tries_end(app: Flask, sink: Sink) -> None:
    assert [wait_after(n) for n in (1, 2, 3)] == [timedelta(minutes=m) for m in (1, 2, 4)]
    assert wait_after(10) == wait_after(1000) == timedelta(hours=6)
    message_id = put(app)
    with app.app_context():
        db.session.execute(update(Message).values(tries=MAX_TRIES))
        db.session.commit()
    assert deliver(app) == 0
    assert row(app, message_id).sent_at is None


def test_a_mail_that_is_held_back_waits_for_its_moment(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False):
        put(app, not_before=NOON + timedelta(seconds=30))
        assert deliver(app) == 0
        assert deliver(app, NOON + timedelta(seconds=30)) == 1


def test_no_address_or_subject_can_add_a_header(app: Flask, sink: Sink) -> None:
    message_id = put(app)
    with app.app_context():
        message = db.session.get(Message, message_id)
        assert message is not None
        message.subject = "Hello\r\nBcc: everyone@mail.example"
        assert as_mail(message)["Subject"] == "Hello Bcc: everyone@mail.example"
        message.to_address = "a@mail.example\r\nBcc: everyone@mail.example"
        db.session.commit()
    assert deliver(app) == 0
    assert sink.got == []
    assert row(app, message_id).last_error


def test_an_international_domain_travels_in_ascii(app: Flask, sink: Sink) -> None:
    put(app, "bo@bücher.example")
    assert deliver(app) == 1
    assert sink.got[0]["To"] == "bo@xn--bcher-kva.example"


def test_two_workers_send_each_mail_once(app: Flask, sink: Sink) -> None:
    for n in range(20):
        put(app, f"reader{n}@mail.example")
    workers = [threading.Thread(target=deliver, args=(app,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(mail["To"] for mail in sink.got) == sorted(f"reader{n}@mail.example" for n in range(20))


def test_the_worker_sends_until_it_is_stopped(app: Flask, sink: Sink) -> None:
    put(app)
    stop = threading.Event()

    def run() -> None:
        with app.app_context():
            run_worker(stop)

    worker = threading.Thread(target=run)
    worker.start()
    for _ in range(200):
        if sink.got:
            break
        stop.wait(0.05)
    stop.set()
    worker.join(10)
    assert not worker.is_alive()
    assert len(sink.got) == 1


def test_a_mail_of_an_undone_change_is_never_sent(app: Flask, sink: Sink) -> None:
    with app.app_context():
        send("address-changed", "ada@mail.example", new_address="new@mail.example")
        db.session.rollback()
        assert db.session.scalar(select(func.count(Message.id))) == 0
    assert deliver(app) == 0
