"""`keyturn audit`: the chained log of what happened."""

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
        str | None, typer.Option(help="A head hash that was published earlier.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the log in the database of KEYTURN_DATABASE_URL with itself and the tables.

    Exit status 1 where a sealed row was changed, removed or put in, where a table does
    not hold what the log says, and where it holds what the log says nothing of. With
    KEYTURN_DECISION_KEY the signatures of decisions are checked, too.
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
            f"The audit log and the tables disagree: {found.found} found. Keep the "
            "database as it is, and see each line for what to do."
        )


@app.command()
def export(
    *,
    run: Annotated[str | None, typer.Option(help="Only of this run.")] = None,
) -> None:
    """Print the log as JSON, a row a line."""
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
            sys.stderr.write(f"{count:,} {what} are read\n")


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
        output.line("Signatures were not checked: no decision key here.")
    if found.is_intact:
        output.line(
            f"{found.sealed} rows are intact, {found.unsealed} are not sealed yet. "
            f"{found.rows} rows of tables are as the log has them. Head: {found.head}"
        )
