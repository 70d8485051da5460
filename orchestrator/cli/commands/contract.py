"""`keyturn contract`: what the configured applications declare."""

import json
from typing import Annotated

import typer
from pydantic import JsonValue

from orchestrator import registry, release, settings
from orchestrator.cli import output
from orchestrator.cli.arguments import AsJson
from orchestrator.errors import NotFound
from orchestrator.registry import Registry
from orchestrator.release import Release

app = typer.Typer()

COLUMNS = ("Workflow", "Owner", "Tools", "Budget", "Release")


@app.callback()
def about() -> None:
    """See what each workflow of KEYTURN_APPS declares; a wrong contract is named."""


@app.command("list")
def listing(*, as_json: AsJson = False) -> None:
    """List the contracts."""
    found = _releases(_load())
    if as_json:
        output.as_json([_summary(one) for one in found])
        return
    output.table(COLUMNS, [list(_summary(one).values()) for one in found])


@app.command()
def show(
    workflow: Annotated[str, typer.Argument(help="The workflow's name.")],
) -> None:
    """Print everything that a contract says, and its release's hash, as JSON."""
    found = {one.workflow: one for one in _releases(_load())}
    if workflow not in found:
        raise NotFound(kind="workflow", name=workflow, known=tuple(found))
    made = found[workflow]
    output.line(json.dumps({"release": made.hash(), **made.data()}, indent=2))


def _load() -> Registry:
    own = settings.read()
    return registry.load(own.app_names, models=own.models)


def _releases(apps: Registry) -> list[Release]:
    return [
        release.of(contract, apps.tools, apps.aliases)
        for contract in apps.contracts.values()
    ]


def _summary(made: Release) -> dict[str, JsonValue]:
    return {
        "workflow": made.workflow,
        "owner": made.owner,
        "tools": [tool.name for tool in made.tools],
        "budget": f"${made.budget.cost_usd} a run",
        "release": made.hash(),
    }
