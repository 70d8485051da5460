"""The version of the code that this process runs."""

import functools
import subprocess
from importlib.metadata import version
from pathlib import Path


@functools.cache
def code_version() -> str:
    """Return the code's version, with the commit where it runs from a checkout.

    Temporal shows it for each worker. By default its SDK would read every loaded module
    again to make a name, which took a second of a worker's start.
    """
    own = version("keyturn")
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return own
    try:
        shown = subprocess.run(  # noqa: S603 fixed arguments
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],  # noqa: S607 git from PATH
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return own
    return f"{own}+{shown.stdout.strip()}"
