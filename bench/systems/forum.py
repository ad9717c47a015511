"""Our own product: `forum serve` over SQLite with two web workers and its worker for mail."""

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from bench.site import environment, prepare, serve, writer_address
from bench.systems.process import Process
from bench.systems.shape import Discussion
from bench.systems.system import OPEN, Post
from bench.writer import Writer

WORKERS = 2


class Ours:
    """The site of this checkout; it makes discussions of the same shape by its own command's generator."""

    title = "Essay Forum"
    brings = "the essay's page with the first page of its discussion"
    version = "this checkout"

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.paths: dict[str, str] = {}
        self.environ = environment(folder, f"sqlite:///{folder / 'forum.sqlite3'}", port)

    def set_up(self, discussions: Sequence[Discussion], writers: int) -> None:
        """Fill the database."""
        self.folder.mkdir()
        _, paths = prepare(self.environ, [len(one.comments) for one in discussions], writers)
        self.paths = dict(zip((one.slug for one in discussions), paths, strict=True))

    def process(self) -> Process:
        """Return its server."""
        server = serve(self.environ, self.port, WORKERS)
        return Process(server.command, server.environ, self.folder, server.url + server.probe)

    def page(self, slug: str) -> str:
        """Return the address of an essay."""
        return self.url + self.paths[slug]

    def client(self, number: int) -> Post:
        """Return a signed-in reader; every text goes with a form of its own, as a browser would send it."""
        writer = Writer(self.url, writer_address(number))
        writer.sign_in()
        forms = (f"{os.urandom(8).hex()}-{one}" for one in count())
        return lambda text: writer.post(self.paths[OPEN], text, next(forms)) is not None
