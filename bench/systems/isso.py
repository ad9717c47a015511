"""Isso, under gunicorn with four workers as its documentation has it; what its client's script asks for."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from bench.systems.browser import Browser
from bench.systems.environment import Environment
from bench.systems.process import Process
from bench.systems.shape import Discussion
from bench.systems.system import OPEN, Post, contents, writer_name

WORKERS = 4


class Isso:
    """A comment server for pages of another site; no accounts, JSON over HTTP."""

    title = "Isso"
    brings = "JSON for its script: every root and up to five replies to each"

    def __init__(self, folder: Path, port: int) -> None:
        self.place = Environment(folder, "on_isso")
        self.url = f"http://127.0.0.1:{port}"
        self.listen = f"127.0.0.1:{port}"

    @property
    def version(self) -> str:
        """Return which version it is."""
        return self.place.version("isso")

    def set_up(self, discussions: Sequence[Discussion], writers: int) -> None:
        """Install, configure and fill it."""
        self.place.install()
        settings = {
            "general": {"dbpath": self.place.folder / "comments.db", "host": self.url},
            # Two comments a minute, as ours is measured without its limits too.
            "guard": {"enabled": "false"},
            "server": {"public-endpoint": self.url},
        }
        lines = [
            line
            for section, values in settings.items()
            for line in (f"[{section}]", *(f"{name} = {value}" for name, value in values.items()))
        ]
        self._settings.write_text("\n".join(lines) + "\n")
        file = self.place.folder / "contents.json"
        file.write_text(json.dumps(contents(discussions, writers)))
        self.place.run(self.place.bin / "python", self.place.inside / "fill.py", self._settings, file)

    def process(self) -> Process:
        """Return its server."""
        command = [
            self.place.bin / "gunicorn",
            "-b",
            self.listen,
            "-w",
            str(WORKERS),
            "--preload",
            "isso.run",
        ]
        environ = self.place.environ(ISSO_SETTINGS=str(self._settings))
        return Process(command, environ, self.place.folder, f"{self.url}/config")

    def page(self, slug: str) -> str:
        """Return what its script calls, with the script's own defaults."""
        query = {"uri": f"/{slug}/", "sort": "oldest", "offset": 0, "nested_limit": 5}
        return f"{self.url}/?{urlencode(query)}"

    def client(self, number: int) -> Post:
        """Return a guest with a name and an address."""
        browser = Browser(self.url)
        address = f"/new?{urlencode({'uri': f'/{OPEN}/'})}"
        name = writer_name(number)
        who = {"author": name, "email": f"{name}@bench.example", "website": None, "title": OPEN}

        def post(text: str) -> bool:
            browser.cookies.clear()  # one for each comment, to change it later: hundreds would be refused
            return browser.send_json(address, {**who, "text": text, "parent": None, "notification": 0}) == 201

        return post

    @property
    def _settings(self) -> Path:
        return self.place.folder / "isso.cfg"
