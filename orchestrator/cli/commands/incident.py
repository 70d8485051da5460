"""`keyturn incident`: incidents, through the HTTP API."""

from enum import StrEnum
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason

app = typer.Typer()

COLUMNS = ("Incident", "Severity", "Title", "Tenant", "Status", "Opened")
Named = Annotated[str, typer.Argument(help="The incident's id.")]


class Severity(StrEnum):
    """How severe an incident is."""

    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


class State(StrEnum):
    """Whether an incident is open or closed."""

    OPEN = "open"
    CLOSED = "closed"


@app.callback()
def about() -> None:
    """List, open and close incidents."""


@app.command("list")
def listing(
    *,
    status: Annotated[
        State | None, typer.Option(help="Only incidents in this state.")
    ] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List incidents, newest first."""
    with Api() as api:
        query = {"status": status.value if status else None}
        found = api.items("/incidents", query, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def show(incident: Named, *, as_json: AsJson = False) -> None:
    """Show an incident."""
    with Api() as api:
        found = api.get(f"/incidents/{incident}")
    output.as_json(found) if as_json else output.pairs(found)


@app.command("open")
def open_incident(
    title: Annotated[str, typer.Argument(help="What happened, in one line.")],
    *,
    severity: Annotated[Severity, typer.Option(help="How severe it is.")],
    detail: Annotated[str, typer.Option(help="What is known about it.")],
    tenant: Annotated[
        str | None, typer.Option(help="The tenant that it concerns.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open an incident."""
    body = {
        "severity": severity.value,
        "title": title,
        "detail": detail,
        "tenant": tenant,
    }
    with Api() as api:
        done = api.post("/incidents", body)
    output.as_json(done) if as_json else output.line(f"Opened {done['id']}.")


@app.command()
def close(incident: Named, reason: Reason, *, as_json: AsJson = False) -> None:
    """Close an incident, with the reason."""
    with Api() as api:
        done = api.post(f"/incidents/{incident}:close", {"reason": reason})
    output.as_json(done) if as_json else output.line(f"Closed {incident}.")


def _row(incident: Item) -> list[object]:
    return [
        incident["id"],
        incident["severity"],
        incident["title"],
        incident["tenant"],
        incident["status"],
        incident["created_at"],
    ]
