"""`keyturn switch`: kill switches, through the HTTP API."""

import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api, Item
from keyturn.orchestrator.cli.arguments import AsJson, Reason
from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.rules.text import json_object

app = typer.Typer()

COLUMNS = ("Switch", "Mode", "Holds", "Reason", "By", "Until")


class Mode(StrEnum):
    """What a switch does to runs and calls in its scope."""

    HALT = "halt"
    DISABLE = "disable"
    REQUIRE_APPROVAL = "require_approval"
    USE_MODEL = "use_model"


Workflow = Annotated[str | None, typer.Option(help="Hold only this workflow.")]
Tool = Annotated[str | None, typer.Option(help="Hold only this tool.")]
Model = Annotated[str | None, typer.Option(help="Hold only this model.")]
Provider = Annotated[str | None, typer.Option(help="Hold only this provider.")]
Tenant = Annotated[str | None, typer.Option(help="Hold only this tenant.")]
Corpus = Annotated[str | None, typer.Option(help="Hold only this corpus.")]
Everything = Annotated[bool, typer.Option("--everything", help="Hold everything.")]


@app.callback()
def about() -> None:
    """Set, list and lift kill switches."""


@app.command("set")
def set_switch(  # noqa: PLR0913 typer needs one parameter per option
    mode: Annotated[Mode, typer.Argument(help="What the switch does in its scope.")],
    reason: Reason,
    *,
    workflow: Workflow = None,
    tool: Tool = None,
    model: Model = None,
    provider: Provider = None,
    tenant: Tenant = None,
    corpus: Corpus = None,
    everything: Everything = False,
    value: Annotated[
        str | None, typer.Option(help="With use_model: the model to use instead.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="When it expires (local time). Default: never."),
    ] = None,
    switch: Annotated[
        str | None, typer.Option("--id", help="Its id. Default: a new one.")
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Set it even if a name in its scope is unknown."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set a switch. Once this returns, no effect in its scope begins to send."""
    scope = _scope(
        everything=everything,
        workflow=workflow,
        tool=tool,
        model=model,
        provider=provider,
        tenant=tenant,
        corpus=corpus,
    )
    body = {
        "scope": scope,
        "mode": mode.value,
        "value": value,
        "reason": reason,
        "until": until.astimezone().isoformat() if until else None,
        "anyway": anyway,
    }
    name = switch or f"switch-{uuid4().hex[:12]}"
    with Api() as api:
        done = api.put(f"/switches/{name}", body)
    if as_json:
        output.as_json(done)
    else:
        output.line(f"Set {name}.")
        _warn_of_sending(done)
    for warning in json_object.texts(done["warnings"]):
        sys.stderr.write(f"keyturn: {output.visible(warning)}\n")


@app.command("list")
def listing(*, as_json: AsJson = False) -> None:
    """List the switches that are set."""
    with Api() as api:
        found = api.items("/switches", most=1_000)
    if as_json:
        output.as_json(list(found))
        return
    output.table(COLUMNS, [_row(one) for one in found])


@app.command()
def clear(
    switch: Annotated[str, typer.Argument(help="The switch's id.")],
    reason: Reason,
    *,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Lift it at once on this environment's database, without a second "
            "person; opens a critical incident.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Request that a switch is lifted.

    It holds until another person confirms.
    """
    if alone:
        # Imported late: nothing else here needs the store, half a second's load.
        from keyturn.orchestrator.cli import lift_switch  # noqa: PLC0415

        lift_switch.lift_alone(switch, reason)
        return
    with Api() as api:
        made = api.delete(f"/switches/{switch}", {"reason": reason})
    if as_json:
        output.as_json(made)
        return
    output.line(
        f"{switch} still holds. Another operator or admin confirms: "
        f"keyturn proposal confirm {made['id']} "
        f"(until {output.moment(made['ends_at'])})."
    )


@app.command()
def impact(  # noqa: PLR0913 typer needs one parameter per option
    *,
    workflow: Workflow = None,
    tool: Tool = None,
    model: Model = None,
    provider: Provider = None,
    tenant: Tenant = None,
    corpus: Corpus = None,
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """Show what a switch of this scope would hold now."""
    scope = _scope(
        everything=everything,
        workflow=workflow,
        tool=tool,
        model=model,
        provider=provider,
        tenant=tenant,
        corpus=corpus,
    )
    with Api() as api:
        found = api.post("/switches:impact", {"scope": scope})
    output.as_json(found) if as_json else output.pairs(found)


def _scope(*, everything: bool, **wanted: str | None) -> dict[str, str]:
    given = {name: value for name, value in wanted.items() if value is not None}
    if bool(given) == everything:
        raise WrongUsage(
            "Say what the switch holds: "
            f"{', '.join(f'--{name}' for name in wanted)}, or --everything."
        )
    return given


def _warn_of_sending(done: Item) -> None:
    sending = done.get("sending")
    if isinstance(sending, list) and sending:
        output.line("May still reach the provider:")
        for effect in sending:
            output.line(f"  {effect}")


def _row(switch: Item) -> list[object]:
    scope = switch.get("scope")
    held = scope if isinstance(scope, dict) else {}
    named = ", ".join(f"{k} {v}" for k, v in held.items() if v is not None)
    return [
        switch["id"],
        switch["mode"],
        named or "everything",
        switch.get("reason"),
        switch.get("author_name"),
        switch.get("until"),
    ]
