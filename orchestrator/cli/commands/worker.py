"""`keyturn worker`: the worker processes, for models and for actions."""

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
            "--effects", help="Carry out actions; needs the write credentials."
        ),
    ] = False,
) -> None:
    """Run workflows, model calls and reads; with --effects, carry out actions instead."""
    logs.configure()
    asyncio.run(worker.run_worker(settings.read(), effects=effects))
