"""One web worker: the application behind granian, with the limits of a connection, until it is told to leave."""

import os
import resource
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import mp
from granian.server.mp import MPServer

from forum.server.crew import Crew
from forum.server.lifeline import end_with, name_process
from forum.server.supervisor import BACKLOG

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HEADER_SECONDS = 10
"""How long a client may take for its request line and headers, and how long a kept connection may be idle."""

HEADER_BYTES = 64 * 1_024
"""The buffer of a connection: headers longer than it, or at most twice as long, are refused (431)."""

SWITCH_SECONDS = 0.0005
"""So long a thread that works may keep the interpreter while the one that hands out what is kept waits for it."""

CONNECTIONS = 2_048
"""So many at once, each worker; the next ones wait at the door."""


def serve_web(door: socket.socket, application: "WSGIApplication", lifeline: int) -> None:
    """Answer requests until SIGTERM, then those in hand; at SIGUSR1 take no new connections, and let go of the old."""
    name_process("forum-web")
    _allow_files()
    end_with(lifeline)
    sys.setswitchinterval(SWITCH_SECONDS)
    crew = Crew(application, door.getsockname()[1])

    def leave(_number: int, _frame: object) -> None:
        crew.is_leaving = True
        _turn_away_from(door)

    signal.signal(signal.SIGUSR1, leave)
    _granian(door, crew)


def _turn_away_from(door: socket.socket) -> None:
    """Put a socket to which nobody comes in the place of the one at the address, in this process.

    Granian cannot be told to accept no more without closing connections too, and a connection that it accepts
    in its last moment would be closed unheard. At the door, the next generation takes it.
    """
    nowhere = socket.create_server(("127.0.0.1", 0))
    nowhere.setblocking(False)
    # If nobody else holds the door, it closes now, and who waits there would be turned out.
    until = time.monotonic() + 0.5
    while _waiting_at(door) and time.monotonic() < until:
        time.sleep(0.001)
    os.dup2(nowhere.fileno(), door.fileno())
    nowhere.close()


def _waiting_at(door: socket.socket) -> int:
    """Return how many connections wait to be accepted: `tcpi_unacked` of linux/tcp.h, for a socket that listens."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    number: int = struct.unpack_from("=I", door.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28), 24)[0]
    return number


def _allow_files() -> None:
    """Allow as many open files as the system lets us, for connections are files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _granian(door: socket.socket, crew: Crew) -> None:
    """Run granian's worker in this process, over a socket that others accept from too.

    Its own server opens a socket in each worker; what waits in there is reset when that worker ends. What it would put
    around a WSGI application ends a request when the application returns; without it, any thread may.
    """
    server_module: Any = mp
    server_module._wsgi_call_wrap = lambda callback, *_: callback
    server = MPServer(
        "",
        interface=Interfaces.WSGI,
        runtime_mode=RuntimeModes.mt,
        blocking_threads=1,
        backpressure=CONNECTIONS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1_000, max_buffer_size=HEADER_BYTES
        ),
        websockets=False,
        log_level=LogLevels.warning,
    )
    shared: Any = SocketHolder
    server._shd, server._sso = shared(door.fileno(), False, BACKLOG), door
    worker = server._spawn_worker(0, MPServer._spawn_wsgi_worker, lambda: crew)
    worker.inner.run()
