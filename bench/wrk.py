"""Requests a second and how long they take: by wrk where it is installed, else by a small client that says so."""

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

CONNECTIONS = 16
GZIP = {"Accept-Encoding": "gzip, deflate"}
"""What a browser says that comes without https."""

BROTLI = {"Accept-Encoding": "gzip, deflate, br, zstd"}
"""What a browser says that comes by https."""

UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Pace:
    """What asking came to: whole answers a second, and the wait in milliseconds that 99 of 100 stayed below."""

    rate: float
    p99: float


def client_name() -> str:
    """Return which client measures, for the table."""
    if shutil.which("wrk"):
        return f"wrk -t1 -c{CONNECTIONS}"
    return f"own Python client, {CONNECTIONS} connections (it is slower than a bare server: install wrk)"


def requests_a_second(url: str, seconds: int, headers: Mapping[str, str] = GZIP) -> float:
    """Ask for one address again and again; returns how many whole answers came in a second.

    Raises: RuntimeError, when an answer is an error or the connection breaks.
    """
    return pace(url, seconds, headers).rate


def pace(url: str, seconds: int, headers: Mapping[str, str] = GZIP) -> Pace:
    """Ask for one address again and again. Raises: RuntimeError, as requests_a_second() does, or without an answer."""
    found = _by_wrk(url, seconds, headers) if shutil.which("wrk") else _by_hand(url, seconds, headers)
    if found.rate == 0:
        raise RuntimeError(f"{url}: no answer in {seconds} s; let the rounds be longer (--seconds)")
    return found


def _by_wrk(url: str, seconds: int, headers: Mapping[str, str]) -> Pace:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    command.append(url)
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    slowest = re.search(r"\s99%\s+([\d.]+)(us|ms|s|m)\b", said)
    if rate is None or slowest is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{url}: {said}")
    return Pace(float(rate[1]), float(slowest[1]) * UNITS[slowest[2]])


def _by_hand(url: str, seconds: int, headers: Mapping[str, str]) -> Pace:
    host, _, path = url.removeprefix("http://").partition("/")
    lines = [f"GET /{path} HTTP/1.1", f"Host: {host}", *(f"{name}: {one}" for name, one in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    waits: list[list[float]] = [[] for _ in range(CONNECTIONS)]
    until = time.monotonic() + seconds

    def ask(number: int) -> None:
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), timeout=30) as connection:
            answers = connection.makefile("rb")
            while (began := time.monotonic()) < until:
                connection.sendall(request)
                if not re.search(rb" (200|304) ", answers.readline()):
                    waits[number].clear()
                    return
                length = 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answers.read(length)
                waits[number].append(time.monotonic() - began)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    if not all(waits):
        raise RuntimeError(f"{url}: some connections had no good answer")
    sorted_waits = sorted(wait for own in waits for wait in own)
    return Pace(len(sorted_waits) / seconds, sorted_waits[int(len(sorted_waits) * 0.99)] * 1000)
