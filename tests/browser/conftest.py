"""The browser: the machine's own Chromium, driven by Playwright."""

from typing import Any

import pytest

from tests.chromium import chromium

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
QUIET += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium that was found, not one of Playwright's own."""
    return {**browser_type_launch_args, "executable_path": chromium(), "args": QUIET}
