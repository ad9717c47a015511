"""The mail worker, as a child of the server or by itself."""

import os
import signal
from threading import Event

from flask import Flask

from forum.jobs import JOBS, idle_jobs
from forum.outbox.worker import run_worker
from forum.server.lifeline import end_with, name_process
from forum.site.settings import site_settings

BEHIND_READERS = 5
"""By so much nicer it is than who answers readers. Not by more: nobody else writes while it does, on SQLite."""


def send_mail(app: Flask, lifeline: int | None = None) -> None:
    """Send mails and do what is due until SIGTERM or SIGINT, or until the other end of `lifeline` closes.

    SIGUSR1, by which web workers are told to leave, is the same here. The mail in hand is finished, and what
    else was claimed is given back.
    """
    os.nice(BEHIND_READERS)
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(name, lambda _number, _frame: stop.set())
    if lifeline is not None:
        name_process("forum-mail")
        end_with(lifeline)
    with app.app_context():
        run_worker(stop, JOBS, lambda: site_settings().mails_per_minute, idle_jobs)
