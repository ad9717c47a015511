"""The draft of an essay: saved apart from what readers see, and never over a newer one unseen."""

from sqlalchemy import select

from forum import clock
from forum.accounts.user import User, lock_users
from forum.database import db
from forum.essays.essay import Essay
from forum.essays.refusal import EssayRefused
from forum.essays.revision import EssayDraft, EssayWords, SetAside
from forum.text.essay import MAX_ESSAY_CHARACTERS

MAX_LINE = 300


class Conflict(Exception):
    """Somebody saved this essay meanwhile; `theirs` is what they saved."""

    def __init__(self, theirs: EssayDraft) -> None:
        super().__init__("This essay was saved in another window meanwhile.")
        self.theirs = theirs


def draft_of(essay: Essay) -> EssayDraft | None:
    """Return the essay's draft, None while nothing was ever saved as one."""
    return db.session.get(EssayDraft, essay.id)


def draft_words(essay: Essay) -> EssayWords:
    """Return what the author sees in the editor: the draft, else what the essay says."""
    draft = draft_of(essay)
    return draft.words if draft else essay.words


def draft_version(essay: Essay) -> int:
    """Return the number that the next save has to name; 0 while there is no draft."""
    draft = draft_of(essay)
    return draft.version if draft else 0


def has_unpublished_words(essay: Essay) -> bool:
    """Tell whether the draft says something else than the essay."""
    return draft_words(essay) != essay.words


def lock_essay(essay: Essay, by: User | None = None) -> None:
    """Make everybody else who wants to change this essay wait, and read it and its draft afresh.

    `by` is who changes it, if not its author; people are locked before essays, as everywhere.
    """
    fresh = {"populate_existing": True}
    lock_users(User.id.in_({essay.author_id, by.id if by else essay.author_id}))
    db.session.scalar(
        select(Essay).where(Essay.id == essay.id).with_for_update(of=Essay).execution_options(**fresh)
    )
    db.session.scalar(select(EssayDraft).where(EssayDraft.essay_id == essay.id).execution_options(**fresh))


def check_lengths(words: EssayWords) -> None:
    """Refuse what no row can hold, before anything is saved.

    Raises: EssayRefused, for the author.
    """
    if len(words.title) > MAX_LINE:
        raise EssayRefused("title", f"The title can have at most {MAX_LINE} characters.")
    if len(words.subtitle) > MAX_LINE:
        raise EssayRefused("subtitle", f"The standfirst can have at most {MAX_LINE} characters.")
    if len(words.source) > MAX_ESSAY_CHARACTERS:
        raise EssayRefused("body", f"The essay can have at most {MAX_ESSAY_CHARACTERS:,} characters.")


def save_draft(
    essay: Essay, editor: User, words: EssayWords, based_on_version: int | None = None
) -> EssayDraft:
    """Keep words as the essay's draft, whether they can be published or not; readers see nothing of them.

    `based_on_version` is the draft that the editor had before them (0: there was none); None asks nothing.
    Raises: EssayRefused, for the author; Conflict, when a newer draft says something else.
    """
    check_lengths(words)
    lock_essay(essay, editor)
    draft = draft_of(essay)
    if draft is None:
        draft = EssayDraft(essay_id=essay.id, version=0)
        db.session.add(draft)
    elif draft.words == words:
        return draft
    elif based_on_version is not None and draft.version != based_on_version:
        raise Conflict(draft)
    draft.title, draft.subtitle, draft.source = words.title, words.subtitle, words.source
    draft.editor_id, draft.editor = editor.id, editor
    draft.version += 1
    draft.saved_at = clock.now()
    return draft


def set_aside(essay: Essay, editor: User, words: EssayWords) -> SetAside:
    """Keep words that came too late until their writer has chosen; only the latest of each writer."""
    row = db.session.get(SetAside, (essay.id, editor.id))
    if row is None:
        row = SetAside(essay_id=essay.id, editor_id=editor.id)
        db.session.add(row)
    row.title, row.subtitle, row.source = words.title, words.subtitle, words.source
    row.saved_at = clock.now()
    return row
