"""Reading a mailbox of bounce messages: who gets no mail any more, and what is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy import select

from forum.cli import forum
from forum.database import db
from forum.outbox.message import send
from forum.outbox.suppression import Bounce, Suppression, Why, unsuppress

Read = Callable[..., Result]


@pytest.fixture
def read(app: Flask, tmp_path: Path) -> Read:
    """Write a mailbox of these messages and read it as the shell does."""

    def read(*messages: str) -> Result:
        path = tmp_path / "bounces.mbox"
        envelope = "From MAILER-DAEMON Sun Nov 22 10:00:00 2026\n"
        path.write_bytes("".join(f"{envelope}{one}\n\n" for one in messages).encode())
        script = ScriptInfo(create_app=lambda: app)
        return CliRunner().invoke(forum, ["bounces", "read", str(path)], obj=script)

    return read


def bounce(*recipients: str, number: int = 1, original: str = "") -> str:
    """Return a bounce message with these blocks about recipients, and the headers of what it returns."""
    blocks = "\n\n".join(("Reporting-MTA: dns; mx.mail.example", *recipients))
    return f"""Message-ID: <bounce-{number}@mx.mail.example>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Your message could not be delivered to somebody@mail.example.

--b
Content-Type: message/delivery-status

{blocks}

--b
Content-Type: text/rfc822-headers

From: site@mail.example
{original}
Subject: A new essay

--b--"""


def block(address: str, action: str = "failed", status: str = "Status: 5.1.1", reason: str = "") -> str:
    lines = (f"Final-Recipient: rfc822; {address}", f"Action: {action}", status, reason)
    return "\n".join(line for line in lines if line)


def suppressed(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Suppression.address).order_by(Suppression.address)))


def kept(app: Flask) -> list[tuple[str, bool, str]]:
    with app.app_context():
        rows = db.session.scalars(select(Bounce).order_by(Bounce.id))
        return [(row.address, row.is_permanent, row.status) for row in rows]


def test_who_is_gone_for_good_gets_no_mail_and_who_is_away_does(app: Flask, read: Read) -> None:
    done = read(
        bounce(
            block("Gone@Mail.example", reason="Diagnostic-Code: smtp; 550 5.1.1\n No such user"),
            block("full@mail.example", status="Status: 4.2.2 (mailbox full)"),
        ),
        bounce(block("slow@mail.example", action="delayed", status="Status: 5.0.0"), number=2),
        bounce(
            block("old@mail.example", status="", reason="Diagnostic-Code: smtp; 550 unknown"),
            number=3,
        ),
        bounce(block("buecher@xn--bcher-kva.example"), number=4),
        bounce(block("bücher@mail.example"), number=5),
    )
    assert done.exit_code == 0, done.output
    assert kept(app) == [
        ("gone@mail.example", True, "5.1.1"),
        ("full@mail.example", False, "4.2.2"),
        ("slow@mail.example", False, "5.0.0"),
        ("old@mail.example", True, "550"),
        ("buecher@bücher.example", True, "5.1.1"),
    ]
    assert suppressed(app) == ["buecher@bücher.example", "gone@mail.example", "old@mail.example"]
    assert "gone@mail.example, gone for good (5.1.1): 550 5.1.1 No such user" in done.output
    assert "3 gone for good, 2 back for now, 0 known before, 1 not understood." in done.output
    with app.app_context():
        row = db.session.get(Suppression, "gone@mail.example")
        assert row is not None
        assert (row.why, row.by_id, row.note) == (Why.BOUNCED, None, "550 5.1.1 No such user")


@pytest.mark.parametrize("code", ["5.7.1", "5.2.2", "5.3.4", "5.6.0"])
def test_a_blocklist_a_full_mailbox_or_a_bad_mail_is_not_the_fault_of_the_address(
    app: Flask, read: Read, code: str
) -> None:
    read(bounce(block("reader@mail.example", status=f"Status: {code}")))
    assert kept(app) == [("reader@mail.example", False, code)]
    assert suppressed(app) == []


def test_reading_it_twice_is_once_also_when_the_stop_was_lifted_since(app: Flask, read: Read) -> None:
    message = bounce(block("gone@mail.example"))
    read(message)
    with app.app_context():
        unsuppress("gone@mail.example")
        db.session.commit()
    marked = f"Status: RO\nX-Status: A\n{message}"  # as a mail program marks what was opened
    assert "0 gone for good, 0 back for now, 1 known before" in read(marked).output
    assert (len(kept(app)), suppressed(app)) == (1, [])
    read(bounce(block("gone@mail.example"), number=2))  # but a new mail came back
    assert suppressed(app) == ["gone@mail.example"]


def test_the_address_that_we_wrote_to_is_stopped_where_its_mail_is_forwarded(app: Flask, read: Read) -> None:
    with app.app_context():
        message_id = send("sign-in", "alumna@school.example", url="/", code="1", minutes=1).message_id
        db.session.commit()
    read(bounce(block("elsewhere@mail.example"), original=f"Message-ID: {message_id}"))
    assert suppressed(app) == ["alumna@school.example"]


def test_what_is_no_bounce_is_told_by_its_subject_and_stops_nobody(app: Flask, read: Read) -> None:
    forwarded = bounce(block("victim@mail.example"))
    done = read(
        "Subject: =?utf-8?q?Caf=C3=A9?= open?\n\nShall we?",
        "Subject: =?no-such-code?q?x?=\n\nx",
        "Subject: \x1b[31mred\n\n550 5.1.1 victim@mail.example is gone",
        f"Subject: Fwd\nContent-Type: message/rfc822\n\n{forwarded}",
        f'Subject: Fwd 2\nContent-Type: multipart/mixed; boundary="o"\n\n--o\n'
        f"Content-Type: message/rfc822\n\n{forwarded}\n--o--",
        bounce(block("fine@mail.example", action="delivered", status="Status: 2.0.0"), number=5),
        bounce(block("no address"), number=6),
        bounce(block("a@mail.example\nBcc: b@mail.example", status="Status: none"), number=7),
        "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; x\n",
        "\n".join(f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}' for n in range(3_000)),
        "",
    )
    assert done.exit_code == 0, done.output
    assert (kept(app), suppressed(app)) == ([], [])
    told = done.output.splitlines()
    assert told[:4] == [
        "Not understood: Café open?",
        "Not understood: =?no-such-code?q?x?=",
        "Not understood: [31mred",
        "Not understood: Fwd",
    ]
    assert told[-1].endswith("11 not understood.")


@pytest.mark.parametrize("content", [b"", b"Subject: an .eml file\n\nx\n"])
def test_a_file_without_messages_is_refused(app: Flask, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.mbox"
    path.write_bytes(content)
    script = ScriptInfo(create_app=lambda: app)
    for name, reason in ((path, "there is no message in it"), (tmp_path / "none", "cannot be read")):
        done = CliRunner().invoke(forum, ["bounces", "read", str(name)], obj=script)
        assert done.exit_code == 1
        assert reason in done.output
