"""Accounts, sessions and passwords managed by commands through the HTTP API."""

import httpx2
import pytest
from pydantic import JsonValue

from tests.orchestrator.cli.program import Keyturn, Web

pytestmark = pytest.mark.timeout(600)


def test_p11_people_are_managed_by_two(web: Web, admin: Keyturn) -> None:
    invite = ("user", "invite", "eve@example.com", "--name", "Eve", "--role", "agent")
    second = _second_admin(web)

    invited = admin(*invite, "--team", "returns", "-r", "she begins today")
    nobody = admin("user", "show", "eve@example.com")
    [proposal] = second("proposal", "list", "--json").json()
    _confirm(second, proposal)
    shown = admin("user", "show", "eve@example.com", "--json").json()
    changed = admin("user", "change", "eve@example.com", "--language", "de", "--json")
    more = admin("user", "change", "eve@example.com", "--role", "lead", "--json").json()
    _confirm(second, more)
    less = admin("user", "change", "eve@example.com", "--role", "agent", "--json")
    password = admin("user", "password", "eve@example.com", given="a good password\n")
    closed = admin("user", "disable", "eve@example.com", "--json").json()
    words = admin("user", "enable", "eve@example.com", "-r", "She is back.").out
    opened = admin("user", "enable", "eve@example.com", "--json").json()
    listed = admin("user", "list").out

    assert "Nothing is changed yet: open an account for Eve, agent of" in invited.out
    assert (nobody.status, more["kind"]) == (1, "person.access")
    assert proposal["reason"] == "she begins today"
    assert shown["teams"] == ["returns"]
    assert changed.json()["languages"] == ["de"]
    assert less.json()["role"] == "agent"
    assert "Nothing is changed yet: a new password for Eve" in password.out
    assert closed["disabled_at"] is not None
    assert "open the account of Eve again" in words
    assert opened["reason"] == "She is back."
    assert opened["kind"] == "person.access"
    assert "eve@example.com" in listed
    assert "token-" in admin("user", "tokens").out


def test_own_sessions_and_password(web: Web) -> None:
    add = ("user", "add", "own@example.com", "--name", "Own", "--role", "agent")
    web.keyturn(*add, "--password", given="a first password\n")
    token = web.keyturn("user", "token", "own@example.com").out.strip()
    own = web.keyturn.but(KEYTURN_TOKEN=token)
    form = {"email": "own@example.com", "password": "a first password"}
    httpx2.post(f"{web.keyturn.environment['KEYTURN_URL']}/sign-in", data=form)

    seen = own("user", "sessions").out
    ended = own("user", "sign-out", "--everywhere").out
    spent = own("user", "sessions")
    token = web.keyturn("user", "token", "own@example.com").out.strip()
    own = web.keyturn.but(KEYTURN_TOKEN=token)
    left = own("user", "sessions", "--json").json()
    wrong = own("user", "own-password", given="another\na second password\n")
    right = own("user", "own-password", given="a first password\na second password\n")
    last = own("user", "sessions")

    assert "session-" in seen
    assert "Signed out of 1 browser" in ended
    assert "Revoked 1 token" in ended
    assert "was revoked on" in spent.err
    assert left == []
    assert wrong.status == 2
    assert "current password is wrong" in wrong.err
    assert "is changed" in right.out
    assert "was revoked on" in last.err


def test_p11_account_opened_alone_is_seen(web: Web, admin: Keyturn) -> None:
    options = ("--name", "Sue", "--role", "lead", "--tenant", "acme")

    said = web.keyturn("user", "add", "sue@example.com", *options)

    assert said.status == 0, said.err
    assert "critical incident" in said.err
    titles = [one["title"] for one in admin("incident", "list", "--json").json()]
    assert any("an account with the role lead alone" in title for title in titles)


def _confirm(second: Keyturn, proposal: dict[str, JsonValue]) -> None:
    done = second("proposal", "confirm", str(proposal["id"]))
    assert done.status == 0, done.err


def _second_admin(web: Web) -> Keyturn:
    options = ("--name", "Mia", "--role", "admin", "--decides-at-once")
    added = web.keyturn("user", "add", "mia@example.com", *options)
    assert added.status == 0, added.err
    token = web.keyturn("user", "token", "mia@example.com").out.strip()
    return web.keyturn.but(KEYTURN_TOKEN=token)
