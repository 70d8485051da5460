"""Starts an installation: says what to run, and reports when all is ready.

A process of its own (`python -m keyturn.orchestrator.cli.dev.starter`), which ends when everything
runs: the supervisor, which stays, needs none of its modules. The programs to run are
written to the given file descriptor, a line of JSON for each program.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from keyturn.orchestrator.cli.dev import environment, programs
from keyturn.orchestrator.cli.dev.child import Program
from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.cli.dev.ports import Ports
from keyturn.orchestrator.processes import exit_status
from keyturn.orchestrator.processes.exit_status import Status
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.errors import KeyturnError


@dataclass(frozen=True)
class Supervisor:
    """The file from which the supervisor reads the programs to run."""

    programs_out: IO[str]

    def begin(self, some: Sequence[Program]) -> None:
        """Have some programs started."""
        for program in some:
            self.programs_out.write(program.as_line())
        self.programs_out.flush()


def start(folder: Path, programs_out: IO[str], *, as_json: bool) -> None:
    """Have everything started in order; return when it is ready and announced."""
    data = Data(folder)
    ports = Ports.kept(data)
    given = data, ports, environment.of(data, ports)
    supervisor = Supervisor(programs_out)
    supervisor.begin([programs.around(*given), programs.temporal(*given)])

    # Temporal starts while this process loads the rest.
    from keyturn.orchestrator.cli.dev.second_half import Opening  # noqa: PLC0415

    asyncio.run(Opening(*given, supervisor.begin).run(as_json=as_json))


def main() -> Status:
    """Start the installation that the arguments name; return the status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("programs_out", type=int)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    try:
        settings.read()
        with os.fdopen(given.programs_out, "w") as programs_out:
            start(given.folder, programs_out, as_json=given.as_json)
    except KeyturnError as error:
        sys.stderr.write(f"keyturn: {error}\n")
        return exit_status.of(error)
    return Status.DONE


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's SDK can abort during the interpreter's shutdown.
    os._exit(ended)
