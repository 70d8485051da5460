"""`keyturn approval`: items that wait for a person, and that person's answer."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from keyturn.orchestrator.cli import arguments, output
from keyturn.orchestrator.cli.api import Api, Item, items_in
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason
from keyturn.orchestrator.processes.exit_status import Ended, Status

app = typer.Typer()

COLUMNS = ("Approval", "What will happen", "Needs", "Held by", "Answer by")
Approval = Annotated[str, typer.Argument(help="The approval's id.")]
ASSIGNED = ("Approval", "Is given to", "Or why not")
Binding = Annotated[
    str | None,
    typer.Option(
        help="`binding` of the approval as it was shown to you: where it has changed "
        "since, nothing is decided. Default: as it is now."
    ),
]


class Held(StrEnum):
    """Who holds an item."""

    MINE = "mine"
    CLAIMED = "claimed"
    UNCLAIMED = "unclaimed"


@app.callback()
def about() -> None:
    """See what waits for a person, and decide it."""


@app.command("list")
def listing(  # noqa: PLR0913 options of a command
    *,
    status: Annotated[str, typer.Option(help="Only in this status.")] = "pending",
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    language: Annotated[str | None, typer.Option(help="Only in this language.")] = None,
    claim: Annotated[
        Held | None, typer.Option(help="Held by you, by anybody, or by nobody.")
    ] = None,
    own: Annotated[
        bool, typer.Option("--own", help="Only of your own teams and languages.")
    ] = False,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List approvals; who has waited longest comes first."""
    query = {"status": status, "tenant": tenant, "team": team, "language": language}
    query |= {"claim": claim.value if claim else None, "own": "true" if own else None}
    with Api() as api:
        found = api.items("/approvals", query, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def show(approval: Approval, *, as_json: AsJson = False) -> None:
    """Show one approval, with the rule that asked and the facts."""
    with Api() as api:
        _show(api.get(f"/approvals/{approval}"), as_json=as_json)


@app.command()
def approve(
    approval: Approval,
    *,
    edited: Annotated[
        str | None,
        typer.Option(
            "--arguments", help="Do this instead: JSON, @FILE, or - for standard input."
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why.")] = None,
    binding: Binding = None,
    as_json: AsJson = False,
) -> None:
    """Approve an action, as drafted or with other arguments."""
    changed = arguments.read_object(edited, what="--arguments") if edited else None
    body = {"decision": "approve", "arguments": changed, "reason": reason}
    _decide(approval, body, binding, as_json=as_json)


@app.command()
def reject(
    approval: Approval,
    *,
    reason: Annotated[
        str, typer.Option("--reason", "-r", help="Why; the model reads it.")
    ],
    binding: Binding = None,
    as_json: AsJson = False,
) -> None:
    """Reject an action; the model reads the reason and goes on from there."""
    body = {"decision": "reject", "reason": reason}
    _decide(approval, body, binding, as_json=as_json)


@app.command()
def undo(
    approval: Approval,
    *,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a decision back, within its seconds; it is asked anew."""
    with Api() as api:
        found = api.post(f"/approvals/{approval}:undo", {"reason": reason})
    _show(found, as_json=as_json)


@app.command()
def claim(
    approval: Approval,
    *,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also where somebody else holds it.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why you take it over.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Claim an item for five minutes, or keep it: nobody else decides it meanwhile."""
    with Api() as api:
        holder = None
        if take_over:
            holder = api.get(f"/approvals/{approval}").get("claimed_by")
        body = {"take_over": holder, "reason": reason}
        _show(api.post(f"/approvals/{approval}:claim", body), as_json=as_json)


@app.command()
def unclaim(approval: Approval, *, as_json: AsJson = False) -> None:
    """Give your claim up."""
    with Api() as api:
        _show(api.post(f"/approvals/{approval}:unclaim", {}), as_json=as_json)


@app.command()
def extend(
    approval: Approval,
    *,
    until: Annotated[str | None, typer.Option(help="As 2026-01-31T12:00:00Z.")] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="So much more than now.")
    ] = None,
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Give people more time to answer, to a week after it was asked at most."""
    body = {"until": until, "minutes": minutes, "reason": reason}
    with Api() as api:
        _show(api.post(f"/approvals/{approval}:extend", body), as_json=as_json)


@app.command()
def assign(
    items: Annotated[
        list[str] | None, typer.Argument(help="Approvals, or none with --from.")
    ] = None,
    *,
    leaver: Annotated[
        str | None,
        typer.Option("--from", help="All that this person holds: an id or address."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="A person's id or address. Default: back to the queue, or, where the "
            "rule assigns, to whom the system picks."
        ),
    ] = None,
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Give items to somebody else; exits with 1 where one could not be given."""
    body = {"items": items or None, "from": leaver, "to": to, "reason": reason}
    with Api() as api:
        found = api.post("/approvals:assign", body)
    results = items_in(found, "items")
    if as_json:
        output.as_json(found)
    else:
        output.table(ASSIGNED, [_assigned(one) for one in results])
    if any(one["problem"] is not None for one in results):
        raise typer.Exit(Status.NO)


def _assigned(result: Item) -> list[object]:
    problem = result["problem"]
    if result["approval"] is not None:
        return [result["id"], result["assigned_name"] or "its queue", ""]
    words = problem["detail"] if isinstance(problem, dict) else ""
    return [result["id"], "", words]


def _decide(
    approval: str, body: Mapping[str, object], binding: str | None, *, as_json: bool
) -> None:
    with Api() as api:
        shown = binding or _binding(api.get(f"/approvals/{approval}"))
        body = {**body, "binding": shown}
        _show(api.post(f"/approvals/{approval}:decide", body), as_json=as_json)


def _binding(approval: Item) -> str:
    found = approval.get("binding")
    if not isinstance(found, str):
        raise Ended(
            f"Approval {approval['id']} cannot be decided now: its facts are being "
            "read again. Try again in a moment."
        )
    return found


def _row(approval: Item) -> list[object]:
    return [
        approval["id"],
        approval["summary"],
        f"{approval['given']} of {approval['needed']} by {approval['role']}",
        approval["claimed_name"] or "",
        approval["answer_by"],
    ]


def _show(approval: Item, *, as_json: bool) -> None:
    output.as_json(approval) if as_json else output.pairs(approval)
