"""Chromium: the browser that the tests drive."""

import shutil

from tests.servers.launch import ServerUnavailable

# As scripts/browser.py finds them: the shell first.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
ARGUMENTS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def installed(bundled: str) -> str:
    """The browser's path: one on PATH, else `bundled`, Playwright's own."""
    found = next(filter(None, map(shutil.which, (*NAMES, bundled))), None)
    if found is None:
        raise ServerUnavailable("No Chromium: run `make browser`.")
    return found
