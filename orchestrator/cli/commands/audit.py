"""`keyturn audit`: the chained audit log."""

import json
import sys
import time
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.processes.database import with_store
from keyturn.orchestrator.processes.exit_status import Ended
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.verification import Finding

app = typer.Typer()

# Reading a log shows no progress before this time.
PROGRESS_EVERY_S = 2.0


@app.callback()
def about() -> None:
    """Verify and export the audit log."""


@app.command()
def verify(
    *,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="A head hash that was published earlier; the log must contain it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the audit log and compare it with the tables.

    Reads the database of KEYTURN_DATABASE_URL. Exit status 1 if a sealed row was
    changed, removed or inserted, or if a table differs from the log. With
    KEYTURN_DECISION_KEY it also checks the signatures of decisions.
    """
    keys = verification.keys(settings.read())
    found = with_store(
        lambda store: verification.verify(
            store, checkpoint=checkpoint, verifier=keys, progress=_Progress()
        )
    )
    if as_json:
        output.as_json(found.model_dump(mode="json"))
    else:
        _say(found)
    if found.broken_at is not None:
        raise Ended(
            f"The audit log is broken at row {found.broken_at}: {found.why}. The rows "
            f"before it are intact; compare with a backup from before {found.head}."
        )
    if found.found:
        raise Ended(
            f"The audit log and the tables differ in {found.found} places. Keep the "
            "database as it is; each line says what to do."
        )


@app.command()
def export(
    *,
    run: Annotated[str | None, typer.Option(help="Only rows of this run.")] = None,
) -> None:
    """Print the log as JSON, one row per line."""
    with Api() as api:
        for row in api.each("/audit", {"run": run}):
            sys.stdout.write(json.dumps(row) + "\n")


class _Progress:
    """Reports progress on standard error at intervals."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, what: str, count: int) -> None:
        if time.monotonic() - self._said_at > PROGRESS_EVERY_S:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{count:,} {what} read\n")


def _say(found: Finding) -> None:
    for one in found.discrepancies:
        output.line(one.line)
    if found.found > len(found.discrepancies):
        output.line(f"{found.found - len(found.discrepancies)} more are not shown.")
    if found.undigested or found.unvouched:
        output.line(
            f"{found.undigested} entries carry no digest and {found.unvouched} rows have "
            "no entry with one (made before this version)."
        )
    if found.signatures is None:
        output.line("Signatures were not checked: KEYTURN_DECISION_KEY is not set.")
    if found.is_intact:
        output.line(
            f"{found.sealed} rows are intact, {found.unsealed} are not sealed yet. "
            f"{found.rows} table rows match the log. Head: {found.head}"
        )
