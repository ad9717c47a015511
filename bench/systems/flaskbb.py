"""FlaskBB: a forum with one topic for each discussion, under gunicorn with two workers."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.systems.browser import Browser, hidden_fields
from bench.systems.environment import Environment
from bench.systems.process import Process
from bench.systems.shape import Discussion
from bench.systems.system import OPEN, PASSWORD, Post, contents, writer_name

WORKERS = 2


class FlaskBB:
    """A classic forum written with Flask: no threads, ten posts a page."""

    title = "FlaskBB"
    brings = "the topic's first page, ten posts"

    def __init__(self, folder: Path, port: int) -> None:
        self.place = Environment(folder, "on_flaskbb")
        self.url = f"http://127.0.0.1:{port}"
        self.listen = f"127.0.0.1:{port}"
        self.topics: dict[str, int] = {}

    @property
    def version(self) -> str:
        """Return which version it is."""
        return self.place.version("FlaskBB")

    def set_up(self, discussions: Sequence[Discussion], writers: int) -> None:
        """Install it, make the forum and fill it."""
        self.place.install()
        folder = self.place.folder
        settings = {
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'forum.sqlite3'}",
            "SECRET_KEY": "measured on loopback only",
            "WTF_CSRF_SECRET_KEY": "and thrown away afterwards",
            "WHOOSHEE_DIR": str(folder / "whoosh"),
            # Its log files would go into its package.
            "USE_DEFAULT_LOGGING": False,
        }
        self._settings.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
        file, topics = folder / "contents.json", folder / "topics.json"
        file.write_text(json.dumps(contents(discussions, writers)))
        self.place.run(self.place.bin / "python", self.place.inside / "fill.py", self._settings, file, topics)
        self.topics = json.loads(topics.read_text())

    def process(self) -> Process:
        """Return its server."""
        target = f"flaskbb:create_app(config='{self._settings}')"
        command = [self.place.bin / "gunicorn", "-b", self.listen, "-w", str(WORKERS), target]
        return Process(command, self.place.environ(), self.place.folder, f"{self.url}/auth/login")

    def page(self, slug: str) -> str:
        """Return the address of a topic."""
        return f"{self.url}/topic/{self.topics[slug]}-{slug}"

    def client(self, number: int) -> Post:
        """Return a signed-in member with the topic's quick reply open, who sends it again with other words."""
        browser = Browser(self.url)
        form = hidden_fields(browser.get("/auth/login"))
        form |= {"login": writer_name(number), "password": PASSWORD, "submit": "Login"}
        if browser.send_form("/auth/login", form)[0] != 302:
            raise RuntimeError(f"{self.title}: {writer_name(number)} cannot sign in")
        topic = f"/topic/{self.topics[OPEN]}-{OPEN}"
        form = hidden_fields(browser.get(topic))

        def post(text: str) -> bool:
            status, leads_to = browser.send_form(topic, {**form, "content": text, "submit": "Reply"})
            return status == 302 and "/post/" in leads_to

        return post

    @property
    def _settings(self) -> Path:
        return self.place.folder / "flaskbb.cfg"
