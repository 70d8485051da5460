"""A Chromium for the browser tests: the installed one, else Debian's, else Playwright's."""

import os
import shutil
import subprocess
import sys

# The shell first: it draws nothing on a screen, and needs six tenths of the time. Debian
# has it as a package of its own, Ubuntu has not.
SHELL = "chromium-headless-shell"
NAMES = (
    SHELL,
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
PACKAGES = (SHELL, "chromium")


def main() -> None:
    """Returns when a Chromium can be started; ends with status 1 where there is none."""
    if _is_there() or _from_debian() or _from_playwright():
        return
    sys.exit(
        "No Chromium: neither on PATH, nor from apt-get, nor from Playwright."
        " Install one by hand; without it the browser tests are skipped, in CI they fail."
    )


def _is_there() -> bool:
    return any(shutil.which(name) for name in NAMES)


def _from_debian() -> bool:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    sys.stdout.write("installing Debian's Chromium\n")
    _apt("update", "-qq")
    for package in PACKAGES:
        _apt(
            *("install", "-y", "-qq", "--no-install-recommends"),
            *(package, "fonts-liberation"),
        )
        if _is_there():
            return True
    return False


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", *arguments]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def _from_playwright() -> bool:
    command = [
        sys.executable,
        "-m",
        "playwright",
        "install",
        "--only-shell",
        "chromium",
    ]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    main()
