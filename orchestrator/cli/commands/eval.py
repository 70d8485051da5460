"""`keyturn eval`: runs a suite of cases on the real engine, with effects captured."""

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
        list[str] | None, typer.Option(help="Run only this case; may be repeated.")
    ] = None,
    temporal: Annotated[
        str | None,
        typer.Option(
            help="Temporal's host:port. Default: a server is started for the suite."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a suite with effects captured: no action leaves this machine.

    The model is the configured provider's, or a scripted one if none is configured.
    Exit status: 0 every case passed, 1 a case failed, 3 a service is unreachable.
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
