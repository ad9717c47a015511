"""Putting mails into the outbox, sending them, and looking at what became of them."""

from threading import Event

from flask import Flask
from sqlalchemy import select

from forum import clock
from forum.accounts.sign_up import make_user
from forum.database import db
from forum.outbox.mail_server import MailServer
from forum.outbox.message import Mailing, Message, message_id_of, send
from forum.outbox.smtp import Courier
from forum.outbox.worker import deliver_some

PLENTY = 100_000


def put(app: Flask, to: str = "ada@mail.example", **more: object) -> int:
    """Put a mail that somebody waits for into the outbox and return its id."""
    with app.app_context():
        values = {"link_url": "http://localhost/sign-in/link/abc", "code": "402 117", "minutes": 15}
        message = send("sign-in", to, device="Firefox on Linux", **values, **more)  # type: ignore[arg-type]
        db.session.commit()
        return message.id


def put_letters(app: Flask, count: int, batch: str = "essay:1") -> list[int]:
    """Put one letter for each of some new readers (reader-0@mail.example, …) into the outbox; return the ids."""
    with app.app_context():
        now = clock.now()
        mailing = Mailing(subject="A letter", text="Words.", html="<p>Words.</p>", created_at=now)
        letters = []
        for number in range(count):
            user = make_user(f"Reader {batch} {number}", f"reader-{number}@mail.example")
            db.session.flush()
            letter = Message(
                kind="essay", to_address=user.email, user_id=user.id, letter="essays", batch=batch
            )
            letter.mailing, letter.subject, letter.text, letter.html = mailing, "", "", ""
            letter.message_id = message_id_of(f"{batch.replace(':', '-')}.{user.id}")
            letter.created_at = letter.not_before = now
            letters.append(letter)
        db.session.add_all(letters)
        db.session.commit()
        return [letter.id for letter in letters]


def deliver(app: Flask, rate: int = PLENTY, courier: Courier | None = None) -> int:
    """Deliver until nothing is due any more; return how many mails were dealt with."""
    carrier, dealt = courier or Courier(), 0
    with app.app_context():
        while some := deliver_some(carrier, rate, Event()):
            dealt += some
        if courier is None:
            carrier.close()
    return dealt


def row(app: Flask, message_id: int) -> Message:
    """Return a mail as it is stored now, detached."""
    return rows(app, [message_id])[0]


def rows(app: Flask, ids: list[int]) -> list[Message]:
    """Return mails as they are stored now, detached, by id."""
    with app.app_context():
        found = db.session.scalars(select(Message).where(Message.id.in_(ids)).order_by(Message.id)).all()
        db.session.expunge_all()
        assert len(found) == len(ids)
        return list(found)


def server_row(app: Flask) -> MailServer:
    """Return what the workers know of the mail server, detached."""
    with app.app_context():
        server = db.session.get(MailServer, 1)
        assert server is not None
        db.session.expunge_all()
        return server
