"""`keyturn worker`: the processes that think and those that act."""

import asyncio
from typing import Annotated

import typer

from keyturn.orchestrator.processes import logs, worker
from keyturn.orchestrator.rules import settings


def main(
    *,
    effects: Annotated[
        bool,
        typer.Option(
            "--effects", help="Carry out actions; holds the credentials for writing."
        ),
    ] = False,
) -> None:
    """Run workflows, models and reads; with --effects, carry out actions instead."""
    logs.configure()
    asyncio.run(worker.run_worker(settings.read(), effects=effects))
