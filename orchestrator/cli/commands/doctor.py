"""`keyturn doctor`: whether this installation can work."""

import asyncio
import socket
from dataclasses import asdict
from typing import Annotated

import typer

from keyturn.orchestrator.cli import doctor, output
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules import settings

SIGNS = {"good": "ok", "bad": "WRONG", "away": "AWAY"}


def main(
    *,
    only: Annotated[
        str | None, typer.Option(help=f"One of: {', '.join(doctor.CHECKS)}.")
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Count the workers of this host alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, database, Temporal, workers, providers, keys, clock and disk.

    Exit status 0 where all is well, 1 where something is wrong, 3 where the database
    or Temporal is away. Run it with the environment of the process in question.
    """
    if only is not None and only not in doctor.CHECKS:
        raise WrongUsage(f"--only {only!r} is none of {', '.join(doctor.CHECKS)}.")
    host = socket.gethostname() if here else ""
    question = doctor.Question(settings.read(), only=only, host=host)
    found = asyncio.run(doctor.examine(question))
    if as_json:
        output.as_json([asdict(one) for one in found])
    else:
        output.table(
            ("", "Checked", "Found"),
            [(SIGNS[one.kind], one.name, one.words) for one in found],
        )
    raise typer.Exit(doctor.status(found))
