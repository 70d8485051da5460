"""A test run's exit status is that of its tests, whatever the interpreter's end does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.depth import some

ROOT = Path(__file__).resolve().parents[2]
CRASH_AT_EXIT = """
import os, sys

class Bomb:
    def __del__(self, abort=os.abort):
        abort()

sys.bomb = Bomb()
"""
PYTEST = (sys.executable, "-m", "pytest", "-p", "tests.conftest")
SERIAL: tuple[str, ...] = ("-p", "no:xdist")
PARALLEL = ("-n", "1")


ENDINGS = (
    pytest.param("def test_it(): pass", SERIAL, 0, id="passed"),
    pytest.param("def test_it(): assert 0", SERIAL, 1, id="failed"),
    pytest.param("def test_it(): pass", PARALLEL, 0, id="passed-in-worker"),
    pytest.param("def test_it(): assert 0", PARALLEL, 1, id="failed-in-worker"),
    pytest.param("", SERIAL, 5, id="nothing-collected"),
)


@pytest.mark.parametrize(("body", "arguments", "status"), some(ENDINGS, of=2, turn=1))
def test_exit_status_tells_the_truth(
    tmp_path: Path, body: str, arguments: tuple[str, ...], status: int
) -> None:
    (tmp_path / "test_it.py").write_text(CRASH_AT_EXIT + body)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    report = tmp_path / "report.xml"

    done = subprocess.run(
        [
            *PYTEST,
            *arguments,
            f"--junit-xml={report}",
            f"--rootdir={tmp_path}",
            tmp_path,
        ],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stdout + done.stderr
    assert report.read_text().endswith("</testsuites>")
