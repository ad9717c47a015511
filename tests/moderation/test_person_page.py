"""One person's page: who sees what of whom, what may be done from it, and a warning that has to be confirmed."""

import json
from datetime import timedelta

import time_machine
from sqlalchemy import select

from forum import clock
from forum.accounts.user import Role, Standing, User
from forum.database import db
from forum.discussion.comment import Comment
from forum.discussion.event import Event
from forum.essays.essay import Essay
from forum.moderation.person import MOST_NOTES
from forum.notifications.notice import Notice
from forum.outbox.message import Message
from forum.site import audit
from tests.admin.test_users import queries
from tests.admin.written import STATES, comment_by, refuse_wrong_counters, states
from tests.cast import Cast, Visitor, words

WARNING = "Please leave other readers’ families out of it."
DAY = timedelta(days=1)


def do(who: Visitor, user_id: int | None, act: str, **fields: str) -> int:
    return who.post(f"/moderation/people/{user_id}/{act}", {"reason": "Shouting."} | fields).status_code


def warn(cast: Cast, who: Visitor | None = None) -> int:
    return do(who or cast.moderator, cast.reader.user_id, "warn", words=WARNING)


def last_event(cast: Cast) -> int:
    with cast.app.app_context():
        heads = select(Event.id).where(Event.person_id.is_not(None))
        return db.session.scalars(heads.order_by(Event.id.desc())).first() or 0


def everything(cast: Cast, user_id: int | None) -> tuple[object, ...]:
    """Return all that an act on a person may change: their row, their comments, every counter, what readers see."""
    with cast.app.app_context():
        user = db.session.execute(select(User.__table__).where(User.id == user_id)).one()
        essays = list(
            db.session.execute(select(Essay.visible_comments, Essay.commented_at).order_by(Essay.id))
        )
        waits = select(Comment.id, Comment.waits_since, Comment.waits_for).order_by(Comment.id)
        desk = list(db.session.execute(waits))
        heard = select(Notice.subject).where(Notice.user_id == user_id, Notice.retracted_at.is_(None))
        told = list(db.session.scalars(heard.order_by(Notice.id)))
    return tuple(user), essays, desk, told, states(cast.app), words(cast.stranger.get("/essays/on-tides"))


def test_every_act_on_a_person_is_undone_exactly_by_who_may_do_it(cast: Cast) -> None:
    author, reader_id = cast.author, cast.newcomer.user_id
    for state in STATES:
        comment_by(cast.app, reader_id, cast.essay_id, state)
    steps = [
        ("warn", {"words": WARNING}),
        ("hold", {}),
        ("suspend", {"days": "3"}),
        ("unsuspend", {}),
        ("release", {}),
        ("ban", {"hide_comments": "yes", "days": "9"}),
        ("unban", {}),
    ]
    seen, events = [everything(cast, reader_id)], []
    for act, fields in steps:
        assert do(author, reader_id, act, **fields) == 303, act
        seen.append(everything(cast, reader_id))
        events.append(last_event(cast))
    for event in reversed(events):
        now = seen.pop()
        assert everything(cast, reader_id) == now
        assert cast.moderator.post(f"/moderation/undo/{event}").status_code in (303, 403)
        if everything(cast, reader_id) == now:  # no act that moderators may do
            assert author.post(f"/moderation/undo/{event}").status_code == 303
    assert everything(cast, reader_id) == seen.pop()
    refuse_wrong_counters(cast.app)


def test_who_was_warned_keeps_their_words_and_writes_again_once_they_confirmed(cast: Cast) -> None:
    reader = cast.reader
    mine = comment_by(cast.app, reader.user_id, cast.essay_id, "shown")
    assert warn(cast) == 303
    refused = reader.comment(cast.slug, "Words that took an hour.")
    assert refused.status_code == 403
    assert "Words that took an hour." in refused.text
    sentence = f"You were warned: {WARNING} Read it and confirm, then you can write again."
    assert sentence in words(refused)
    edit = {"body": "Better words.", "revision": "1"}
    assert sentence in words(reader.post(f"/comments/{mine}/edit", edit))
    page = reader.get(f"/essays/{cast.slug}")
    assert sentence in words(page)
    assert f'href="/account/warning?next=/essays/{cast.slug}"' in page.text
    assert "You were warned" in words(reader.get("/account"))
    with cast.app.app_context():
        told = select(Notice.url).where(Notice.user_id == reader.user_id)
        assert list(db.session.scalars(told)) == ["/account/warning"]

    page = reader.get(f"/account/warning?next=/essays/{cast.slug}")
    assert WARNING in words(page)
    stale = reader.post("/account/warning", {"seen": "2020-01-01T00:00:00+00:00"})
    assert stale.status_code == 409  # another warning than the one on the screen
    mark = page.text.partition('name="seen" value="')[2].partition('"')[0]
    answer = reader.post("/account/warning", {"seen": mark, "next": f"/essays/{cast.slug}"})
    assert (answer.status_code, answer.location) == (303, f"/essays/{cast.slug}")
    assert reader.comment(cast.slug, "Words that took an hour.").status_code == 303
    assert "There is nothing that you have to confirm." in words(reader.get("/account/warning"))


def test_a_warning_is_taken_back_while_unread_and_not_once_it_was_confirmed(cast: Cast) -> None:
    reader = cast.reader
    warn(cast)
    assert do(cast.author, reader.user_id, "warn", words="A second one.") == 422  # one at a time
    first = last_event(cast)
    assert cast.author.post(f"/moderation/undo/{first}").status_code == 303
    assert reader.comment(cast.slug, "Free again.").status_code == 303
    warn(cast)
    second = last_event(cast)
    mark = cast.read(User, reader.user_id).warned_at.isoformat()
    reader.post("/account/warning", {"seen": mark})
    answer = cast.author.post(f"/moderation/undo/{second}")
    assert answer.status_code == 409
    assert "reader confirmed the warning since" in words(answer)


def test_a_ban_ends_by_its_date_and_what_it_hid_comes_back_when_it_is_lifted(cast: Cast) -> None:
    reader_id, page = cast.reader.user_id, f"/moderation/people/{cast.reader.user_id}"
    mine = comment_by(cast.app, reader_id, cast.essay_id, "shown")
    start = clock.now()
    with time_machine.travel(start, tick=False):
        do(cast.author, reader_id, "suspend", days="9", reason="Insults.")
        assert do(cast.author, reader_id, "ban", days="2", hide_comments="yes", reason="Threats.") == 303
    with time_machine.travel(start + 2 * DAY - timedelta(seconds=1), tick=False):
        answer = cast.reader.comment(cast.slug, "Early")
        assert answer.status_code == 403
        assert "Reason: Threats." in words(answer)
    with time_machine.travel(start + 2 * DAY, tick=False):
        answer = words(cast.reader.comment(cast.slug, "Still too early"))
        assert "Reason: Insults." in answer  # of what restrains them now
        author = cast.sign_in(cast.author.user_id or 0)
        assert "What it hid is still hidden." in words(author.get(page))
        assert "Bring back 1 comment" in words(author.get(f"{page}/ban"))
    with time_machine.travel(start + 9 * DAY, tick=False):
        author, reader = (cast.sign_in(one or 0) for one in (cast.author.user_id, reader_id))
        assert reader.comment(cast.slug, "Served").status_code == 303
        assert not cast.read(Comment, mine).visible
        assert do(author, reader_id, "unban", reason="Over.") == 303
        assert cast.read(Comment, mine).visible
        assert do(author, reader_id, "unban", reason="Over.") == 422
        assert do(author, reader_id, "ban") == 303


def test_each_role_does_what_is_theirs_to_readers_and_only_admins_to_staff(cast: Cast) -> None:
    acts = ("warn", "hold", "suspend", "ban")
    may = {cast.moderator.name: ("warn", "hold"), cast.author.name: acts, cast.admin.name: acts}
    for name, theirs in may.items():
        who = cast.person(name)
        for act in acts:
            fields = {"words": WARNING} if act == "warn" else {"days": "1"}
            whom = cast.user(f"{name} {act}")
            assert do(who, whom, act, **fields) == (303 if act in theirs else 403), (name, act)
            colleague = cast.user(f"{name} {act} staff", Role.MODERATOR)
            assert do(who, colleague, act, **fields) == (303 if who is cast.admin else 403), (name, act)
            assert do(who, who.user_id, act, **fields) == 403
    for path in ("", "/ban"):
        page = f"/moderation/people/{cast.reader.user_id}{path}"
        assert cast.other_reader.get(page).status_code == 403
        assert cast.moderator.get(page).status_code == (403 if path else 200)
        assert cast.admin.get("/moderation/people/999999" + path).status_code == 404


def test_the_page_tells_everything_but_the_address_to_who_is_no_admin(cast: Cast) -> None:
    reader_id, page = cast.reader.user_id, f"/moderation/people/{cast.reader.user_id}"
    other = cast.person("other author", Role.AUTHOR)
    for state in STATES:
        comment_by(cast.app, reader_id, cast.essay_id, state)
    do(cast.moderator, reader_id, "hold", reason="Links to shops.")
    do(cast.author, reader_id, "notes", note="Knows Hanne.")
    for who in (cast.admin, cast.author, cast.moderator, other):
        seen = words(who.get(page))
        assert ("reader@mail.example" in seen) == (who is cast.admin)
        for sentence in ("1 waiting, 3 posted, 2 removed", "Links to shops.", "Knows Hanne.", "confirmed"):
            assert sentence in seen, sentence
        assert seen.count("Comment number") == (0 if who is other else 4)
        assert ("moderator held their comments" in seen, "Suspend…" in seen) == (
            True,
            who is not cast.moderator,
        )
    assert cast.moderator.get(f"{page}?page=2").status_code == 404
    colleague = cast.moderator.user_id
    do(cast.admin, colleague, "notes", note="Away in June.")
    assert "Away in June." in words(cast.admin.get(f"/moderation/people/{colleague}"))
    assert "Away in June." not in words(cast.moderator.get(f"/moderation/people/{colleague}"))
    assert do(cast.author, colleague, "notes", note="Away in July.") == 403


def test_the_page_shows_the_newest_notes_and_says_where_the_others_are(cast: Cast) -> None:
    reader_id, page = cast.reader.user_id, f"/moderation/people/{cast.reader.user_id}"
    with cast.app.app_context():
        for number in range(MOST_NOTES + 1):
            audit.record(cast.author.user_id, "note", f"user:{reader_id}", f"Note {number}.")
        db.session.commit()
    seen = words(cast.author.get(page))
    assert f"Note {MOST_NOTES}." in seen
    assert "Note 1." in seen
    assert "Note 0." not in seen
    assert "Admins find the others in the audit log." in seen


def test_the_page_asks_the_same_of_the_database_for_much_as_for_little(cast: Cast) -> None:
    reader_id, page = cast.reader.user_id, f"/moderation/people/{cast.reader.user_id}"

    def happen(times: int) -> None:
        for _ in range(times):
            comment_by(cast.app, reader_id, cast.essay_id, "hidden")
            do(cast.admin, reader_id, "hold")
            cast.admin.post(f"/moderation/undo/{last_event(cast)}")
            cast.admin.post(f"/moderation/undo/{last_event(cast)}")
            do(cast.admin, reader_id, "release")
            do(cast.admin, reader_id, "notes", note="Seen.")

    happen(1)
    few = queries(cast, cast.moderator, page)
    happen(5)
    assert queries(cast, cast.moderator, page) == few


def test_the_desk_bans_in_one_request_and_is_told_what_came_of_it(cast: Cast) -> None:
    reader_id = cast.reader.user_id
    for _ in range(3):
        comment_by(cast.app, reader_id, cast.essay_id, "waiting")
    form = {"reason": "Spam.", "hide_comments": "yes", "next": "/moderation?cause=first"}
    path, as_json = f"/moderation/people/{reader_id}/ban", {"Accept": "application/json"}
    answer = cast.author.post(path, form, headers=as_json)
    told = json.loads(answer.text)
    assert told == {
        "event": last_event(cast),
        "act": "ban",
        "hidden": 3,
        "person": reader_id,
        "sentence": "reader is banned. 3 comments are hidden.",
        "left": 0,
        "may_undo": True,
    }
    again = cast.author.post(path, form, headers=as_json)
    assert (again.status_code, again.json) == (422, {"error": "This person is banned already."})
    cast.author.post(f"/moderation/undo/{told['event']}")
    answer = cast.author.post(path, form)
    assert answer.location == f"/moderation?cause=first&done={last_event(cast)}"


def test_a_ban_holds_back_the_letters_that_have_not_left_but_no_decisions(cast: Cast) -> None:
    reader_id, now = cast.reader.user_id, clock.now()
    with cast.app.app_context():
        for letter in ("essays", "followed", "decisions", ""):
            mail = {"subject": letter, "text": "", "html": "", "created_at": now, "not_before": now}
            db.session.add(
                Message(
                    kind="mail",
                    to_address="reader@mail.example",
                    user_id=reader_id,
                    letter=letter,
                    message_id=f"<{letter}@mail.example>",
                    **mail,
                )
            )
        db.session.commit()
    do(cast.admin, reader_id, "ban")
    with cast.app.app_context():
        to_leave = select(Message.letter).where(Message.is_open())
        assert sorted(db.session.scalars(to_leave)) == ["", "decisions"]


def test_a_warned_person_who_is_held_is_held_again_after_confirming(cast: Cast) -> None:
    do(cast.moderator, cast.reader.user_id, "hold")
    warn(cast)
    user = cast.read(User, cast.reader.user_id)
    assert user.standing(clock.now()) == Standing.WARNED
    cast.reader.post("/account/warning", {"seen": user.warned_at.isoformat()})
    assert cast.read(User, cast.reader.user_id).standing(clock.now()) == Standing.HELD
