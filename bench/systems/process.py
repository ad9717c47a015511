"""A server under measurement: started in a session of its own, ended with everything that it started."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from bench.site import children, wait_until

START_SECONDS = 60
STOP_SECONDS = 10


@dataclass(frozen=True)
class Memory:
    """What all processes of a server hold, in MB: `rss` counts shared pages once for each, `pss` once in all."""

    rss: float
    pss: float


class Process:
    """One server with its workers; a context manager."""

    def __init__(
        self, command: Sequence[str | Path], environ: dict[str, str], folder: Path, probe: str
    ) -> None:
        self.command = [str(word) for word in command]
        self.environ = environ
        self.folder = folder
        self.probe = probe
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Process":
        log = self.folder / "server.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl+C reaches only the measurement, which then ends what it started in order.
                start_new_session=True,
            )
        try:
            wait_until(self._answers, START_SECONDS, f"{self.probe} does not answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def memory(self) -> Memory:
        """Return what it and its workers hold now."""
        rolled = [_rolled_up(pid) for pid in self._tree()]
        return Memory(*(sum(sizes) / 1024 for sizes in zip(*rolled, strict=True)))

    def _tree(self) -> list[int]:
        found = [self._process.pid] if self._process else []
        for pid in found:
            found += children(pid)
        return found

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            said = (self.folder / "server.log").read_text(errors="replace").strip().split("\n")[-1]
            raise RuntimeError(f"{self.command[0]} ended by itself: {said}")
        try:
            with urlopen(self.probe, timeout=5):
                return True
        except HTTPError:
            return False
        except OSError:
            return False


def _rolled_up(pid: int) -> tuple[int, int]:
    """Return the resident and the proportional size of one process in KB; nothing when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    sizes = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M))
    return int(sizes.get("Rss", 0)), int(sizes.get("Pss", 0))
