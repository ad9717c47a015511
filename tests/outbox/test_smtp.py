"""One connection carries many mails; a server that is away, a mail that is put off and one that is refused differ."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from aiosmtpd.smtp import AuthResult
from flask import Flask
from sqlalchemy import select

from forum import clock
from forum.database import db
from forum.outbox import smtp
from forum.outbox.mail_server import MailServer
from forum.outbox.smtp import IDLE_SECONDS, LONGEST_CARRYING, MAILS_A_CONNECTION, Courier
from forum.outbox.suppression import Bounce, Suppression, Why
from forum.outbox.worker import LEASE
from forum.pages.health import find_problems
from tests.cast import Cast
from tests.outbox.mails import deliver, put, put_letters, row, rows, server_row
from tests.outbox.sink import Dying, Sink, free_port

NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)


def test_fifty_mails_leave_over_one_connection(app: Flask, sink: Sink) -> None:
    put_letters(app, 50)
    assert deliver(app) == 50
    assert len(sink.got) == 50
    assert len(sink.connections) == 1


def test_a_refused_or_put_off_mail_leaves_the_connection_as_good_as_it_was(app: Flask, sink: Sink) -> None:
    put_letters(app, 4)
    sink.answers = {"reader-0@mail.example": "550 No", "reader-1@mail.example": "450 Later"}
    sink.verdicts = [(0, "554 No")]
    deliver(app)
    assert sink.addresses() == ["reader-3@mail.example"]
    assert len(sink.connections) == 1


def test_a_connection_is_left_after_a_while_and_after_many_mails(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    courier = Courier()
    put_letters(app, 1)
    deliver(app, courier=courier)
    monkeypatch.setattr(courier, "_used_at", courier._used_at - IDLE_SECONDS - 1)
    courier.close_if_idle()
    assert courier._connection is None
    put(app)
    deliver(app, courier=courier)
    monkeypatch.setattr(courier, "_carried", MAILS_A_CONNECTION)
    put(app)
    deliver(app, courier=courier)
    courier.close()
    assert len(sink.got) == len(sink.connections) == 3


def test_a_server_that_closed_its_end_meanwhile_is_called_again(app: Flask, sink: Sink) -> None:
    courier = Courier()
    put(app)
    deliver(app, courier=courier)
    sink.stop()
    sink.start()
    put(app)
    deliver(app, courier=courier)
    assert len(sink.got) == 2
    assert server_row(app).failing_since is None


def test_while_the_server_is_away_all_wait_no_try_is_counted_and_the_site_is_well(
    cast: Cast, app: Flask, sink: Sink
) -> None:
    sink.stop()
    with time_machine.travel(NOON, tick=False) as moment:
        ids = put_letters(app, 30)
        for seconds in (5, 10, 20, 40, 80, 160, 300, 300):
            assert deliver(app) == 0
            server = server_row(app)
            assert server.failing_since == NOON
            assert server.next_try_at == clock.now() + timedelta(seconds=seconds)
            assert "refused" in server.last_error
            moment.shift(timedelta(seconds=seconds - 1))
            assert deliver(app) == 0
            assert server_row(app).failures == server.failures
            moment.shift(timedelta(seconds=1))
        assert {(one.tries, one.lease, one.failed_at) for one in rows(app, ids)} == {(0, None, None)}
        assert cast.stranger.get("/").status_code == 200
        assert problems(app) == ["The mail server has taken no mail for 15 minutes."]
        sink.start()
        assert deliver(app) == 30
        server = server_row(app)
        assert (server.failing_since, server.next_try_at, server.failures) == (None, None, 0)
        assert server.last_sent_at == clock.now()
    assert sink.addresses() == sorted(f"reader-{n}@mail.example" for n in range(30))


@contextmanager
def listener(greeting: bytes) -> Iterator[int]:
    """Give the port of a server that says this to whoever comes, or nothing at all, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                while greeting:
                    server.accept()[0].sendall(greeting)
            except OSError:
                return

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize("greeting", [b"", b"554 Go away\r\n", b"nonsense\r\n"])
def test_a_server_that_is_silent_or_turns_us_away_is_away(
    app: Flask, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    monkeypatch.setattr(smtp, "STEP_SECONDS", 0.3)
    message_id = put(app)
    with listener(greeting) as port:
        monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://127.0.0.1:{port}")
        assert deliver(app) == 0
    assert (row(app, message_id).tries, row(app, message_id).lease) == (0, None)
    assert server_row(app).failing_since is not None


@pytest.mark.parametrize(
    ("step", "answer"),
    [("MAIL", "550 5.7.1 You may not send"), ("MAIL", "451 Try later"), ("RCPT", "530 5.7.0 Log in first")],
)
def test_a_refusal_of_ourselves_is_no_mails_fault(app: Flask, sink: Sink, step: str, answer: str) -> None:
    ids = put_letters(app, 3)
    sink.answers[step] = answer
    assert deliver(app) == 0
    assert {(one.tries, one.lease, one.failed_at) for one in rows(app, ids)} == {(0, None, None)}
    assert answer in server_row(app).last_error


def test_a_login_that_is_refused_stops_all_mails_and_its_password_stays_out_of_the_words(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink(authenticator=lambda *_: AuthResult(success=False, handled=False), auth_require_tls=False)
    sink.start()
    monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://user:geheim@127.0.0.1:{sink.port}")
    message_id = put(app)
    assert deliver(app) == 0
    sink.stop()
    assert row(app, message_id).tries == 0
    assert "535" in server_row(app).last_error
    assert "geheim" not in server_row(app).last_error


def test_a_password_is_not_sent_in_the_clear_to_another_machine(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *more, **options: real("127.0.0.1", *more, **options)
    )
    monkeypatch.setitem(app.config, "SMTP_URL", f"smtp://user:secret@{socket.gethostname()}:{sink.port}")
    put(app)
    assert deliver(app) == 0
    assert "STARTTLS" in server_row(app).last_error
    assert sink.got == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_is_encrypted_where_the_server_can_but_never_for_a_stranger(
    app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    by_starttls = {"tls_context": context, "require_starttls": True}
    sink = Sink(**by_starttls if scheme == "smtp" else {})
    sink.start(ssl_context=context if scheme == "smtps" else None)
    monkeypatch.setitem(app.config, "SMTP_URL", f"{scheme}://localhost:{sink.port}")
    message_id = put(app)
    with time_machine.travel(NOON, tick=False) as moment:
        moment.move_to(row(app, message_id).not_before)
        assert deliver(app) == 0
        assert "CERTIFICATE_VERIFY_FAILED" in server_row(app).last_error
        assert sink.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # as if its issuer were a known one
        moment.shift(timedelta(minutes=5))
        assert deliver(app) == 1
    sink.stop()
    assert len(sink.got) == 1


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that only vouches for itself, for "localhost"."""
    program = shutil.which("openssl")
    assert program is not None, "this test needs the openssl program"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        program,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*command, *names], check=True, capture_output=True, env={"PATH": os.defpath})
    return certificate, key


def test_a_server_that_dies_in_the_middle_costs_the_mail_one_try(app: Flask, sink: Sink) -> None:
    sink.stop()
    sink.start(Dying)
    ids = put_letters(app, 3)
    deliver(app)
    for one in rows(app, ids):
        assert (one.tries, one.lease, one.failed_at, one.sent_at) == (1, None, None, None)
        assert one.not_before > clock.now()
        assert "in the middle of the mail" in one.last_error
    sink.stop()
    sink.start()
    with time_machine.travel(clock.now() + timedelta(minutes=2)):
        deliver(app)
    assert len(sink.got) == 3


def test_a_server_that_is_slow_to_judge_is_given_up_on_before_the_lease_ends(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LONGEST_CARRYING < LEASE
    monkeypatch.setattr(smtp, "VERDICT_SECONDS", 0.3)
    sink.verdicts = [(1.0, "250 OK")]
    message_id = put(app)
    deliver(app)
    waiting = row(app, message_id)
    assert (waiting.tries, waiting.failed_at) == (1, None)
    assert "in the middle" in waiting.last_error


def test_only_a_wrong_mailbox_suppresses_its_address(app: Flask, sink: Sink) -> None:
    ids = put_letters(app, 4)
    sink.answers = {
        "reader-0@mail.example": "550 5.1.1 No such user",
        "reader-1@mail.example": "550 5.7.1 Not from you",
        "reader-2@mail.example": "550 5.1.8 Bad sender",
    }
    sink.verdicts = [(0, "552 5.1.1 Too big, whatever else I say")]
    deliver(app)
    assert sink.got == []
    for one, said in zip(
        rows(app, ids), ("5.1.1 No such", "5.7.1 Not", "5.1.8 Bad", "552 5.1.1"), strict=True
    ):
        assert one.failed_at is not None
        assert one.tries == 1
        assert said in one.last_error
    with app.app_context():
        suppressed = db.session.scalars(select(Suppression)).one()
        assert (suppressed.address, suppressed.why) == ("reader-0@mail.example", Why.BOUNCED)
        bounce = db.session.scalars(select(Bounce)).one()
        assert (bounce.address, bounce.status, bounce.is_permanent) == (
            "reader-0@mail.example",
            "5.1.1",
            True,
        )


def test_a_mail_that_cannot_be_put_together_is_given_up_and_the_others_leave(app: Flask, sink: Sink) -> None:
    wrong = put(app, "a@mail.example\r\nBcc: everyone@mail.example")
    put(app, "bo@mail.example")
    deliver(app)
    assert sink.addresses() == ["bo@mail.example"]
    assert row(app, wrong).failed_at is not None
    assert "could not be put together" in row(app, wrong).last_error


def test_a_folder_that_cannot_be_written_is_no_mails_fault(app: Flask, folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    message_id = put(app)
    assert deliver(app) == 0
    assert row(app, message_id).tries == 0
    assert server_row(app).failing_since is not None


def test_the_site_says_that_nothing_sends_but_not_that_many_wait_their_turn(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        put_letters(app, 10)
        moment.shift(timedelta(minutes=9))
        assert problems(app) == []
        moment.shift(timedelta(minutes=2))
        assert problems(app) == ["10 mails wait for more than 10 minutes: is the worker running?"]
        client = app.test_client()
        assert client.get("/readyz").status_code == 503
        assert client.get("/readyz/web").status_code == 200  # a proxy sends no reader away for it
        deliver(app, rate=3)
        assert problems(app) == []


def problems(app: Flask) -> list[str]:
    """Return what the site says is not well."""
    with app.app_context():
        return find_problems()


def test_a_sender_that_is_no_address_is_no_mails_fault(
    app: Flask, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "MAIL_FROM", "Slack Water <letters@localhost>")
    message_id = put(app)
    assert deliver(app) == 0
    assert (row(app, message_id).tries, row(app, message_id).failed_at) == (0, None)
    assert "FORUM_MAIL_FROM" in server_row(app).last_error


def test_an_address_of_the_server_that_makes_no_sense_is_said(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(app)
    for url in ("smtp://localhost:port", f"smtp://no.such.host.invalid:{free_port()}"):
        monkeypatch.setitem(app.config, "SMTP_URL", url)
        assert deliver(app) == 0
        assert server_row(app).last_error
        with app.app_context():
            db.session.delete(db.session.get(MailServer, 1))
            db.session.commit()
