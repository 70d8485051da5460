"""What every test shares: the servers' fixtures, and an exit that tells the truth."""

import atexit
import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from keyturn.orchestrator.rules.text import scrub
from tests.depth import SEARCHES

# A gate that looks at other examples each time fails for somebody who changed nothing.
# KEYTURN_SEARCH=1 looks for new ones: run it often, and keep what it finds as @example.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("search" if SEARCHES else "gate")

# What tests start finds the applications of these tests, which are not installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

pytest_plugins = ["tests.servers.fixtures", "tests.databases"]

_session: list[pytest.Session] = []


@pytest.fixture(autouse=True)
def _secrets_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] pytest uses it
    """Lets no test blank out the words of the next: a process knows its secrets."""
    monkeypatch.setattr(scrub, "_known", {**vars(scrub)["_known"]})


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keeps the session, whose status is final when the process leaves."""
    _session.append(session)


# Nearly all that is loaded and collected stays: to look through it frees nothing.
gc.disable()


def pytest_collection_finish() -> None:
    """Spares the collector thousands of tests that stay: a tenth of a run's time."""
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@atexit.register
def _leave() -> None:
    """Ends the process here, with the status of the session.

    Temporal's SDK aborts about one interpreter in ten while it is taken down, which
    would turn a green run red. Registered before any test ran, this runs after every
    other exit handler: reports are written and servers stopped.
    """
    if not _session:
        return  # no session, no Temporal: usage errors, --help, --version
    status = int(_session[-1].exitstatus)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1  # the report did not get out
    os._exit(status)
