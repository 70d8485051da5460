"""`keyturn user sessions`, `own-password` …: one's own account, through the API."""

import sys
from typing import Annotated

import typer

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.cli.api import Api
from keyturn.orchestrator.cli.arguments import AsJson
from keyturn.orchestrator.processes.exit_status import WrongUsage

SESSIONS = ("Session", "By", "From", "Browser", "Began", "Last seen", "Ends")
MOST = 1_000


def add_to(app: typer.Typer) -> None:
    """Add these commands to `keyturn user`."""
    app.command("sessions")(sessions)
    app.command("sign-out")(sign_out)
    app.command("own-password")(own_password)


def sessions(*, as_json: AsJson = False) -> None:
    """List the browsers in which you are signed in."""
    with Api() as api:
        found = api.items("/me/sessions", most=MOST)
    if as_json:
        output.as_json(list(found))
        return
    names = ("id", "method", "address", "browser", "created_at", "seen_at", "ends_at")
    output.table(SESSIONS, [[one[name] for name in names] for one in found])


def sign_out(
    session: Annotated[
        str | None, typer.Argument(help="The session's id, as `sessions` shows it.")
    ] = None,
    *,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="All your browsers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign out of one browser, or of all.

    --everywhere also revokes all your tokens, including the one that this command uses.
    """
    if (session is None) is not everywhere:
        raise WrongUsage("Give either a session's id or --everywhere.")
    with Api() as api:
        done = (
            api.post("/me/sessions:end", {})
            if session is None
            else api.delete(f"/me/sessions/{session}")
        )
    if as_json:
        output.as_json(done)
        return
    output.line(f"Signed out of {done['ended']} browser(s).")
    if everywhere:
        output.line(
            f"Revoked {done['tokens']} token(s), among them the one that this command "
            "used: sign in at /settings and make another one."
        )


def own_password(*, as_json: AsJson = False) -> None:
    """Change your password.

    This signs out all your browsers and revokes all your tokens, including the one that
    this command uses.

    Reads the present and the new password from standard input, one line each.
    """
    old, new = _passwords()
    with Api() as api:
        left = api.post("/me:password", {"old": old, "new": new})
    if as_json:
        output.as_json(left)
        return
    output.line(
        "Your password is changed, and all your tokens are revoked. Sign in again in "
        "your browsers, and make new tokens at /settings."
    )


def _passwords() -> tuple[str, str]:
    if sys.stdin.isatty():
        old = typer.prompt("Present password", hide_input=True)
        new = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
        return str(old), str(new)
    lines = [sys.stdin.readline().rstrip("\n") for _ in range(2)]
    return lines[0], lines[1]
