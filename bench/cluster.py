"""Whether readers and writers notice when any one node of a cluster is killed, and whether all that was said is there.

python bench/cluster.py [--kills 12] [--seconds 2] [--readers 24] [--writers 8] [--port 8470] [--seed 1] [--quick]
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from flask import Flask
from sqlalchemy import select, update

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.acknowledged import Findings, Told, compare
from bench.load import Crowd, Met
from bench.nodes import WELL_SECONDS, Cluster, Database, Node, run_cluster, settings_of
from bench.site import prepare, wait_until
from forum import clock
from forum.accounts.sign_up import make_user
from forum.accounts.user import User
from forum.database import db
from forum.essays.essay import Essay
from forum.essays.sending import progress, wish_to_send
from forum.outbox.message import Message
from forum.site.settings import change_setting

DISCUSSIONS = (300, 50)
DOWN_SECONDS = (0.5, 2.0)
"""How long a killed node is away."""

SUBSCRIBERS_A_KILL = 100
"""So that mails leave as long as workers are killed, at the usual rate of 600 a minute."""

NOTHING_TO_LOSE = ("PostgreSQL",)
"""What may be answered with an error: there is one, and without it a site can only ask to come again."""


@dataclass(frozen=True)
class Mails:
    """What became of the mails that the site stored."""

    stored: int
    missed: int
    doubled: int
    uninvited: int
    """Subscribers for whom no mail was stored."""


def main() -> None:
    """Run all of it; the exit status is 1 when anything was lost, doubled, stale or seen by a reader."""
    told: list[Told] = []
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="forum-cluster-") as name, Database() as database:
        folder = Path(name)
        environ = settings_of(folder, database, asked.port)
        app, essays = _prepare(environ, asked)
        try:
            with run_cluster(folder, database, environ, asked.port) as cluster:
                met = _go_through_it(cluster, essays, asked, told)
                mails = _count_mails(app, cluster)
        finally:
            _keep_logs(folder)
        findings = compare(app, told)
    sys.exit(0 if _report(met, findings, mails, asked) else 1)


def _prepare(environ: dict[str, str], asked: argparse.Namespace) -> tuple[Flask, list[str]]:
    """Fill the site, and have an essay sent to many while all this happens."""
    app, essays = prepare(environ, DISCUSSIONS, asked.writers)
    with app.app_context():
        for number in range(SUBSCRIBERS_A_KILL * asked.kills):
            make_user(f"Subscriber {number}", f"subscriber-{number}@bench.example")
        essay = db.session.scalars(select(Essay).order_by(Essay.id.desc()).limit(1)).one()
        wish_to_send(essay, essay.author)
        for name in ("posts_in_burst", "posts_per_hour"):  # writers here are faster than people
            change_setting(name, 10_000)
        change_setting("first_comments_held", 0)
        change_setting("new_reader_wait_seconds", 0)
        db.session.commit()
    return app, essays


def _go_through_it(
    cluster: Cluster, essays: Sequence[str], asked: argparse.Namespace, told: list
) -> list[Met]:
    """Kill, reload and restart under load, and return what the clients met."""
    random = Random(asked.seed)
    crowd = Crowd(
        cluster.url, cluster.web_urls, essays, writers=asked.writers, readers=asked.readers, seed=asked.seed
    )
    told += crowd.told
    with crowd:
        crowd.settle()
        time.sleep(asked.seconds)
        for node in _in_random_order(cluster.killable, asked.kills, random):
            crowd.now(f"{node.name} killed")
            _kill(node, crowd, random, asked.seconds)
        crowd.now("nginx reloaded")
        cluster.proxy.signal(signal.SIGHUP)
        time.sleep(asked.seconds)
        for node in cluster.web:
            crowd.now(f"{node.name} restarted")
            _restart(node)
            crowd.settle()
            time.sleep(asked.seconds)
        for node in cluster.web:
            crowd.now(f"{node.name} reloaded")
            _reload(node)
            crowd.settle()
            time.sleep(asked.seconds)
        for _ in range(asked.crashes):
            crowd.now("PostgreSQL crashed")
            cluster.database.crash(random.uniform(*DOWN_SECONDS))
            crowd.settle()
            time.sleep(asked.seconds)
    return crowd.met


def _in_random_order(nodes: list[Node], kills: int, random: Random) -> list[Node]:
    """Return whom to kill: everybody once in random order, then again, and so on."""
    order: list[Node] = []
    while len(order) < kills:
        order += random.sample(nodes, len(nodes))
    return order[:kills]


def _kill(node: Node, crowd: Crowd, random: Random, seconds: float) -> None:
    """Kill a node, start it again after a moment, and wait until it is well and clients have gone on.

    A request that the killed node left to another one may still be under way there: only then may that one die too.
    """
    node.kill()
    time.sleep(random.uniform(*DOWN_SECONDS))
    node.start()
    wait_until(node.is_well, WELL_SECONDS, f"{node.name} does not come back")
    crowd.settle()
    time.sleep(seconds)


def _restart(node: Node) -> None:
    """End a node as a service manager does, and start it anew."""
    node.stop()
    node.start()
    wait_until(node.is_well, WELL_SECONDS, f"{node.name} does not come back")


def _reload(node: Node) -> None:
    """Have a node replace its web processes one by one, and wait until the old ones are gone."""
    before = node.web_processes()
    node.signal(signal.SIGHUP)
    wait_until(lambda: not before & node.web_processes(), 2 * WELL_SECONDS, f"{node.name} does not reload")


def _count_mails(app: Flask, cluster: Cluster) -> Mails:
    """Let everything leave that waits, and compare what was stored with what came in.

    Mails in the hands of a worker that was killed wait for two minutes. That is not what is measured here, so the
    workers are asked to end, which give back what they hold, and what is held then is nobody's.
    """
    for worker in cluster.workers:
        worker.stop()
    with app.app_context():
        held = Message.is_open() & Message.lease.is_not(None)
        db.session.execute(update(Message).where(held).values(not_before=clock.now()))
        change_setting("mails_per_minute", 100_000)
        db.session.commit()
    for worker in cluster.workers:
        worker.start()
    wait_until(lambda: _all_left(app), 300, "not all mails leave")
    lines = [line.split() for line in cluster.arrived.read_text().splitlines()]
    arrived = Counter(name for _, _, name in lines)
    with app.app_context():
        stored = Counter(db.session.scalars(select(Message.message_id)))
        subscribers = set(db.session.scalars(select(User.email)))
    return Mails(
        stored=stored.total(),
        missed=len(stored.keys() - arrived.keys()),
        doubled=arrived.total() - len(arrived),
        uninvited=len(subscribers - {address for _, address, _ in lines}),
    )


def _all_left(app: Flask) -> bool:
    time.sleep(0.5)
    with app.app_context():
        essay = db.session.scalars(select(Essay).order_by(Essay.id.desc()).limit(1)).one()
        so_far = progress(essay, clock.now())
        due = select(Message.id).where(Message.is_open(), Message.not_before <= clock.now()).limit(1)
        return so_far is not None and so_far.stage == "sent" and db.session.scalar(due) is None


def _report(met: list[Met], findings: Findings, mails: Mails, asked: argparse.Namespace) -> bool:
    """Print the table and what follows, and tell whether all of it is as it should be."""
    print(
        "| what was done | seconds | reads | p50, p99, slowest ms | read errors | posts | sent again | looked | stale |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for one in met:
        times = ", ".join(f"{one.slowest(share):.0f}" for share in (0.5, 0.99, 1.0))
        errors = ", ".join(f"{count} × {kind}" for kind, count in one.errors.items()) or "0"
        print(
            f"| {one.what} | {one.seconds:.1f} | {len(one.times)} | {times} | {errors} | {one.posts} "
            f"| {one.again} | {one.looked} | {one.stale} |"
        )
    print(f"\n{sum(one.posts for one in met)} comments acknowledged: {findings.words()}.")
    for line in findings.examples():
        print(f"  {line}")
    print(
        f"{mails.stored} mails stored: {mails.missed} did not come in, {mails.doubled} came twice; "
        f"{mails.uninvited} subscribers had none."
    )
    wrong = [*_wrong_with(met), *_wrong_with_mails(mails, met)]
    wrong += [] if findings.is_sound else ["comments are not as acknowledged"]
    print("All is as it should be." if not wrong else "WRONG: " + "; ".join(wrong) + ".")
    return not wrong


def _wrong_with(met: list[Met]) -> list[str]:
    wrong = [f"stale pages ({one.what})" for one in met if one.stale]
    wrong += [f"readers saw errors ({one.what})" for one in met if _forbidden(one)]
    smooth = ("restarted", "reloaded", "in quiet")
    return wrong + [f"posts failed ({one.what})" for one in met if one.again and one.what.endswith(smooth)]


def _forbidden(met: Met) -> int:
    """Return how many errors readers should not have seen: without PostgreSQL, 503 and 502 are the right answers."""
    is_database = met.what.startswith(NOTHING_TO_LOSE)
    return sum(count for kind, count in met.errors.items() if not (is_database and kind == "503"))


def _wrong_with_mails(mails: Mails, met: list[Met]) -> list[str]:
    kills = sum(one.what.startswith("worker") for one in met)
    # Each of two workers may have one mail in hand whose note PostgreSQL could not keep.
    kills += 2 * sum(one.what.startswith(NOTHING_TO_LOSE) for one in met)
    wrong = ["mails are missing"] if mails.missed or mails.uninvited else []
    return [*wrong, *(["more mails came twice than workers died"] if mails.doubled > kills else [])]


def _keep_logs(folder: Path) -> None:
    """Keep what the processes said, for who wants to know why."""
    kept = Path(__file__).parent / "results" / "cluster"
    kept.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill any one node of a cluster under load, and count.")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--crashes", type=int, help="of PostgreSQL")
    parser.add_argument("--seconds", type=float, help="the pause after each blow")
    parser.add_argument("--readers", type=int, default=24)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--port", type=int, default=8470, help="the proxy's; the next four are taken too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="each node once, about a minute")
    asked = parser.parse_args()
    usual = (5, 1, 1.0) if asked.quick else (12, 2, 2.0)
    for name, value in zip(("kills", "crashes", "seconds"), usual, strict=True):
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    return asked


if __name__ == "__main__":
    main()
