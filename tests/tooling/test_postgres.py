"""The tests' own PostgreSQL: it starts, answers, copies databases and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from tests.postgres import Postgres


def ask(server: Postgres, database: str, question: str) -> object:
    address = server.url(database).replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_a_server_starts_answers_and_is_gone_afterwards() -> None:
    with Postgres() as server:
        server.create_database("first")
        assert "PostgreSQL" in str(ask(server, "first", "SELECT version()"))
        folder = server.url("").partition("host=")[2]
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_a_database_is_copied_from_a_template_and_dropped_while_in_use() -> None:
    with Postgres() as server:
        server.create_database("model")
        with psycopg.connect(server.url("model").replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE essay AS SELECT 'kept' AS title")
        server.create_database("copy", template="model")
        assert ask(server, "copy", "SELECT title FROM essay") == "kept"
        with psycopg.connect(server.url("copy").replace("+psycopg", "")):
            server.drop_database("copy")
        assert ask(server, "model", "SELECT count(*) FROM pg_database WHERE datname = 'copy'") == 0


def test_words_outside_ascii_change_case() -> None:
    with Postgres() as server:
        assert ask(server, "postgres", "SELECT lower('ÉÑÅ')") == "éñå"


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    program = (
        "import time; from tests.postgres import Postgres; server = Postgres(); server.start();"
        "print(server.url(''), flush=True); time.sleep(99)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    folder = Path(run.stdout.readline().strip().partition("host=")[2])
    server = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    deadline = time.monotonic() + 20
    while (folder.exists() or is_alive(server)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()
    assert not is_alive(server)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
