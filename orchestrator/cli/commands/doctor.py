"""`keyturn doctor`: checks of this installation."""

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
        bool, typer.Option("--here", help="Count only the workers on this host.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, database, Temporal, workers, providers, keys, clock and disk.

    Exit status: 0 all checks passed, 1 a check failed, 3 the database or Temporal is
    unreachable. Run it with the environment of the process that you want to check.
    """
    if only is not None and only not in doctor.CHECKS:
        raise WrongUsage(
            f"--only {only!r} is not a check; choose from {', '.join(doctor.CHECKS)}."
        )
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
