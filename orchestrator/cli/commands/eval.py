"""`keyturn eval`: a suite of cases through the real engine, with effects captured."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.evals import report, suite
from keyturn.orchestrator.evals.suite import CaseResult
from keyturn.orchestrator.processes.exit_status import Ended
from keyturn.orchestrator.rules import settings

SUITE = Path("evals/support.jsonl")


class NotPassed(Ended):
    """At least one case failed."""


def main(
    path: Annotated[
        Path, typer.Argument(metavar="SUITE", help="A JSONL file.")
    ] = SUITE,
    *,
    case: Annotated[
        list[str] | None, typer.Option(help="Run this case alone; may be repeated.")
    ] = None,
    temporal: Annotated[
        str | None,
        typer.Option(help="Temporal's host:port; without, one is started for this."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a suite with effects captured; nothing that it does leaves this machine.

    Asks the provider that has a key or an address, else a scripted model. Exit status:
    0 every case passed, 1 one did not, 3 a needed service is away.
    """
    result = asyncio.run(
        suite.run_suite(
            path,
            settings.read(),
            temporal=temporal,
            only=tuple(case or ()),
            progress=_tell,
        )
    )
    if as_json:
        output.as_json(result.model_dump(mode="json"))
    else:
        report.show(result)
    if not result.passed:
        raise NotPassed(f"{result.failed} of {len(result.cases)} cases failed.")


def _tell(result: CaseResult) -> None:
    sys.stderr.write(f"{report.line(result)}\n")
    sys.stderr.flush()
