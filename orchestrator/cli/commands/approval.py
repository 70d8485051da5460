"""`keyturn approval`: approvals and people's decisions on them."""

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
ASSIGNED = ("Approval", "Assigned to", "Problem")
Binding = Annotated[
    str | None,
    typer.Option(
        help="`binding` of the approval as it was shown to you. If the approval has "
        "changed since, nothing is decided. Default: its current binding."
    ),
]


class Held(StrEnum):
    """Who holds an item."""

    MINE = "mine"
    CLAIMED = "claimed"
    UNCLAIMED = "unclaimed"


@app.callback()
def about() -> None:
    """List approvals that wait for a person, and decide them."""


@app.command("list")
def listing(  # noqa: PLR0913 typer needs one parameter per option
    *,
    status: Annotated[
        str, typer.Option(help="Only approvals in this status.")
    ] = "pending",
    tenant: Annotated[
        str | None, typer.Option(help="Only approvals of this tenant.")
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="Only approvals for this team.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Only approvals in this language.")
    ] = None,
    claim: Annotated[
        Held | None, typer.Option(help="Claimed by you, by anybody, or by nobody.")
    ] = None,
    own: Annotated[
        bool,
        typer.Option("--own", help="Only approvals for your teams, in your languages."),
    ] = False,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List approvals, the longest waiting first."""
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
    """Show one approval, with its facts and its rule."""
    with Api() as api:
        _show(api.get(f"/approvals/{approval}"), as_json=as_json)


@app.command()
def approve(
    approval: Approval,
    *,
    edited: Annotated[
        str | None,
        typer.Option(
            "--arguments",
            help="Replace the drafted arguments: JSON, @FILE, or - for standard input.",
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
    """Reject an action. The model reads the reason and continues."""
    body = {"decision": "reject", "reason": reason}
    _decide(approval, body, binding, as_json=as_json)


@app.command()
def undo(
    approval: Approval,
    *,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Undo a decision within the tool's undo window.

    The approval is requested again.
    """
    with Api() as api:
        found = api.post(f"/approvals/{approval}:undo", {"reason": reason})
    _show(found, as_json=as_json)


@app.command()
def claim(
    approval: Approval,
    *,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also if another person has claimed it.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why you take over the claim.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Claim an approval for five minutes, or renew your claim.

    Nobody else can approve it meanwhile.
    """
    with Api() as api:
        holder = None
        if take_over:
            holder = api.get(f"/approvals/{approval}").get("claimed_by")
        body = {"take_over": holder, "reason": reason}
        _show(api.post(f"/approvals/{approval}:claim", body), as_json=as_json)


@app.command()
def unclaim(approval: Approval, *, as_json: AsJson = False) -> None:
    """Give up your claim."""
    with Api() as api:
        _show(api.post(f"/approvals/{approval}:unclaim", {}), as_json=as_json)


@app.command()
def extend(
    approval: Approval,
    *,
    until: Annotated[
        str | None, typer.Option(help="The new deadline, like 2026-01-31T12:00:00Z.")
    ] = None,
    minutes: Annotated[
        int | None, typer.Option(min=1, help="Minutes to add to the deadline.")
    ] = None,
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Extend an approval's deadline.

    The latest deadline is a week after the request.
    """
    body = {"until": until, "minutes": minutes, "reason": reason}
    with Api() as api:
        _show(api.post(f"/approvals/{approval}:extend", body), as_json=as_json)


@app.command()
def assign(
    items: Annotated[
        list[str] | None, typer.Argument(help="Ids of approvals; none with --from.")
    ] = None,
    *,
    leaver: Annotated[
        str | None,
        typer.Option(
            "--from", help="All approvals assigned to this person (id or address)."
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="A person's id or address. Default: back to the queue or, if the rule "
            "assigns a person, to the next eligible one."
        ),
    ] = None,
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Assign approvals to another person. Exit status 1 if any could not be assigned."""
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
        return [result["id"], result["assigned_name"] or "the queue", ""]
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
            "reread. Try again in a moment."
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
