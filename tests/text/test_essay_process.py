"""The process in which essays are composed can be stopped, comes back, and is never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forum.text import essay_process
from forum.text.essay import EssayRejected, render_essay

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _stopped_afterwards() -> Iterator[None]:
    yield
    essay_process._rendering.stop()


def process_id() -> int:
    process = essay_process._rendering._process
    assert process is not None
    return process.pid


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(process_id: int) -> bool:
    for _ in range(200):
        if not is_running(process_id):
            return True
        time.sleep(0.05)
    return False


HOSTILE = {
    "brackets": "[" * 50_000,
    "sections": "<![CDATA[" * 6_000,
}


@pytest.mark.parametrize("family", HOSTILE)
def test_an_essay_that_takes_too_long_is_refused_and_the_next_one_works(family: str) -> None:
    render_essay("Before.")
    before = process_id()
    started = time.monotonic()
    with pytest.raises(EssayRejected, match="takes too long"):
        render_essay(HOSTILE[family])
    assert time.monotonic() - started < essay_process.ANSWER_WITHIN_SECONDS + 5
    assert not is_running(before)
    assert render_essay("After.").html == "<p>After.</p>"


def test_the_process_serves_one_essay_after_another() -> None:
    render_essay("One.")
    first = process_id()
    render_essay("Two.")
    assert process_id() == first


def test_a_killed_process_is_replaced() -> None:
    render_essay("One.")
    os.kill(process_id(), signal.SIGKILL)
    assert render_essay("Two.").html == "<p>Two.</p>"


def test_a_process_that_does_not_answer_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    render_essay("One.")
    stuck = process_id()
    os.kill(stuck, signal.SIGSTOP)
    monkeypatch.setattr(essay_process, "ANSWER_WITHIN_SECONDS", 0.3)
    with pytest.raises(EssayRejected, match="takes too long"):
        render_essay("Two.")
    assert wait_until_gone(stuck)


def test_threads_get_each_their_own_essay() -> None:
    found: dict[int, str] = {}

    def render(number: int) -> None:
        found[number] = render_essay(f"Essay {number}.").html

    threads = [threading.Thread(target=render, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"<p>Essay {number}.</p>" for number in range(8)}


def test_a_forked_web_worker_has_a_process_of_its_own() -> None:
    render_essay("Parent.")
    parents = process_id()
    child = os.fork()
    if not child:
        mine = render_essay("Child.").html == "<p>Child.</p>" and process_id() != parents
        essay_process._rendering.stop()
        os._exit(0 if mine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert render_essay("Parent again.").html == "<p>Parent again.</p>"
    assert process_id() == parents


@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_when_its_web_worker_is_killed(busy: bool) -> None:
    program = (
        "import threading, time\n"
        "from forum.text import essay, essay_process\n"
        "essay.render_essay('x')\n"
        "print(essay_process._rendering._process.pid, flush=True)\n"
        + ("essay.render_essay('[' * 50_000)\n" if busy else "time.sleep(60)\n")
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as worker:
        assert worker.stdout is not None
        rendering = int(worker.stdout.readline())
        assert is_running(rendering)
        worker.kill()
    assert wait_until_gone(rendering)


def test_the_process_knows_no_setting_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORUM_SECRET_KEY", "hunter2")
    assert "hunter2" not in essay_process._environment().values()
