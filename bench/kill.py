"""Whether an acknowledged comment is there once, and none twice, when the server is killed while people write.

python bench/kill.py [--kills 20] [--clients 8] [--database sqlite|postgresql|both] [--port 8332] [--seed 1]
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

from flask import Flask

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.acknowledged import Clock, Told, acknowledged_to, compare, keep_writing
from bench.site import KINDS, Server, database, end, environment, prepare, serve, wait_until, writer_address
from bench.writer import Writer

WORKERS = 2
WHOLE_TREE_SHARE = 0.25
"""Of 100 kills, 25 take the whole process tree, as a power cut does; the others take one worker."""

PAUSE_SECONDS = (0.2, 6.0)
"""From one kill to the next. A worker that dies twice within 5.5 s ends its server, which is started again here."""

LONGEST_SECONDS = 400


def main() -> None:
    """Run on each database that was asked for; the exit status is 1 when anything was lost, doubled or unsound."""
    asked = _arguments()
    kinds = KINDS if asked.database == "both" else (asked.database,)
    sound = [_run(kind, asked) for kind in kinds]
    sys.exit(0 if all(sound) else 1)


def _run(kind: str, asked: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="forum-kill-") as name, database(kind, Path(name)) as url:
        environ = environment(Path(name), url, asked.port)
        app, [essay] = prepare(environ, (50,), asked.clients)
        began = time.monotonic()
        with serve(environ, asked.port, WORKERS) as server:
            told = _write_and_kill(server, essay, asked)
        kills = f"{asked.kills} kills in {time.monotonic() - began:.0f} s, {server.revivals} times the server gave up"
        return _report(kind, app, told, kills)


def _write_and_kill(server: Server, essay: str, asked: argparse.Namespace) -> list[Told]:
    """Return what each client was told."""
    told, clock = [Told() for _ in range(asked.clients)], Clock(LONGEST_SECONDS)
    writers = [Writer(server.url, writer_address(number)) for number in range(asked.clients)]
    for writer in writers:
        writer.sign_in()
    threads = [
        threading.Thread(target=keep_writing, args=(writers[n], essay, n, told[n], clock))
        for n in range(asked.clients)
    ]
    for thread in threads:
        thread.start()
    try:
        _kill(server, asked.kills, Random(asked.seed), told, clock)
        clock.stop.set()
        wait_until(lambda: _goes_on(server) and not any(thread.is_alive() for thread in threads), 90, "stuck")
    finally:
        clock.stop.set()
        clock.give_up.set()
        for thread in threads:
            thread.join(60)
    return told


def _kill(server: Server, kills: int, random: Random, told: list[Told], clock: Clock) -> None:
    """Kill, each time after something more was acknowledged, so that there is something to lose."""
    for _ in range(kills):
        before = acknowledged_to(told)
        until = time.monotonic() + 60
        while acknowledged_to(told) <= before:
            _goes_on(server)
            if clock.is_over() or time.monotonic() > until:
                raise RuntimeError("nothing is acknowledged any more")
            time.sleep(0.05)
        time.sleep(random.uniform(*PAUSE_SECONDS))
        # A server that gives up has no workers for a moment before it is gone.
        wait_until(lambda: server.has_ended() or bool(server.web_workers()), 60, "neither works nor ends")
        _goes_on(server)
        workers = server.web_workers()
        if random.random() < WHOLE_TREE_SHARE or not workers:
            server.kill()
            server.start()
        else:
            end(random.choice(workers))


def _goes_on(server: Server) -> bool:
    """Tell whether the server runs; if it does not, start it again, as a service manager does."""
    if not server.has_ended():
        return True
    server.start()
    server.revivals += 1
    return False


def _report(kind: str, app: Flask, told: list[Told], kills: str) -> bool:
    """Compare what was acknowledged with what is there, say so in a line, and tell whether all is sound."""
    findings = compare(app, told)
    print(
        f"{kind}: {kills}, {acknowledged_to(told)} comments acknowledged to {len(told)} clients, "
        f"{sum(one.again for one in told)} tries broken off and sent again, {findings.words()}.",
        flush=True,
    )
    for line in findings.examples():
        print(f"  {line}")
    return findings.is_sound


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill the server while people write, and count.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--database", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--port", type=int, default=8332)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
