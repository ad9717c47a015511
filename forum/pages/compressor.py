"""Brotli of pages, made in the background: the newest page of each place, while everybody gets it as gzip."""

import logging
import threading
from collections.abc import Hashable
from typing import Protocol

import brotli

from forum.exchange import Exchange

QUALITY = 4
"""Of eleven: 5 took twice as long for 6 % fewer bytes, and a page is compressed anew with each comment."""

IDLE_SECONDS = 10
"""After so long without work the thread ends."""


class Compressible(Protocol):
    """A page without its brotli."""

    html: bytes
    etag: str
    brotli: bytes | None


class Compressor:
    """One thread of this process, begun when there is something to do: never before a worker is forked."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._pages: dict[Hashable, Compressible] = {}
        """What is to be done, and in hand, by places."""
        self._changed = threading.Condition()
        self._is_running = False

    def take(self, page: Compressible, place: Hashable) -> None:
        """Have a page's brotli made, in place of what waits for the same place; nobody would ask for that any more."""
        with self._changed:
            if self._pages.get(place) is page:
                return
            self._pages.pop(place, None)  # others come first that have waited longer
            self._pages[place] = page
            self._changed.notify()
            if not self._is_running:
                threading.Thread(target=self._work, name="brotli", daemon=True).start()
                self._is_running = True

    def _work(self) -> None:
        while (found := self._next()) is not None:
            place, page = found
            try:
                page.brotli = self._brotli_of(page)
            except Exception:
                logging.getLogger("forum").exception("brotli failed")
            with self._changed:
                if self._pages.get(place) is page:
                    del self._pages[place]

    def _brotli_of(self, page: Compressible) -> bytes:
        def compress() -> bytes:
            return bytes(brotli.compress(page.html, quality=QUALITY))

        return self._exchange.find_or_make(("br", page.etag), compress)

    def _next(self) -> tuple[Hashable, Compressible] | None:
        """Wait for the next page; None after nobody has brought one for long."""
        with self._changed:
            if self._changed.wait_for(lambda: self._pages, IDLE_SECONDS):
                return next(iter(self._pages.items()))
            self._is_running = False
            return None
