"""What every test shares: the servers' fixtures, and an exit that tells the truth."""

import atexit
import os
import sys

import pytest

pytest_plugins = ["tests.servers.fixtures", "tests.databases"]

_session: list[pytest.Session] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keeps the session, whose status is final when the process leaves."""
    _session.append(session)


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
