"""`keyturn proposal`: proposals to loosen a control, through the HTTP API."""

from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason

app = typer.Typer()

COLUMNS = ("Proposal", "What", "Reason", "By", "Status", "Ends")
Named = Annotated[str, typer.Argument(help="The proposal's id.")]


@app.callback()
def about() -> None:
    """Confirm or decline what another person proposed."""


@app.command("list")
def listing(
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also proposals that were answered.")
    ] = False,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List proposals, newest first."""
    with Api() as api:
        query = {"all": "true" if every else None}
        found = api.items("/proposals", query, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def confirm(proposal: Named, *, as_json: AsJson = False) -> None:
    """Confirm another person's proposal and carry it out."""
    with Api() as api:
        done = api.post(f"/proposals/{proposal}:confirm", {})
    output.as_json(done) if as_json else output.line(f"Done: {what(done)}.")


@app.command()
def decline(proposal: Named, reason: Reason, *, as_json: AsJson = False) -> None:
    """Decline another person's proposal."""
    with Api() as api:
        done = api.post(f"/proposals/{proposal}:decline", {"reason": reason})
    output.as_json(done) if as_json else output.line(f"Declined {proposal}.")


@app.command()
def withdraw(proposal: Named, *, as_json: AsJson = False) -> None:
    """Withdraw your own proposal."""
    with Api() as api:
        done = api.post(f"/proposals/{proposal}:withdraw", {})
    output.as_json(done) if as_json else output.line(f"Withdrew {proposal}.")


def what(proposal: Item) -> str:
    """Return what a proposal is about, in words."""
    target = proposal.get("target")
    about_ = target if isinstance(target, dict) else {}
    match proposal.get("kind"):
        case "switch.clear":
            return f"lift {about_.get('switch')}"
        case "tenant.declare":
            return f"declare the tenant {about_.get('tenant')}"
        case "budget.raise":
            return f"raise the budget of {about_.get('scope')} to {_raised(about_)}"
        case _:
            return _of_account(proposal, about_)


def _of_account(proposal: Item, about_: Item) -> str:
    name = about_.get("name")
    if proposal.get("kind") == "person.invite":
        of = about_.get("tenant") or "all tenants"
        return f"open an account for {name}, {about_.get('role')} of {of}"
    if proposal.get("kind") == "person.password":
        return f"a new password for {name}"
    if _access(about_, "before") == _access(about_, "wanted"):
        return f"open the account of {name} again: {_access(about_, 'wanted')}"
    return f"more access for {name}: {_access(about_, 'wanted')}"


def _raised(target: Item) -> str:
    cost = target.get("cost_microusd")
    said = [f"{cost / 1_000_000:.6f} USD"] if isinstance(cost, int) else []
    units = [f"{target[one]} {one}" for one in ("tokens", "turns") if target.get(one)]
    return ", ".join(said + units)


def _access(target: Item, which: str) -> str:
    found = target.get(which)
    of = found if isinstance(found, dict) else {}
    return f"{of.get('role')} of {of.get('tenant') or 'all tenants'}"


def _row(proposal: Item) -> list[object]:
    return [
        proposal["id"],
        what(proposal),
        proposal.get("reason"),
        proposal.get("proposed_name"),
        proposal.get("status"),
        proposal.get("ends_at"),
    ]
