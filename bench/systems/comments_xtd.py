"""django-comments-xtd: a small Django site with one page for each article, under gunicorn with two workers."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.systems.browser import Browser, hidden_fields
from bench.systems.environment import Environment
from bench.systems.process import Process
from bench.systems.shape import Discussion
from bench.systems.system import OPEN, PASSWORD, Post, contents, writer_name

WORKERS = 2


class CommentsXtd:
    """Comments for any Django site; its own template tags show the tree and the form."""

    title = "django-comments-xtd"
    brings = "the page with the whole thread"

    def __init__(self, folder: Path, port: int) -> None:
        self.place = Environment(folder, "on_comments_xtd")
        self.url = f"http://127.0.0.1:{port}"
        self.listen = f"127.0.0.1:{port}"

    @property
    def version(self) -> str:
        """Return which version it is."""
        return self.place.version("django-comments-xtd")

    def set_up(self, discussions: Sequence[Discussion], writers: int) -> None:
        """Install it with Django, make the site and fill it."""
        self.place.install()
        python = self.place.bin / "python"
        self.place.run(python, "-m", "django", "migrate", "--run-syncdb", "--settings", "article.settings")
        file = self.place.folder / "contents.json"
        file.write_text(json.dumps(contents(discussions, writers)))
        self.place.run(python, self.place.inside / "fill.py", file)

    def process(self) -> Process:
        """Return its server."""
        command = [self.place.bin / "gunicorn", "-b", self.listen, "-w", str(WORKERS), "article.wsgi"]
        return Process(command, self.place.environ(), self.place.folder, f"{self.url}/accounts/login/")

    def page(self, slug: str) -> str:
        """Return the address of an article's page."""
        return f"{self.url}/{slug}/"

    def client(self, number: int) -> Post:
        """Return a signed-in reader with the article's form open, who sends it again with other words."""
        browser = Browser(self.url)
        form = hidden_fields(browser.get("/accounts/login/"))
        form |= {"username": writer_name(number), "password": PASSWORD}
        if browser.send_form("/accounts/login/", form)[0] != 302:
            raise RuntimeError(f"{self.title}: {writer_name(number)} cannot sign in")
        form = hidden_fields(browser.get(f"/{OPEN}/"))

        def post(text: str) -> bool:
            status, leads_to = browser.send_form("/comments/post/", {**form, "honeypot": "", "comment": text})
            return status == 302 and "?c=" in leads_to

        return post
