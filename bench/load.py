"""Readers and writers who go on while a site's processes are killed: what each of them met, by what was done then."""

import gzip
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

from bench.acknowledged import Clock, Told, acknowledged_to, keep_writing
from bench.site import wait_until, writer_address
from bench.writer import TIMEOUT_SECONDS, Writer, was_closed

READERS_PAUSE = (0.02, 0.1)
WRITERS_PAUSE = 0.2
LONGEST_WAIT_SECONDS = 90
FRESH_SHARE = 0.25
"""Of 100 acknowledged comments, 25 are looked for on both nodes at once."""


@dataclass
class Met:
    """What clients met while one thing was done to the site."""

    what: str
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    """Of each GET, in seconds."""
    errors: Counter[str] = field(default_factory=Counter)
    """Readers' answers with a status from 500 on, and broken connections."""
    posts: int = 0
    again: int = 0
    """Posts that were not answered with yes or no, and sent again."""
    looked: int = 0
    stale: int = 0
    """Loads of a node right after a comment was acknowledged, and those that did not show it."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, seconds: float, error: str) -> None:
        """Note one GET; `error` is empty for a good one."""
        with self.lock:
            self.times.append(seconds)
            if error:
                self.errors[error] += 1

    def slowest(self, share: float) -> float:
        """Return the time, in milliseconds, within which that share of the answers came."""
        times = sorted(self.times) or [0.0]
        return 1000 * times[min(len(times) - 1, int(share * len(times)))]


class Reader:
    """One kept connection through the proxy, with or without a session."""

    def __init__(self, url: str, cookie: str) -> None:
        self._host = urlsplit(url).netloc
        self._headers = {"Accept-Encoding": "gzip"} | ({"Cookie": cookie} if cookie else {})
        self._connection: http.client.HTTPConnection | None = None

    def read(self, path: str, met: Callable[[], Met]) -> tuple[int, bytes]:
        """Load a page; returns its status (0 for none) and its bytes. What is done to the site by then, `met` says."""
        began = time.monotonic()
        try:
            status, page = self._ask(path)
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            met().note(time.monotonic() - began, type(error).__name__)
            return 0, b""
        met().note(time.monotonic() - began, str(status) if status >= 500 else "")
        return status, page

    def hang_up(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, path: str) -> tuple[int, bytes]:
        if self._connection is not None and was_closed(self._connection):
            self.hang_up()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_SECONDS)
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


class Crowd:
    """All clients, each a thread; a context manager that ends when the forms in their hands are acknowledged."""

    def __init__(
        self,
        url: str,
        node_urls: Sequence[str],
        essays: Sequence[str],
        *,
        writers: int,
        readers: int,
        seed: int,
    ) -> None:
        self.told = [Told() for _ in range(writers)]
        self.met = [Met("in quiet")]
        self._answered = [0] * readers
        self._clock = Clock(float("inf"))
        self._url, self._node_urls, self._essays = url, node_urls, essays
        self._writers = [Writer(url, writer_address(number)) for number in range(writers)]
        for writer in self._writers:
            writer.sign_in()
        self._threads = [
            *(threading.Thread(target=self._write, args=(number,)) for number in range(writers)),
            *(
                threading.Thread(target=self._read, args=(Random(seed + number), number))
                for number in range(readers)
            ),
        ]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close_chapter()
        self._clock.stop.set()
        if kind is not None:
            self._clock.give_up.set()
        for thread in self._threads:
            thread.join(60)
        self._clock.give_up.set()

    def now(self, what: str) -> Met:
        """Begin to note under another heading; returns where."""
        self._close_chapter()
        self.met.append(Met(what))
        return self.met[-1]

    def settle(self) -> None:
        """Wait until nothing is under way that was under way now, and something more was acknowledged.

        Raises: RuntimeError, when that takes too long.
        """
        answered, acknowledged = list(self._answered), acknowledged_to(self.told)
        wait_until(
            lambda: (
                acknowledged_to(self.told) > acknowledged
                and all(now >= then + 2 for now, then in zip(self._answered, answered, strict=True))
            ),
            LONGEST_WAIT_SECONDS,
            "clients do not go on",
        )

    @property
    def _here(self) -> Met:
        return self.met[-1]

    def _close_chapter(self) -> None:
        here = self._here
        here.seconds = time.monotonic() - here.began
        here.posts = acknowledged_to(self.told) - sum(met.posts for met in self.met[:-1])
        here.again = sum(one.again for one in self.told) - sum(met.again for met in self.met[:-1])

    def _write(self, number: int) -> None:
        writer, random = self._writers[number], Random(number)
        essay = self._essays[number % len(self._essays)]
        keep_writing(
            writer,
            essay,
            number,
            self.told[number],
            self._clock,
            pause=WRITERS_PAUSE,
            on_acknowledged=lambda comment: (
                self._look(writer, comment) if random.random() < FRESH_SHARE else None
            ),
        )

    def _look(self, writer: Writer, comment: int) -> None:
        """Load the page of a comment from each node that runs, as a stranger and as its writer."""
        path, met = writer.led_to.partition("#")[0], self._here
        for url in self._node_urls:
            for cookie in ("", writer.cookie_header()):
                one = Reader(url, cookie)
                status, page = one.read(path, lambda: Met("a look at one node"))
                one.hang_up()
                if status == 200:
                    with met.lock:
                        met.looked += 1
                        met.stale += f'id="comment-{comment}"'.encode() not in _unpacked(page)

    def _read(self, random: Random, number: int) -> None:
        signed_in = number % 3 == 2
        reader = Reader(
            self._url, self._writers[number % len(self._writers)].cookie_header() if signed_in else ""
        )
        essay = self._essays[0]
        paths = [
            essay,
            essay,
            essay,
            f"{essay}?page=2",
            f"{essay}?order=newest",
            self._essays[-1],
            "/",
            "/archive",
        ]
        while not self._clock.stop.is_set():
            reader.read(random.choice(paths), lambda: self._here)
            self._answered[number] += 1
            time.sleep(random.uniform(*READERS_PAUSE))
        reader.hang_up()


def _unpacked(page: bytes) -> bytes:
    return gzip.decompress(page) if page[:2] == b"\x1f\x8b" else page
