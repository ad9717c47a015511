"""One generation: it imports the site once, forks the workers, which share that memory, and keeps them alive."""

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forum.config import ROOT, UnsafeSettings
from forum.server.signals import Signals
from forum.server.supervisor import BACKLOG

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LIFELINE = 0
"""Standard input: its other end is the supervisor's, so that it closes when the supervisor ends, however it ends."""

DRAIN_SECONDS = 2.0
"""How long a web worker that leaves still answers on the connections it has, each answer the last of its connection."""

LAST_SECONDS = 0.5
"""The same where no next generation follows: long enough for a request that was on its way as the door closed."""

WORKERS_SECONDS = 20
"""How long workers have to finish what is in their hands; a mail server may take its time."""

SHORTEST_LIFE_SECONDS = 1.0
"""Who lived shorter is not started again before."""

Role = Callable[[int], None]
"""What a worker does, until SIGTERM or until the file that it is given closes."""

log = logging.getLogger("forum.server")


def main() -> None:
    """Import, fork, say so, and stay until told to go. Arguments: the socket, where to say so, and the supervisor's."""
    door_file, tell, target, workers, with_mail = sys.argv[1:]
    gc.disable()  # what is imported stays; looking through it would only spread it over more pages
    door = socket.socket(fileno=int(door_file))
    try:
        application = load(target)
    except UnsafeSettings as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    # Not before: who comes while nobody can answer is better refused, and asks another node.
    door.listen(BACKLOG)
    roles: list[Role] = [_web(door, application)] * int(workers)
    if with_mail == "1":
        roles.append(_mail(door, application))
    family = Family(roles, door)
    family.begin()
    os.write(int(tell), b"1")
    os.close(int(tell))
    family.stay()


def load(target: str) -> "WSGIApplication":
    """Return the callable that `module:name` names."""
    sys.path.insert(0, str(ROOT))
    module, _, name = target.partition(":")
    application: WSGIApplication = getattr(import_module(module), name)
    return application


class Family:
    """The workers of this generation."""

    def __init__(self, roles: list[Role], door: socket.socket) -> None:
        self._roles = roles
        self._door = door
        self._workers: dict[int, tuple[Role, float]] = {}
        """Role and birth of who is alive, by process id."""
        self._missing: list[tuple[float, Role]] = []
        self._lifeline, self._end_of_lifeline = os.pipe()

    def begin(self) -> None:
        """Fork every worker."""
        self._signals = Signals(signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)
        gc.collect()
        gc.freeze()  # the collector of a worker leaves alone what all of them share
        for role in self._roles:
            self._fork(role)

    def stay(self) -> None:
        """Start again whoever dies; end with everyone at SIGTERM, with a drain at SIGUSR1."""
        while True:
            heard, closed = self._signals.wait(0.1 if self._missing else None, [LIFELINE])
            if closed or heard & {signal.SIGTERM, signal.SIGUSR1}:
                return self._end(DRAIN_SECONDS if heard == {signal.SIGUSR1} else LAST_SECONDS)
            self._bury()
            now = time.monotonic()
            due = [role for moment, role in self._missing if moment <= now]
            self._missing = [one for one in self._missing if one[0] > now]
            for role in due:
                self._fork(role)

    def _fork(self, role: Role) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process:
            self._workers[process] = (role, time.monotonic())
            return
        status = 1
        try:
            os.close(self._end_of_lifeline)
            self._signals.forget()
            gc.enable()
            role(self._lifeline)
            status = 0
        except BaseException:
            log.exception("a worker ended")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # nothing that the parent had set up is ours to end

    def _bury(self) -> None:
        for process in list(self._workers):
            if os.waitpid(process, os.WNOHANG)[0]:
                role, birth = self._workers.pop(process)
                self._missing.append((birth + SHORTEST_LIFE_SECONDS, role))

    def _end(self, drain_seconds: float) -> None:
        """End every worker; those of the web first turn away from the door, and answer what they were sent before.

        The door closes as the last one who holds it lets go: with no next generation, who comes then is refused.
        """
        self._door.close()
        for process, (role, _) in self._workers.items():
            _send(process, signal.SIGUSR1 if role is self._roles[0] else signal.SIGTERM)
        self._wait(drain_seconds)
        for process in self._workers:
            _send(process, signal.SIGTERM)
        self._wait(WORKERS_SECONDS)
        for process in self._workers:
            _send(process, signal.SIGKILL)

    def _wait(self, seconds: float) -> None:
        """Wait for the end of every worker; not longer than `seconds`, nor than until the next SIGTERM."""
        until = time.monotonic() + seconds
        while self._workers and time.monotonic() < until:
            heard, _ = self._signals.wait(0.05)
            self._bury()
            if signal.SIGTERM in heard:
                return


def _send(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _web(door: socket.socket, application: "WSGIApplication") -> Role:
    # Imported before the fork, so that its pages are shared too.
    from forum.server.web import serve_web  # noqa: PLC0415

    return lambda lifeline: serve_web(door, application, lifeline)


def _mail(door: socket.socket, application: Any) -> Role:
    from forum.server.mail import send_mail  # noqa: PLC0415

    def send(lifeline: int) -> None:
        door.close()  # or it would stay open as long as a mail is under way
        send_mail(application, lifeline)

    return send


if __name__ == "__main__":
    main()
