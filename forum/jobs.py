"""What the worker does between mails: turn what is due into messages."""

from collections.abc import Callable
from datetime import datetime

from forum.essays.sending import begin_sendings

Job = Callable[[datetime], int]
"""Does what is due at a moment, commits it, and returns how much it was."""

JOBS: tuple[Job, ...] = (begin_sendings,)
