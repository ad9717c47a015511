"""What the worker does between mails: turn what is due into messages."""

from collections.abc import Callable
from datetime import datetime

from forum.discussion.numbering import GapCloser
from forum.discussion.telling import unreadable
from forum.essays.sending import begin_sendings
from forum.moderation.batch import go_on_with_batches
from forum.moderation.digest import tell_moderators
from forum.moderation.learning import learn
from forum.notifications.gathering import gather

Job = Callable[[datetime], int]
"""Does what is due at a moment, commits it, and returns how much it was."""


def send_news(now: datetime) -> int:
    """Write the mails that notices become; words below an essay go to who may read it whole at that moment."""
    return gather(now, unreadable)


JOBS: tuple[Job, ...] = (begin_sendings, send_news, tell_moderators, go_on_with_batches, learn, GapCloser())
