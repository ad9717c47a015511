"""Whether two who meet on one comment at one moment get one outcome each, some hundred times on each database.

python bench/races.py [--tries 200] [--database sqlite|postgresql|both] [--race "two undo"]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from flask_migrate import upgrade

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.site import KINDS, database
from forum.app import create_app
from forum.config import read_settings
from tests.cast import Cast
from tests.conftest import empty
from tests.moderation.race import RACES, prepare, refuse_wrong_counters

LONGEST_SECONDS = 600
"""One race on one database is given up after this: then something waits for something."""


def main() -> None:
    """Run every race; the exit status is 1 when any try ended otherwise than it may."""
    asked = _arguments()
    kinds = KINDS if asked.database == "both" else (asked.database,)
    failed = sum(_run(kind, asked) for kind in kinds)
    print(f"{failed} of {len(kinds) * len(_races(asked))} races failed")
    sys.exit(1 if failed else 0)


def _run(kind: str, asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="forum-races-") as name, database(kind, Path(name)) as url:
        settings = {
            "FORUM_INSTANCE": name,
            "FORUM_DATABASE_URL": url,
            "FORUM_SECRET_KEY": "only for races " * 4,
            "FORUM_SITE_URL": "http://localhost",
            "FORUM_RATE_LIMITS": "off",
        }
        app = create_app(read_settings(settings))
        app.config["PROPAGATE_EXCEPTIONS"] = False  # a visitor meets the error page, and that is counted
        with app.app_context():
            upgrade()
        failed = 0
        for race in _races(asked):
            empty(app)
            cast = Cast(app)
            prepare(cast)
            failed += not _tries(kind, cast, race, asked.tries)
        return failed


def _tries(kind: str, cast: Cast, race: str, tries: int) -> bool:
    began, done = time.monotonic(), 0
    try:
        for number in range(tries):
            RACES[race](cast, number)
            done += 1
            if time.monotonic() - began > LONGEST_SECONDS:
                raise AssertionError(f"{done} tries took {LONGEST_SECONDS} s")
        refuse_wrong_counters(cast)
    except AssertionError as error:
        print(f"{kind:10} {race}: try {done + 1} failed: {error or 'not one outcome each'}", flush=True)
        return False
    print(
        f"{kind:10} {race}: {done} tries, one outcome each, in {time.monotonic() - began:.0f} s", flush=True
    )
    return True


def _races(asked: argparse.Namespace) -> list[str]:
    return [race for race in RACES if asked.race in (None, race)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--race", choices=RACES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
