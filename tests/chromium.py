"""Find the Chromium that the browser tests drive, or install it where that is allowed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """Answer the path of a Chromium that starts; `FORUM_CHROMIUM` names one by hand.

    Raises:
        RuntimeError: there is none; the message says what to install.
    """
    named = os.environ.get("FORUM_CHROMIUM")
    if named:
        if version(named):
            return named
        raise RuntimeError(f"FORUM_CHROMIUM names {named}, which does not start.")
    for name in NAMES:
        path = shutil.which(name)
        if path and version(path):
            return path
    raise RuntimeError(
        "The browser tests need Chromium. Install it (Debian: apt install chromium; Ubuntu: snap install "
        "chromium, or Google Chrome's package) or name one with FORUM_CHROMIUM=/path/to/chromium."
    )


def version(path: str) -> str:
    """Answer what the program says of itself, or nothing where it does not start.

    Ubuntu's chromium package without snap is a program that only prints what to install.
    """
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def install_from_debian() -> None:
    """Install Debian's package where we are root on Debian; elsewhere do nothing."""
    if os.geteuid() != 0 or not is_debian() or shutil.which("apt-get") is None:
        return
    print("Installing Chromium from Debian's packages, about a minute…", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A bare system has no fonts, and without one a browser shows no letters.
    install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"]
    for command in (["apt-get", "update"], install):
        done = subprocess.run([*command, "-qq"], env=quiet, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            print(f"{' '.join(command)} failed, see above.", file=sys.stderr)
            return


def is_debian() -> bool:
    """Say whether the system's own packages have a Chromium; Ubuntu's is an empty one that points to snap."""
    release = Path("/etc/os-release")
    return release.is_file() and "\nID=debian\n" in f"\n{release.read_text()}\n"


def main() -> None:
    try:
        path = chromium()
    except RuntimeError:
        install_from_debian()
        try:
            path = chromium()
        except RuntimeError as error:
            sys.exit(str(error))
    print(path)


if __name__ == "__main__":
    main()
