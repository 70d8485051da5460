"""`keyturn contract`: the declarations of the configured applications."""

from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import JsonValue

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.contract import registry, release
from keyturn.orchestrator.rules.contract.registry import Registry
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.policy import table as policy_table
from keyturn.orchestrator.rules.policy.rules import length
from keyturn.orchestrator.rules.policy.table import ToolTable

app = typer.Typer()

RULE_COLUMNS = ("Tool", "Where", "Amount", "Verdict", "For example")
COLUMNS = ("Workflow", "Owner", "Tools", "Budget", "Release")


@app.callback()
def about() -> None:
    """Show what each workflow of KEYTURN_APPS declares; report invalid contracts."""


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
    *,
    as_json: AsJson = False,
) -> None:
    """Show a contract's rules as a table of verdicts.

    --json prints the whole contract and the hash of its release.
    """
    found = {one.workflow: one for one in _releases(_load())}
    if workflow not in found:
        raise NotFound(kind="workflow", name=workflow, known=tuple(found))
    made = found[workflow]
    tables = policy_table.of_release(made)
    if as_json:
        table: JsonValue = [one.model_dump(mode="json") for one in tables]
        output.as_json({"release": made.hash(), **made.data(), "table": table})
        return
    output.pairs(_head(made))
    output.line("")
    output.table(RULE_COLUMNS, [row for one in tables for row in _rows(one)])
    for hint in _hints(tables):
        output.line(hint)


def _head(made: Release) -> dict[str, object]:
    return {
        "Workflow": made.workflow,
        "Release": made.hash(),
        "Owner": made.owner,
        "On call": made.on_call,
        "Never sees": list(made.never_sees),
        "Reads": [tool.name for tool in made.tools if not tool.is_action],
        "Limits": [
            f"{one.money} per {one.per} within {length(one.within)}"
            for one in made.limits
        ],
        "Budget": f"${made.budget.cost_usd} a run",
    }


def _rows(table: ToolTable) -> list[list[str]]:
    return [
        [
            table.tool,
            line.where or "always",
            line.amounts,
            line.verdict,
            ", ".join(str(one.amount) for one in line.examples),
        ]
        for line in table.lines
    ]


def _hints(tables: Sequence[ToolTable]) -> list[str]:
    """Return what the table does not show: what moved before, repeats and limits."""
    lines = [(table.tool, line) for table in tables for line in table.lines]
    shared = next(
        (f"{tool} of {one.text}" for tool, line in lines for one in line.shared[1:]), ""
    )
    again = dict.fromkeys(
        f"{tool} again on the same subject: {line.again}"
        for tool, line in lines
        if line.again
    )
    limits = dict.fromkeys(
        f"{tool} is refused beyond {line.limit}, even if approved"
        for tool, line in lines
        if line.limit
    )
    moved = [f"Money moved earlier counts: {shared}."] if shared else []
    return [*moved, *(f"{one}." for one in (*again, *limits))]


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
