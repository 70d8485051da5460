"""`keyturn user`: accounts, tokens and keys, on the database of this environment.

Commands that use the HTTP API instead are in `managed_users` and `own_account`.
"""

import getpass
import secrets
import sys
from datetime import timedelta
from typing import Annotated, get_args

import typer
from pydantic import ValidationError

from keyturn.approvals.auth import accounts, permissions
from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.cli.commands import managed_users, own_account
from keyturn.orchestrator.processes import payload_keys
from keyturn.orchestrator.processes.database import with_store
from keyturn.orchestrator.processes.exit_status import Ended, WrongUsage
from keyturn.orchestrator.rules.authority import binding
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import in_words
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import break_glass
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.tables import PersonRow
from keyturn.orchestrator.store.tenants import sources

app = typer.Typer()
managed_users.add_to(app)
own_account.add_to(app)

# The recorded author of changes by direct access to the database.
BY = "cli"
ROLES = get_args(Role)


@app.callback()
def about() -> None:
    """Manage accounts, tokens and keys."""


@app.command()
def add(  # noqa: PLR0913 typer needs one parameter per option
    email: Annotated[str, typer.Argument(help="The address to sign in with.")],
    *,
    name: Annotated[str, typer.Option(help="The name that others see.")],
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")],
    tenant: Annotated[
        str | None, typer.Option(help="The only tenant that it sees. Default: all.")
    ] = None,
    service: Annotated[
        bool, typer.Option("--service", help="A program: it may not decide.")
    ] = False,
    password: Annotated[
        bool,
        typer.Option("--password", help="Read the password from standard input."),
    ] = False,
    decides_at_once: Annotated[
        bool,
        typer.Option(
            "--decides-at-once",
            help="Let a new approver decide without the first day's wait; audited.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open an account.

    Without --password, a random password is created and shown once. No second person
    confirms. If an account that may decide exists, opening another one opens a
    critical incident.
    """
    new = _new_person(email, name, role, tenant, is_service=service)
    secret = None if service else _password() if password else secrets.token_urlsafe(12)

    by = f"{BY}:{getpass.getuser()}"

    async def work(store: Store) -> tuple[PersonRow, bool]:
        return await accounts.add_alone(
            store, new, password=secret, by=by, decides_at_once=decides_at_once
        )

    person, is_loud = with_store(work)
    shown = None if password else secret
    made: dict[str, str | None] = {
        "id": person.id,
        "email": person.email,
        "password": shown,
    }
    output.as_json(dict(made)) if as_json else output.pairs(made)
    if is_loud:
        typer.echo(
            f"Opened alone, as {by}: a critical incident was opened, which somebody "
            "else reads and closes. An admin's `keyturn user invite` asks another one.",
            err=True,
        )


@app.command()
def vouch(
    email: Annotated[str, typer.Argument(help="The account's email address.")],
) -> None:
    """Accept an account that Keyturn did not write, as it is.

    Needs access to the database and KEYTURN_SECRET_KEY; opens a critical incident.
    Check the account's role, tenant and address first (`keyturn user list`).
    """
    by = f"{BY}:{getpass.getuser()}"

    async def work(store: Store) -> PersonRow | None:
        return await break_glass.vouch(store, email, by=by)

    row = with_store(work)
    if row is None:
        output.line(f"{email} is vouched for already; nothing was changed.")
        return
    where = f"of the tenant {row.tenant}" if row.tenant else "of every tenant"
    output.line(f"{row.email}, {row.role} {where}, is vouched for, as {by}.")


@app.command()
def token(
    email: Annotated[str, typer.Argument(help="The owner's email address.")],
    *,
    name: Annotated[str, typer.Option(help="What it is for.")] = "keyturn user token",
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Days until it expires; at most 7 for a token that may decide.",
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="A scope; may be repeated. Default: all that the owner may do."
        ),
    ] = None,
    tenant: Annotated[
        list[str] | None,
        typer.Option(
            help="A service's token starts runs only for this tenant; may be repeated."
        ),
    ] = None,
) -> None:
    """Create an API token, which is shown once.

    It acts as its owner. No second person confirms. A token that acts as a person, if
    others have accounts too, opens a critical incident that names its owner.
    """
    by = f"{BY}:{getpass.getuser()}"

    async def work(store: Store) -> tuple[str, bool]:
        async with store.read() as session:
            person = await person_accounts.by_email(session, email)
        if person is None:
            raise Ended(f"Nobody has the address {email!r}; `keyturn user add` first.")
        new = NewToken(
            name=name,
            scopes=_scopes(person, scope),
            tenants=tuple(tenant or ()),
            ends_in=timedelta(days=days) if days else None,
        )
        made, is_loud = await break_glass.issue_token(store, person.id, new, by=by)
        return made.plain, is_loud

    plain, is_loud = with_store(work)
    output.line(plain)
    if is_loud:
        typer.echo(
            f"Made alone, as {by}: a critical incident was opened, which somebody else "
            f"than {email} reads and closes. They make tokens of their own under "
            "Settings.",
            err=True,
        )


@app.command()
def source(
    email: Annotated[str, typer.Argument(help="The new owner's email address.")],
    name: Annotated[str, typer.Argument(help="The source, as in `POST /runs`.")],
) -> None:
    """Assign a source of runs to an account; audited."""

    async def work(store: Store) -> None:
        async with store.read() as session:
            person = await person_accounts.by_email(session, email)
        if person is None:
            raise Ended(f"Nobody has the address {email!r}; `keyturn user add` first.")
        await sources.give(store, name, person.id, by=f"{BY}:{getpass.getuser()}")

    with_store(work)
    output.line(f"The source {name!r} is {email}'s.")


@app.command()
def key() -> None:
    """Print new keys as environment variables.

    The effect worker gets the public half of the decision key.
    """
    private = binding.new_key()
    output.line(f"KEYTURN_SECRET_KEY={secrets.token_urlsafe(48)}")
    output.line(f"KEYTURN_DECISION_KEY={private}")
    output.line("# For the effect worker instead of the line above:")
    output.line(f"# KEYTURN_DECISION_KEY={Signer(private).public()}")
    output.line("# For the web server and all workers:")
    output.line(f"KEYTURN_PAYLOAD_KEYS={payload_keys.new_keys()}")


def _scopes(person: PersonRow, wanted: list[str] | None) -> tuple[str, ...]:
    as_person = Person(
        id=person.id,
        name=person.name,
        role=person.role,
        kind=person.kind,
        tenant=person.tenant,
        session="",
    )
    granted = permissions.granted(as_person)
    beyond = [one for one in wanted or () if one not in granted]
    if beyond:
        raise WrongUsage(
            f"{person.name} may not do {', '.join(beyond)}; choose from "
            f"{', '.join(granted)}."
        )
    return tuple(wanted or granted)


def _new_person(
    email: str, name: str, role: str, tenant: str | None, *, is_service: bool
) -> NewPerson:
    try:
        return NewPerson.model_validate(
            {
                "email": email,
                "name": name,
                "role": role,
                "tenant": tenant,
                "kind": "service" if is_service else "person",
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongUsage(
            f"{first['loc'][0]} {first['input']!r}: {in_words(first)}."
        ) from None


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")
