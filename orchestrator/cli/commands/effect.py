"""`keyturn effect`: the effect ledger, and outcomes that people record."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Most, Reason

app = typer.Typer()

COLUMNS = ("Effect", "Tool", "Status", "Money", "Customer", "Subject")
Named = Annotated[str, typer.Argument(help="The effect's key.")]


class How(StrEnum):
    """How a done effect failed later."""

    FAILED = "failed"
    REVERSED = "reversed"


@app.callback()
def about() -> None:
    """List effects; record the outcome of one that is unknown."""


@app.command("list")
def listing(
    *,
    status: Annotated[
        str | None, typer.Option(help="Only effects in this status.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Only effects of this run.")] = None,
    limit: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List effects, those of the newest run first."""
    with Api() as api:
        found = api.items("/effects", {"status": status, "run": run}, most=limit)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def show(effect: Named, *, as_json: AsJson = False) -> None:
    """Show one effect."""
    with Api() as api:
        found = api.get(f"/effects/{effect}")
    output.as_json(found) if as_json else output.pairs(found)


@app.command()
def record(
    effect: Named,
    *,
    happened: Annotated[
        bool,
        typer.Option(
            "--happened/--did-not-happen",
            help="Whether the provider acted; for a reopened effect, whether it stands.",
        ),
    ],
    evidence: Annotated[str, typer.Option(help="How you know it.")],
    as_json: AsJson = False,
) -> None:
    """Record the outcome of an unknown or reopened effect."""
    body = {"happened": happened, "evidence": evidence}
    _post(f"/effects/{effect}:record", body, as_json=as_json)


@app.command()
def lookup(effect: Named, *, as_json: AsJson = False) -> None:
    """Look up an unknown effect at the provider.

    The effect worker runs the look-up.
    """
    _post(f"/effects/{effect}:lookup", {}, as_json=as_json)


@app.command()
def reopen(
    effect: Named,
    *,
    how: Annotated[How, typer.Option(help="What the provider reports.")],
    words: Annotated[str, typer.Option(help="What is known about the failure.")],
    reference: Annotated[
        str | None, typer.Option(help="The provider's reference number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report that a done effect failed later.

    It is open again until a person has found out whether it stands.
    """
    body = {"how": how.value, "words": words, "reference": reference}
    _post(f"/effects/{effect}:reopen", body, as_json=as_json)


@app.command()
def compensate(effect: Named, reason: Reason, *, as_json: AsJson = False) -> None:
    """Request that a done effect is reversed.

    The reversal is an action in a run of its own.
    """
    with Api() as api:
        done = api.post(f"/effects/{effect}:compensate", {"reason": reason})
    output.as_json(done) if as_json else output.line(f"Requested in run {done['id']}.")


def _post(path: str, body: Mapping[str, object], *, as_json: bool) -> None:
    with Api() as api:
        done = api.post(path, body)
    if as_json:
        output.as_json(done)
        return
    output.line(f"{done['key']} is {done['status']}.")


def _row(effect: Item) -> list[object]:
    money = effect["money"]
    shown = money["text"] if isinstance(money, dict) else None
    back = " (failed later, to be resolved)" if effect["reopened_at"] else ""
    return [
        effect["key"],
        effect["tool"],
        f"{effect['status']}{back}",
        shown,
        effect["customer"],
        effect["subject"],
    ]
