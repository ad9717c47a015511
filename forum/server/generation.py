"""One generation: it imports the site once and forks the workers, which share that memory."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from forum.config import ROOT, UnsafeSettings
from forum.server.supervisor import BACKLOG

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Role = Callable[[int], None]
"""What a worker does, until SIGTERM or until the file that it is given closes."""

log = logging.getLogger("forum.server")


def main() -> None:
    """Import, fork, and become their keeper. Arguments: the doors, where to say that all have begun, and the rest."""
    files, tell, target, workers, with_mail = sys.argv[1:]
    gc.disable()  # what is imported stays; looking through it would only spread it over more pages
    doors = [socket.socket(fileno=int(file)) for file in files.split(",")]
    try:
        application = load(target)
    except UnsafeSettings as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    # Not before: who comes while nobody can answer is better refused, and asks another node.
    for door in doors:
        door.listen(BACKLOG)
    roles: list[Role] = [_web(doors, number, application) for number in range(int(workers))]
    if with_mail == "1":
        roles.append(_mail(doors, application))
    lifeline, its_end = os.pipe()
    gc.collect()
    gc.freeze()  # the collector of a worker leaves alone what all of them share
    processes = [_fork(role, lifeline, its_end, int(tell)) for role in roles]
    _close(doors)
    os.close(lifeline)
    _keep(processes, int(tell), its_end)


def load(target: str) -> "WSGIApplication":
    """Return the callable that `module:name` names."""
    sys.path.insert(0, str(ROOT))
    module, _, name = target.partition(":")
    application: WSGIApplication = getattr(import_module(module), name)
    return application


def _fork(role: Role, lifeline: int, its_end: int, tell: int) -> int:
    """Start a worker and return its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.close(its_end)
        os.close(tell)
        gc.enable()
        role(lifeline)
        status = 0
    except BaseException:
        log.exception("a worker ended")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # nothing that the parent had set up is ours to end


def _keep(workers: list[int], tell: int, its_end: int) -> None:
    """Become the keeper of the workers, their parent still: a program that has nothing of the site in memory.

    Otherwise every page that a worker writes to would be kept here as it was before.
    """
    for file in (tell, its_end):
        os.set_inheritable(file, True)
    arguments = map(str, [tell, its_end, *workers])
    os.execv(sys.executable, [sys.executable, "-m", "forum.server.keeper", *arguments])  # noqa: S606


def _web(doors: Sequence[socket.socket], number: int, application: "WSGIApplication") -> Role:
    # Imported before the fork, so that its pages are shared too.
    from forum.server.web import serve_web  # noqa: PLC0415

    own = doors[number % len(doors)]

    def serve(lifeline: int) -> None:
        _close([door for door in doors if door is not own])
        serve_web(own, application, lifeline)

    return serve


def _mail(doors: Sequence[socket.socket], application: Any) -> Role:
    from forum.server.mail import send_mail  # noqa: PLC0415

    def send(lifeline: int) -> None:
        _close(doors)  # or they would stay open as long as a mail is under way
        send_mail(application, lifeline)

    return send


def _close(doors: Iterable[socket.socket]) -> None:
    for door in doors:
        door.close()


if __name__ == "__main__":
    main()
