"""Each mail leaves at least once, the worker knows of the others, and nothing is lost when one cannot."""

import email
import email.policy
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, event, func, select, text, update

from forum import clock
from forum.database import db, is_sqlite
from forum.outbox.message import (
    Message,
    batch_counts,
    hold_back_unsent,
    let_go_of_unsent,
    queue_counts,
    retry_failed,
    send,
)
from forum.outbox.smtp import Courier
from forum.outbox.suppression import Bounce, Why, is_suppressed, record_bounce, suppress, unsuppress
from forum.outbox.worker import (
    KEPT_FOR,
    LEASE,
    MAX_TRIES,
    SUPPRESSED,
    delete_old,
    deliver_some,
    run_worker,
    wait_after,
)
from tests.outbox.mails import deliver, put, put_letters, row, rows
from tests.outbox.sink import Sink

NOON = datetime(2026, 5, 11, 12, tzinfo=UTC)


class DyingCourier(Courier):
    """Dies with the first mail in its hands, and its worker with it."""

    def carry(self, message: Message) -> None:
        raise KeyboardInterrupt


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


def test_a_mail_that_is_put_off_is_tried_again_later_and_nothing_is_lost(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        message_id = put(app)
        sink.answers["DATA"] = "452 No room left"
        for minutes in (1, 2, 4):
            deliver(app)
            waiting = row(app, message_id)
            assert (waiting.sent_at, waiting.failed_at, waiting.lease) == (None, None, None)
            assert "452 No room left" in waiting.last_error
            assert waiting.not_before == clock.now() + timedelta(minutes=minutes)
            moment.shift(timedelta(minutes=minutes) - timedelta(seconds=1))
            assert deliver(app) == 0
            moment.shift(timedelta(seconds=1))
        sink.answers.clear()
        deliver(app)
    sent = row(app, message_id)
    assert (sent.tries, sent.last_error) == (4, "")
    assert len(sink.got) == 1


def test_the_waits_grow_to_six_hours_and_end_after_a_week(app: Flask, sink: Sink) -> None:
    assert [wait_after(n) for n in (1, 2, 3)] == [timedelta(minutes=m) for m in (1, 2, 4)]
    assert wait_after(10) == wait_after(1000) == timedelta(hours=6)
    assert timedelta(days=6) < sum(map(wait_after, range(1, MAX_TRIES)), timedelta()) < timedelta(days=8)
    message_id = put(app)
    sink.answers["RCPT"] = "450 4.2.1 Busy"
    with app.app_context():
        db.session.execute(update(Message).values(tries=MAX_TRIES - 1))
        db.session.commit()
    deliver(app)
    assert row(app, message_id).failed_at is not None
    assert "4.2.1" in row(app, message_id).last_error


def test_what_was_given_up_can_be_tried_again_but_never_what_was_sent(app: Flask, sink: Sink) -> None:
    sent, *others = put_letters(app, 4)
    single = put(app, "bo@mail.example")
    for number in (1, 2, 3):
        sink.answers[f"reader-{number}@mail.example"] = "550 5.7.1 Not here"
    sink.answers["bo@mail.example"] = "550 5.7.1 Not here"
    deliver(app)
    with app.app_context():
        assert batch_counts("essay:1") == (1, 0, 3)
        assert queue_counts() == {"waiting": 0, "sent": 1, "failed": 4}
        assert retry_failed(message_id=sent) == 0
        assert retry_failed(message_id=others[0]) == 1
        assert retry_failed(batch="essay:1") == 2
        assert batch_counts("essay:1") == (1, 3, 0)
        assert retry_failed() == 1
        db.session.commit()
    sink.answers.clear()
    deliver(app)
    assert sink.addresses() == ["bo@mail.example", *(f"reader-{number}@mail.example" for number in range(4))]
    assert row(app, single).tries == 1


def test_a_mail_that_is_held_back_waits_for_its_moment(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        put(app, not_before=NOON + timedelta(seconds=30))
        assert deliver(app) == 0
        moment.shift(timedelta(seconds=30))
        assert deliver(app) == 1


def test_two_workers_send_each_mail_once(app: Flask, sink: Sink) -> None:
    ids = put_letters(app, 100)
    workers = [threading.Thread(target=deliver, args=(app,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sink.addresses() == sorted(f"reader-{n}@mail.example" for n in range(100))
    assert {(one.tries, one.lease, one.sent_at is None) for one in rows(app, ids)} == {(1, None, False)}
    assert len({one.mailing_id for one in rows(app, ids)}) == 1


def test_a_worker_whose_lease_ran_out_has_no_say_any_more(app: Flask, sink: Sink) -> None:
    message_id = put(app)
    sink.verdicts = [(1.0, "554 No, to the first worker"), (0.0, "250 Yes, to the second one")]
    first = threading.Thread(target=deliver, args=(app,))
    first.start()
    assert sink.in_hand.wait(10)
    assert deliver(app) == 0
    with app.app_context():
        db.session.execute(update(Message).values(not_before=clock.now()))
        db.session.commit()
    assert deliver(app) == 1
    first.join()
    mail = row(app, message_id)
    assert mail.sent_at is not None
    assert (mail.failed_at, mail.last_error, mail.lease, mail.tries) == (None, "", None, 2)


def test_mails_that_are_taken_back_do_not_leave_even_when_a_worker_has_claimed_them(
    app: Flask, sink: Sink
) -> None:
    put_letters(app, 5)
    sink.verdicts = [(0.5, "450 Later")]
    worker = threading.Thread(target=deliver, args=(app,))
    worker.start()
    assert sink.in_hand.wait(10)
    with app.app_context():
        db.session.execute(delete(Message))
        db.session.commit()
    worker.join()
    assert sink.got == []
    with app.app_context():
        assert db.session.scalar(select(func.count(Message.id))) == 0


@pytest.mark.kinds("postgresql")
@pytest.mark.parametrize("verdict", ["250 OK", "450 Later"])
def test_letters_that_are_held_back_while_a_worker_has_them_leave_once_and_only_when_they_may(
    app: Flask, sink: Sink, verdict: str
) -> None:
    letters, moment = rows(app, put_letters(app, 2)), clock.now()
    sink.verdicts = [(0.2, verdict)]
    worker = threading.Thread(target=deliver, args=(app,))
    worker.start()
    assert sink.in_hand.wait(10)
    with app.app_context():
        for letter in letters:
            hold_back_unsent(letter.user_id or 0, {"essays"}, moment)
        db.session.commit()
    worker.join()
    first = letters[0].to_address
    assert sink.addresses() == ([first] if verdict == "250 OK" else [])
    with time_machine.travel(clock.now() + LEASE), app.app_context():
        assert deliver(app) == 0
        for letter in letters:
            let_go_of_unsent(letter.user_id or 0, moment)
        db.session.commit()
        deliver(app)
    assert sorted(sink.addresses()) == [letter.to_address for letter in letters]


def test_a_worker_that_is_stopped_gives_back_what_it_has_not_begun(app: Flask, sink: Sink) -> None:
    ids = put_letters(app, 5)
    stop = threading.Event()
    sink.on_mail = stop.set
    with app.app_context():
        assert deliver_some(Courier(), 100, stop) == 1
    first, *others = rows(app, ids)
    assert first.sent_at is not None
    assert {(one.lease, one.tries, one.not_before <= clock.now()) for one in others} == {(None, 0, True)}


def test_a_claim_that_is_nearly_over_gives_back_the_rest(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        ids = put_letters(app, 5)
        sink.on_mail = lambda: moment.shift(timedelta(seconds=20))
        with app.app_context():
            assert deliver_some(Courier(), 100, threading.Event()) == 2
        assert [(one.lease, one.tries) for one in rows(app, ids)[2:]] == [(None, 0)] * 3
        assert deliver(app) == 3
    assert len(sink.got) == 5


def test_what_a_dead_worker_held_leaves_when_its_lease_is_over(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        ids = put_letters(app, 3)
        with app.app_context(), pytest.raises(KeyboardInterrupt):
            deliver_some(DyingCourier(), 100, threading.Event())
        assert all(one.lease for one in rows(app, ids))
        moment.shift(LEASE - timedelta(seconds=1))
        assert deliver(app) == 0
        moment.shift(timedelta(seconds=1))
        assert deliver(app) == 3


def test_not_more_than_the_rate_leave_in_a_minute_but_what_somebody_waits_for_does(
    app: Flask, sink: Sink
) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        put_letters(app, 40)
        workers = [threading.Thread(target=deliver, args=(app, 25)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(sink.got) == 25
        put(app, "waiting@mail.example")
        moment.shift(timedelta(seconds=59))
        assert deliver(app, 25) == 1
        assert sink.got[-1]["To"] == "waiting@mail.example"
        moment.shift(timedelta(seconds=1))
        assert deliver(app, 25) == 15


def test_what_somebody_waits_for_leaves_first(app: Flask, sink: Sink) -> None:
    put_letters(app, 30)
    put(app, "waiting@mail.example")
    deliver(app)
    assert sink.got[0]["To"] == "waiting@mail.example"
    assert [mail["To"] for mail in sink.got[1:]] == [f"reader-{n}@mail.example" for n in range(30)]


def test_suppressed_addresses_get_only_what_they_ask_for(app: Flask, sink: Sink) -> None:
    ids = put_letters(app, 25)
    put(app, "reader-0@mail.example")
    with app.app_context():
        for number in range(24):
            suppress(f"Reader-{number}@mail.example", Why.BY_HAND, "wrote to us")
        suppress("reader-0@mail.example", Why.BY_HAND)
        db.session.commit()
    assert deliver(app) == 26
    assert sink.addresses() == ["reader-0@mail.example", "reader-24@mail.example"]
    first = row(app, ids[0])
    assert first.failed_at is not None
    assert (first.last_error, first.lease, first.tries) == (SUPPRESSED, None, 0)
    with app.app_context():
        assert unsuppress("READER-0@mail.example")
        assert not unsuppress("reader-0@mail.example")
        assert not is_suppressed("reader-0@mail.example")
        assert retry_failed(message_id=ids[0]) == 1
        db.session.commit()
    assert deliver(app) == 1


def test_a_bounce_is_recorded_once_and_suppresses_only_when_it_is_for_good(app: Flask) -> None:
    with app.app_context():
        assert record_bounce("Ada@mail.example", is_permanent=False, source="a", status="4.2.2")
        assert not is_suppressed("ada@mail.example")
        assert record_bounce("ada@mail.example", is_permanent=True, source="b", status="5.1.1", words="Gone")
        assert not record_bounce("ada@mail.example", is_permanent=True, source="b", status="5.1.1")
        db.session.commit()
        assert is_suppressed("ada@mail.example")
        assert db.session.scalar(select(func.count(Bounce.id))) == 2


def test_the_worker_does_its_jobs_and_sends_until_it_is_stopped(app: Flask, sink: Sink) -> None:
    stop = threading.Event()
    done: list[datetime] = []

    def fail(_now: datetime) -> int:
        send("address-changed", "nobody@mail.example", new_address="new@mail.example")
        db.session.flush()
        raise RuntimeError("a job with a fault")

    def write(now: datetime) -> int:
        if not done:
            send("address-changed", "ada@mail.example", new_address="new@mail.example")
        db.session.commit()
        done.append(now)
        return 1

    def run() -> None:
        with app.app_context():
            run_worker(stop, (fail, write), lambda: 600)

    worker = threading.Thread(target=run)
    worker.start()
    assert sink.in_hand.wait(20)
    while len(done) < 2:
        stop.wait(0.05)
    stop.set()
    worker.join(10)
    assert not worker.is_alive()
    assert sink.addresses() == ["ada@mail.example"]


def test_mails_that_ended_long_ago_are_deleted_and_those_that_wait_are_not(app: Flask, sink: Sink) -> None:
    with time_machine.travel(NOON, tick=False) as moment:
        put(app, "sent@mail.example")
        put(app, "failed@mail.example")
        sink.answers["failed@mail.example"] = "550 No"
        deliver(app)
        waiting = put(app, "waiting@mail.example", not_before=NOON + KEPT_FOR * 2)
        moment.shift(KEPT_FOR)
        with app.app_context():
            assert delete_old(clock.now()) == 0
            moment.shift(timedelta(seconds=1))
            assert delete_old(clock.now()) == 2
        assert row(app, waiting).sent_at is None


def test_a_mail_of_an_undone_change_is_never_sent(app: Flask, sink: Sink) -> None:
    with app.app_context():
        send("address-changed", "ada@mail.example", new_address="new@mail.example")
        db.session.rollback()
        assert db.session.scalar(select(func.count(Message.id))) == 0
    assert deliver(app) == 0


def test_what_is_due_is_found_without_walking_over_what_left_long_ago(app: Flask, sink: Sink) -> None:
    put_letters(app, 1)
    seen: list[tuple[str, Any]] = []
    with app.app_context():
        engine = db.engine

    def listen(_connection, _cursor, statement, parameters, *_more) -> None:
        if "FROM message" in statement and statement.startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", listen)
    deliver(app)
    event.remove(engine, "before_cursor_execute", listen)
    about_all = [one for one in seen if "message.id = " not in one[0]]
    assert len(about_all) >= 3
    with app.app_context():
        if not is_sqlite():
            db.session.execute(text("SET LOCAL enable_seqscan = off"))  # the table is small today
        how = "EXPLAIN QUERY PLAN " if is_sqlite() else "EXPLAIN "
        for statement, parameters in about_all:
            lines = db.session.connection().exec_driver_sql(how + statement, parameters).all()
            plan = " ".join(str(line[-1]) for line in lines)
            assert "ix_message_open" in plan, plan
            assert "SCAN message" not in plan
            assert "Seq Scan" not in plan
