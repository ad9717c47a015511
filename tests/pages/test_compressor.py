"""Brotli in the background: the newest page of each place, and for each page once in all workers."""

import os
import time
from dataclasses import dataclass

import brotli

from forum.exchange import Exchange
from forum.pages.compressor import Compressor


@dataclass
class Kept:
    """A page that has no brotli yet."""

    html: bytes
    etag: str
    brotli: bytes | None = None


def made(page: Kept) -> bytes:
    """Wait for a page's brotli."""
    until = time.monotonic() + 30
    while page.brotli is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    return page.brotli


def test_a_page_that_a_newer_one_replaced_before_its_turn_is_left_out() -> None:
    compressor = Compressor(Exchange(100_000))
    long, older, newer, elsewhere = (Kept(os.urandom(size), str(size)) for size in (3_000_000, 10, 20, 30))
    compressor.take(long, "elsewhere")
    for page, place in ((older, "here"), (newer, "here"), (elsewhere, "there")):
        compressor.take(page, place)
    for page in (long, newer, elsewhere):
        assert brotli.decompress(made(page)) == page.html
    assert older.brotli is None


def test_what_another_worker_has_compressed_is_taken_from_it() -> None:
    exchange, page = Exchange(100_000), Kept(b"A page.", "its tag")
    exchange.keep(("br", page.etag), b"made there")
    Compressor(exchange).take(page, "here")
    assert made(page) == b"made there"
