"""`keyturn user list`, `change` …: people and tokens, through the HTTP API."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import NULL, Api, Item
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.cli.commands import proposal
from keyturn.orchestrator.processes.exit_status import Ended, WrongUsage

PEOPLE = ("Name", "Address", "Role", "Tenant", "Teams", "Languages", "State")
TOKENS = ("Token", "For", "May", "Last used", "Ends", "Revoked")
MOST = 10_000

Email = Annotated[str, typer.Argument(help="The account's email address.")]
Role = Annotated[str | None, typer.Option(help="The role.")]
Tenant = Annotated[str | None, typer.Option(help="The only tenant that it sees.")]
Team = Annotated[list[str] | None, typer.Option(help="A team; may be repeated.")]
Why = Annotated[
    str | None, typer.Option("--reason", "-r", help="Why; the second admin reads it.")
]
Language = Annotated[
    list[str] | None,
    typer.Option(help="A language code such as `de`; may be repeated."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to `keyturn user`."""
    for name, command in _COMMANDS.items():
        app.command(name)(command)


def listing(*, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List accounts."""
    with Api() as api:
        found = api.items("/people", {"tenant": tenant}, most=MOST)
    if as_json:
        output.as_json(list(found))
        return
    output.table(PEOPLE, [_row(one) for one in found])


def show(email: Email, *, as_json: AsJson = False) -> None:
    """Show an account."""
    with Api() as api:
        _show(_of(api, email), as_json=as_json)


def invite(  # noqa: PLR0913 typer needs one parameter per option
    email: Email,
    *,
    name: Annotated[str, typer.Option(help="The name that others see.")],
    role: Annotated[str, typer.Option(help="The role.")],
    tenant: Tenant = None,
    team: Team = None,
    language: Language = None,
    service: Annotated[
        bool, typer.Option("--service", help="A program: it may not decide.")
    ] = False,
    reason: Why = None,
    as_json: AsJson = False,
) -> None:
    """Open an account without a password, for sign-in by OIDC.

    `user password` adds a password. An account that may decide or confirm is opened
    only once another admin confirms.
    """
    body = {
        "email": email,
        "name": name,
        "role": role,
        "tenant": tenant,
        "teams": team or [],
        "languages": language or [],
        "kind": "service" if service else "person",
        "reason": reason,
    }
    with Api() as api:
        _show(api.post("/people", body), as_json=as_json)


def change(  # noqa: PLR0913 typer needs one parameter per option
    email: Email,
    *,
    role: Role = None,
    tenant: Tenant = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="It sees every tenant.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The name that others see.")] = None,
    team: Team = None,
    language: Language = None,
    reason: Why = None,
    as_json: AsJson = False,
) -> None:
    """Change an account's role, tenant, name, teams or languages.

    A change that grants more access waits for another admin.
    """
    if tenant and all_tenants:
        raise WrongUsage("Give either --tenant or --all-tenants.")
    described = {"name": name, "teams": team, "languages": language}
    has_access = role is not None or tenant is not None or all_tenants
    if not has_access and not any(described.values()):
        raise WrongUsage("Say what to change: --role, --tenant, --name, --team …")
    with Api() as api:
        found = _of(api, email)
        path = f"/people/{found['id']}"
        if any(described.values()):
            found = api.patch(path, described)
        if has_access:
            kept = NULL if all_tenants else tenant or found["tenant"] or NULL
            body = {"role": role or found["role"], "tenant": kept, "reason": reason}
            found = api.put(f"{path}/access", body)
    _show(found, as_json=as_json)


def disable(email: Email, *, as_json: AsJson = False) -> None:
    """Close an account: its sessions end and its tokens are revoked."""
    _act(email, "disable", {}, as_json=as_json)


def enable(email: Email, *, reason: Why = None, as_json: AsJson = False) -> None:
    """Request that a closed account is opened again.

    Its tokens stay revoked.
    """
    _act(email, "enable", {"reason": reason}, as_json=as_json)


def password(
    email: Email,
    *,
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Remove the password: only OIDC sign-in remains."
        ),
    ] = False,
    reason: Why = None,
    as_json: AsJson = False,
) -> None:
    """Request a new password for another person.

    The password is read from standard input. Once another admin confirms, the person's
    sessions and tokens end, and they may decide again after a day. --remove ends
    sessions and tokens at once.
    """
    new = NULL if remove else _password()
    with Api() as api:
        found = _of(api, email)
        body = {"password": new, "reason": reason}
        done = api.post(f"/people/{found['id']}:password", body)
    _show(done, as_json=as_json)


def tokens(
    email: Annotated[str | None, typer.Argument(help="Whose. Default: yours.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List tokens, without their secrets."""
    with Api() as api:
        found = api.items(_tokens(api, email), most=MOST)
    if as_json:
        output.as_json(list(found))
        return
    names = ("id", "name", "scopes", "used_at", "ends_at", "revoked_at")
    output.table(TOKENS, [[one[name] for name in names] for one in found])


def revoke(
    token: Annotated[str, typer.Argument(help="The token's id, as `tokens` shows it.")],
    *,
    of: Annotated[str | None, typer.Option(help="Whose. Default: yours.")] = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a token and the tokens that were made with it."""
    with Api() as api:
        done = api.delete(f"{_tokens(api, of)}/{token}")
    output.as_json(done) if as_json else output.line(f"Revoked {token}.")


def _act(email: str, verb: str, body: Mapping[str, object], *, as_json: bool) -> None:
    with Api() as api:
        found = _of(api, email)
        _show(api.post(f"/people/{found['id']}:{verb}", body), as_json=as_json)


def _of(api: Api, email: str) -> Item:
    wanted = email.strip().lower()
    for one in api.each("/people"):
        if one["email"] == wanted:
            return one
    raise Ended(
        f"Nobody that you manage has the address {email!r}; see `keyturn user list`."
    )


def _tokens(api: Api, email: str | None) -> str:
    return f"/people/{_of(api, email)['id']}/tokens" if email else "/me/tokens"


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _show(answer: Item, *, as_json: bool) -> None:
    """Show an account, or the change that now waits for another admin."""
    if as_json:
        output.as_json(answer)
    elif "proposed_by" in answer:
        output.line(
            f"Nothing is changed yet: {proposal.what(answer)}. Another admin confirms it with "
            f"keyturn proposal confirm {answer['id']} "
            f"(until {output.moment(answer['ends_at'])})."
        )
    else:
        output.pairs(answer)


def _row(account: Item) -> list[object]:
    return [
        account["name"],
        account["email"],
        f"{account['role']} (service)"
        if account["kind"] == "service"
        else account["role"],
        account["tenant"] or "all",
        account["teams"],
        account["languages"],
        "closed" if account["disabled_at"] else "open",
    ]


_COMMANDS = {
    "list": listing,
    "show": show,
    "invite": invite,
    "change": change,
    "disable": disable,
    "enable": enable,
    "password": password,
    "tokens": tokens,
    "revoke": revoke,
}
