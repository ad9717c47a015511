"""Requests a second: by wrk where it is installed, else by a small client of our own that says so."""

import re
import shutil
import socket
import subprocess
import threading
import time

CONNECTIONS = 16


def client_name() -> str:
    """Return which client measures, for the table."""
    if shutil.which("wrk"):
        return f"wrk -t1 -c{CONNECTIONS}"
    return f"own Python client, {CONNECTIONS} connections (it is slower than a bare server: install wrk)"


def requests_a_second(url: str, seconds: int) -> float:
    """Ask for one address again and again; returns how many whole answers came in a second.

    Raises: RuntimeError, when an answer is none of 2xx.
    """
    return _by_wrk(url, seconds) if shutil.which("wrk") else _by_hand(url, seconds)


def _by_wrk(url: str, seconds: int) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-H", "Accept-Encoding: gzip", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{url}: {said}")
    return float(found[1])


def _by_hand(url: str, seconds: int) -> float:
    host, _, path = url.removeprefix("http://").partition("/")
    request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    counts, until = [0] * CONNECTIONS, time.monotonic() + seconds

    def ask(number: int) -> None:
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), timeout=30) as connection:
            answers = connection.makefile("rb")
            while time.monotonic() < until:
                connection.sendall(request)
                if b" 200 " not in answers.readline():
                    return
                length = 0
                while (line := answers.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                answers.read(length)
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    if not all(counts):
        raise RuntimeError(f"{url}: some connections had no good answer")
    return sum(counts) / seconds
