"""`keyturn tenant`: the tenants for which runs may be started."""

import getpass
from typing import Annotated

import typer
from pydantic import ValidationError

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson, Reason
from keyturn.orchestrator.processes.database import with_store
from keyturn.orchestrator.processes.exit_status import WrongUsage
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import break_glass
from keyturn.orchestrator.store.tables import TenantRow
from keyturn.orchestrator.store.tenants.tenants import NewTenant

app = typer.Typer()

COLUMNS = ("Tenant", "Declared by", "Since")
MOST = 10_000
Name = Annotated[str, typer.Argument(help="Letters, digits and . _ -", metavar="NAME")]


@app.callback()
def about() -> None:
    """List and declare the tenants that runs may be started for."""


@app.command("list")
def listing(*, as_json: AsJson = False) -> None:
    """List the tenants that you may see."""
    with Api() as api:
        found = api.items("/tenants", {}, most=MOST)
    if as_json:
        output.as_json(list(found))
        return
    names = ("name", "declared_by", "created_at")
    output.table(COLUMNS, [[one[name] for name in names] for one in found])


@app.command()
def propose(name: Name, reason: Reason, *, as_json: AsJson = False) -> None:
    """Request that a tenant is declared; another admin confirms."""
    with Api() as api:
        made = api.post("/tenants", {"name": name, "reason": reason})
    if as_json:
        output.as_json(made)
        return
    output.line(
        f"Nothing is changed yet: another admin confirms the tenant {name}: keyturn "
        f"proposal confirm {made['id']} (until {output.moment(made['ends_at'])})."
    )


@app.command()
def add(
    names: Annotated[list[str], typer.Argument(help="Letters, digits and . _ -")],
    *,
    as_json: AsJson = False,
) -> None:
    """Declare tenants in this environment's database.

    Declares all of them, or none. No second person confirms. If an account that may
    decide exists, this opens an incident.
    """
    new = [_new(name) for name in dict.fromkeys(names)]
    by = f"cli:{getpass.getuser()}"

    async def work(store: Store) -> tuple[list[TenantRow], bool]:
        return await break_glass.declare_tenants(store, new, by=by)

    rows, is_loud = with_store(work)
    declared = [row.name for row in rows]
    if as_json:
        output.as_json({"declared": [*declared], "incident": is_loud})
    else:
        output.line(f"Declared: {', '.join(declared)}.")
    if is_loud:
        typer.echo(
            f"Declared alone, as {by}: an incident was opened, which somebody else reads "
            "and closes. An admin's `keyturn tenant propose` asks another one.",
            err=True,
        )


def _new(name: str) -> NewTenant:
    try:
        return NewTenant(name=name)
    except ValidationError:
        raise WrongUsage(
            f"tenant {name!r}: a name has 1 to 100 letters, digits and . _ - and begins "
            "with a letter or digit."
        ) from None
