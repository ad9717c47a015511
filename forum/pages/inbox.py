"""A person's inbox of notices, in which nothing is read until they say so."""

from collections.abc import Callable
from itertools import pairwise

from flask import Blueprint, abort, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from forum import clock
from forum.accounts.session import signed_in_user
from forum.database import db
from forum.discussion.telling import unreadable
from forum.notifications.inbox import Group, find_notice, grouped, inbox_page, mark_all_read, watches_of
from forum.notifications.notice import Notice, unread_count
from forum.text.excerpt import first_line
from forum.web import page_number, person, require_found, safe_path

INBOX = "/account/notifications"

blueprint = Blueprint("inbox", __name__)

Answer = Response | str


@blueprint.get("/account/notifications")
def show_inbox() -> Answer:
    """Show what the person should hear about; looking at it changes nothing."""
    user = signed_in_user()
    page = inbox_page(user, page_number())
    if page.number > page.count:
        abort(404)
    new = grouped(notice for notice in page.rows if notice.read_at is None)
    earlier = grouped(notice for notice in page.rows if notice.read_at is not None)
    return render_template(
        "notifications/inbox.html",
        page=page,
        parts=[("new", "New", new), ("earlier", "Earlier", earlier)],
        hidden=unreadable(page.rows, clock.now()),
        first_line=first_line,
        watches=watches_of(user, page.rows),
        following=dict(pairwise(_ids(new + earlier))),
        newest_id=max((notice.id for notice in page.rows), default=0),
    )


@blueprint.post("/account/notifications/read")
def read_all() -> Answer:
    """Mark everything as read that the person has seen in the list; what came meanwhile stays new."""
    user, newest = signed_in_user(), request.form.get("newest", "")
    mark_all_read(user, int(newest) if newest.isascii() and newest.isdigit() and len(newest) < 19 else 0)
    db.session.commit()
    return redirect(INBOX, 303)


@blueprint.post("/account/notifications/<int:notice_id>/read")
def read_one(notice_id: int) -> Answer:
    """Mark one notice as read, or with `unread` in the form as new again."""
    notice = _notice(notice_id)
    notice.read_at = None if "unread" in request.form else notice.read_at or clock.now()
    db.session.commit()
    return redirect(safe_path(request.form.get("next"), otherwise=INBOX), 303)


@blueprint.post("/account/notifications/<int:notice_id>/open")
def open_one(notice_id: int) -> Answer:
    """Mark one notice as read and go to what it is about."""
    notice = _notice(notice_id)
    notice.read_at = notice.read_at or clock.now()
    db.session.commit()
    here = notice.url.removeprefix(current_app.config["SITE_URL"])
    return redirect(safe_path(here, otherwise=INBOX), 303)


@blueprint.app_context_processor
def count_unread() -> dict[str, Callable[[], int]]:
    """Give every page the number that stands beside “Notices”; only a page that shows it asks for it."""
    return {"unread_notices": lambda: unread_count(person())}


def _ids(groups: list[Group]) -> list[int]:
    """Return the ids of notices in the order in which they stand on the page."""
    return [notice.id for group in groups for thread in group.threads.values() for notice in thread.notices]


def _notice(notice_id: int) -> Notice:
    """Return one of the signed-in person's notices; another's does not exist."""
    notice: Notice = require_found(find_notice(signed_in_user(), notice_id))
    return notice
