"""The command line: `keyturn`."""

import os
import sys


def main() -> None:
    """Run one command and end the process, here and nowhere else.

    Temporal's SDK can abort while the interpreter is taken down, which would turn a
    good answer into a bad status; so the process leaves before that.
    """
    # Imported late: `python -m keyturn.orchestrator.cli.demo.…` needs none of it.
    from keyturn.orchestrator.cli import program  # noqa: PLC0415

    status = program.run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1  # the reader went away before the answer was out
    os._exit(status)
