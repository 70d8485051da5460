"""`keyturn approval`: what waits for a person, and that person's answer."""

from collections.abc import Mapping
from typing import Annotated

import typer

from orchestrator.cli import arguments, output
from orchestrator.cli.api import Api, Item
from orchestrator.cli.arguments import AsJson, Most
from orchestrator.cli.exit_status import Ended

app = typer.Typer()

COLUMNS = ("Approval", "What will happen", "Needs", "Answer by")
Approval = Annotated[str, typer.Argument(help="The approval's id.")]
Binding = Annotated[
    str | None,
    typer.Option(
        help="`binding` of the approval as it was shown to you: where it has changed "
        "since, nothing is decided. Default: as it is now."
    ),
]


@app.callback()
def about() -> None:
    """See what waits for a person, and decide it."""


@app.command("list")
def listing(
    *,
    status: Annotated[str, typer.Option(help="Only in this status.")] = "pending",
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List approvals; who has waited longest comes first."""
    with Api() as api:
        found = api.items(
            "/approvals", {"status": status, "tenant": tenant}, most=limit
        )
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
        approval["answer_by"],
    ]


def _show(approval: Item, *, as_json: bool) -> None:
    output.as_json(approval) if as_json else output.pairs(approval)
