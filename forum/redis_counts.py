"""Counts of limits in Redis, which many machines share; where Redis does not answer, nobody waits for it."""

import logging
from datetime import datetime, timedelta
from typing import Any

from forum import clock

ANSWER_SECONDS = 0.25
"""A script takes Redis a tenth of a millisecond; whoever signs in should not wait for one that is gone."""

LEFT_ALONE = timedelta(seconds=10)
"""So long a process counts in the database before it asks a silent Redis again."""

TOLD_EVERY = timedelta(minutes=1)

# Times are milliseconds since 1970 by the clock of the asking machine, as in the database.
COUNT_ONE = """
local now, most, window, doubling = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local longest, most_doublings, forgiven_after = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local found = redis.call('HMGET', KEYS[1], 'hits', 'strikes', 'expires')
local hits, strikes, expires = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
if expires <= now then
    if now - expires > forgiven_after then strikes = 0 end
    hits, expires = 0, now + window
end
hits = hits + 1
if doubling and hits == most + 1 then
    expires = now + math.min(window * 2 ^ math.min(strikes, most_doublings), longest)
    strikes = strikes + 1
end
redis.call('HSET', KEYS[1], 'hits', hits, 'strikes', strikes, 'expires', expires)
redis.call('PEXPIRE', KEYS[1], expires - now + forgiven_after)
if hits > most then return expires - now end
return 0
"""

FORGET = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'hits', 0, 'strikes', 0) end"


class RedisCounts:
    """The counts in one Redis. While it is away, that is in the log once a minute, and no error."""

    def __init__(
        self, url: str, *, longest: timedelta, most_doublings: int, forgiven_after: timedelta
    ) -> None:
        # Its import takes a seventh of a second and 20 MB, which only those pay who use it.
        from redis import Redis, RedisError  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._errors: type[Exception] = RedisError
        # One more try, because a kept connection may have been closed by a restart of Redis meanwhile.
        redis = Redis.from_url(
            url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._count_one = redis.register_script(COUNT_ONE)
        self._forget = redis.register_script(FORGET)
        self._rules = (_ms(longest), most_doublings, _ms(forgiven_after))
        self._asked_again_at: datetime | None = None
        self._told_at: datetime | None = None

    def count_one(self, key: str, most: int, window: timedelta, *, doubling: bool) -> timedelta | None:
        """Count one deed and return how long to wait: nothing while it is allowed, None where Redis is away."""
        now = round(clock.now().timestamp() * 1000)
        answer = self._ask(self._count_one, key, now, most, _ms(window), int(doubling), *self._rules)
        return None if answer is None else timedelta(milliseconds=answer)

    def forget(self, key: str) -> None:
        """Forget the deeds and strikes of a key; the window they were counted in goes on."""
        self._ask(self._forget, key)

    def _ask(self, script: Any, key: str, *arguments: int) -> int | None:
        now = clock.now()
        if self._asked_again_at is not None and now < self._asked_again_at:
            return None
        try:
            answer = script(keys=[f"forum:limit:{key}"], args=arguments)
        except self._errors as error:
            self._asked_again_at = now + LEFT_ALONE
            self._tell(error, now)
            return None
        self._asked_again_at = None
        return int(answer or 0)

    def _tell(self, error: Exception, now: datetime) -> None:
        if self._told_at is None or now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            logging.getLogger("forum").warning(
                "Redis does not answer (%s); limits are counted in the database meanwhile.", error
            )


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)
