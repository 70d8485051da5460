"""The command line: `keyturn`."""

import os
import sys


def main() -> None:
    """Run one command and end the process; the only place that does.

    Temporal's SDK can abort during the interpreter's shutdown, which would turn a
    good result into a bad status; so the process exits before that.
    """
    # Imported late: `python -m keyturn.orchestrator.cli.demo.…` does not need it.
    from keyturn.orchestrator.cli import program  # noqa: PLC0415

    status = program.run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1  # the reader went away before the answer was out
    os._exit(status)
