"""A virtual environment for each peer, filled by pip from whatever index this machine is set to use."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL_SECONDS = 900
RUN_SECONDS = 300


class Environment:
    """One peer's folder: its packages, its settings, its data; `inside` is our own folder of what runs there."""

    def __init__(self, folder: Path, inside: str) -> None:
        self.folder = folder
        self.inside = HERE / inside
        self.bin = folder / "venv" / "bin"
        self.log = folder / "server.log"

    def install(self) -> None:
        """Install exactly the versions of requirements.txt. Raises: RuntimeError."""
        self.folder.mkdir()
        # The lists are made for 3.11; another Python may want to build what has a wheel there.
        python = shutil.which("python3.11") or sys.executable
        self.run(python, "-m", "venv", str(self.folder / "venv"))
        pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--requirement")
        self.run(self.bin / "python", *pip, self.inside / "requirements.txt", seconds=INSTALL_SECONDS)

    def run(self, *command: str | Path, seconds: int = RUN_SECONDS) -> None:
        """Run one command to its end. Raises: RuntimeError, with the last of what it said."""
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words,
                check=False,
                cwd=self.folder,
                env=self.environ(),
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{words[0]} took longer than {seconds} s") from None
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).split("\n")[-1]
            raise RuntimeError(f"{' '.join(words)}: {last}")

    def environ(self, **more: str) -> dict[str, str]:
        """Return the variables of a command there; nothing of ours but the folder of what runs inside."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("FORUM_", "PYTHON"))
        }
        return {
            **kept,
            "PYTHONPATH": str(self.inside),
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),
            "PEER_FOLDER": str(self.folder),
            **more,
        }

    def version(self, package: str) -> str:
        """Return the version of one package in the list."""
        found = re.search(rf"^{package}==(\S+)", (self.inside / "requirements.txt").read_text(), re.M)
        if found is None:
            raise RuntimeError(f"{package} is not in the list")
        return found[1]
