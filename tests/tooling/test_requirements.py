"""The requirement files: pinned, hashed, the same for site and tests, and silent about where they come from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("uv", "run", "dev")


def requirement_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, list[str]]:
    """Answer the pinned packages with the hashes of each."""
    entries = re.findall(r"^(\S+==.+?) \\\n((?:    --hash=.*\n)+)", requirement_text(name), re.MULTILINE)
    return {package: re.findall(r"sha256:[0-9a-f]{64}", hashes) for package, hashes in entries}


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    named = re.findall(r"^[^\s#].*", requirement_text(name), re.MULTILINE)
    found = pins(name)
    assert len(found) == len(named) > 0
    assert all(found.values())


@pytest.mark.parametrize("name", FILES)
def test_no_requirement_file_names_a_host(name: str) -> None:
    assert not re.search(r"://|^\s*-", requirement_text(name).replace("    --hash=", ""), re.MULTILINE)


def test_the_tests_run_on_the_versions_that_serve_the_site() -> None:
    assert pins("run").items() <= pins("dev").items()


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name, declared in (
        ("run", project["project"]["dependencies"]),
        ("dev", project["dependency-groups"]["dev"]),
    ):
        locked = {plain_name(pin) for pin in pins(name)}
        assert {plain_name(package) for package in declared} <= locked, f"run make lock: {name}.txt is behind"


def plain_name(package: str) -> str:
    return re.split(r"[\[=<>; ]", package)[0].replace("_", "-").lower()
