"""A Chromium for the browser tests: the installed one, else Debian's, else Playwright's."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["apt-get", "update", "-qq"],
        [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
            "fonts-liberation",
        ],
    )
    for command in commands:
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    return _is_there()


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
