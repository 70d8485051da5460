"""Runs one server until the test run has ended: `keeper.py PIPE SIGNAL USER COMMAND…`.

Whoever controls the run holds the named PIPE open. However that process ends, the pipe
closes, and the server ends with it. An empty USER leaves the account as it is.
"""

import signal
import subprocess
import sys

STOP_TIMEOUT_S = 10


def main(pipe: str, stop: str, user: str, command: list[str]) -> None:
    """Returns when the run and then the server have ended."""
    server = subprocess.Popen(
        command, user=user or None, extra_groups=[] if user else None
    )
    with open(pipe, "rb") as run:
        run.read()
    server.send_signal(signal.Signals[stop])
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
