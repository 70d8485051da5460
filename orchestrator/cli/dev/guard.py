"""Ends the children when their parent has ended in any way.

Run as a program: reads `+GROUP` and `-GROUP` from standard input, which only its parent
holds open, and at the end of input stops the process groups that are left. It uses
only the standard library, so that it starts at once.
"""

import contextlib
import os
import signal
import sys
import time

PATIENCE_S = 5.0
LOOK_S = 0.05


def main() -> None:
    """Wait for the parent's end, then end the groups that it left."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    _end(groups)


def _end(groups: set[int]) -> None:
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while any(map(_lives, groups)) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
