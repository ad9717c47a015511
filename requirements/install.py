"""Make .venv and install into it: `install.py run` for what serves the site, `install.py dev` for the tests too."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Asked before anything that an older Python would stumble over.
if sys.version_info < (3, 11):  # noqa: UP036 - the reader may well have an older one
    sys.exit("Essay Forum needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.")

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"

# Not sys.version, which tells builds of one version apart: an update of the system need not install all anew.
PYTHON_IS = "sys.implementation.cache_tag, *sys.version_info"
THIS_PYTHON = " ".join(map(str, (sys.implementation.cache_tag, *sys.version_info)))

Words = list[str | Path]
"""A command, word by word."""


def main(wanted: str) -> None:
    with one_at_a_time():
        if is_installed(wanted):
            return
        if not is_usable():
            make_environment()
        forget_what_was_installed()
        install(wanted)
        stamp(wanted).write_text(fingerprint(wanted))


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock, so that two `make` started together do not write into one environment."""
    with Path(__file__).open() as here:
        fcntl.flock(here, fcntl.LOCK_EX)
        yield


def is_installed(wanted: str) -> bool:
    # What the tests need contains what the site needs.
    return any(
        stamp(name).is_file() and stamp(name).read_text() == fingerprint(name) for name in {wanted, "dev"}
    )


def stamp(name: str) -> Path:
    return ENVIRONMENT / f"installed-{name}"


def fingerprint(name: str) -> str:
    """Answer a digest of all that decides what is in the environment, its own place included."""
    files = [requirements("uv"), requirements("run"), requirements(name), ROOT / "pyproject.toml"]
    digest = hashlib.sha256(f"{ENVIRONMENT} {THIS_PYTHON}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def requirements(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def is_usable() -> bool:
    """Say whether .venv holds this Python, with pip, and was made at this place."""
    question = f"import sys, pip; print({PYTHON_IS}, sys.prefix)"
    with contextlib.suppress(OSError):
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=False)
        made_here = (ENVIRONMENT / "bin" / "activate").read_text().find(str(ENVIRONMENT)) >= 0
        return made_here and answer.stdout.strip() == f"{THIS_PYTHON} {ENVIRONMENT}"
    return False


def make_environment() -> None:
    version = ".".join(map(str, sys.version_info[:3]))
    if importlib.util.find_spec("ensurepip") is None:
        add_the_venv_package()
    print(f"Making .venv with Python {version}…", flush=True)
    run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT])


def add_the_venv_package() -> None:
    """Install the part of Python that Debian and Ubuntu ship as a package of its own."""
    package = f"python3.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        fail(f"This Python cannot make a virtual environment. Install {package} and run make again.")
    print(f"Installing the system package {package}, about half a minute…", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], env=quiet, stdout=subprocess.DEVNULL)
    run(["apt-get", "install", "-qq", "-y", package], env=quiet, stdout=subprocess.DEVNULL)


def forget_what_was_installed() -> None:
    for name in ("run", "dev"):
        stamp(name).unlink(missing_ok=True)


def install(wanted: str) -> None:
    """Install the packages with uv where that works, else with pip: slower, but it heeds pip's settings."""
    listed = requirements(wanted)
    count = len(re.findall(r"^[a-z]\S*==", listed.read_text(), flags=re.MULTILINE))
    packages: Words = ["--quiet", "--require-hashes", "-r", listed]
    project: Words = ["--quiet", "--no-build-isolation", "--no-deps", "--editable", ROOT]
    print(f"Installing {count} packages into .venv, about half a minute…", flush=True)
    if has_uv():
        uv: Words = [PYTHON, "-m", "uv", "pip", "install", "--compile-bytecode", "--python", PYTHON]
        if all(
            subprocess.run([*uv, *what], cwd=ROOT, check=False).returncode == 0
            for what in (packages, project)
        ):
            return
        print("uv could not do it; trying again with pip, about a minute…", flush=True)
    for what in (packages, project):
        run([PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *what], cwd=ROOT)


def has_uv() -> bool:
    """Put uv into the environment and say whether to use it: uv does not heed the package index set for pip."""
    pip: Words = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    settings = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    if re.search(r"\.(index-url|index_url|no-index|no_index|proxy)=", settings):
        return False
    get_uv = [*pip, "install", "--quiet", "--require-hashes", "-r", requirements("uv")]
    return subprocess.run(get_uv, capture_output=True, check=False).returncode == 0


def run(command: Words, **how: Any) -> None:
    if subprocess.run(command, check=False, **how).returncode != 0:
        fail(f"This command failed, see above: {' '.join(map(str, command))}")


def fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1])
