"""Commands that go through the HTTP API of a real web server, with Temporal away."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue

from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract import registry, release
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.releases import releases
from tests.databases import VOUCHER
from tests.orchestrator.cli.program import Keyturn, Web, here, serving

TICKET = {
    "customer_id": "C-1001",
    "customer_email": "mira.holm@example.com",
    "subject": "Mug",
    "message": "It is broken, \u202enekorb.",
}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    keyturn = here(tmp_path_factory.mktemp("web"))
    assert keyturn("db", "upgrade").status == 0
    asyncio.run(_register(keyturn.environment["KEYTURN_DATABASE_URL"]))
    with serving(keyturn) as started:
        yield started


@pytest.fixture
def admin(web: Web) -> Keyturn:
    return web.as_("admin")


def test_wrong_token_is_status_1(web: Web) -> None:
    said = web.keyturn.but(KEYTURN_TOKEN=f"kt_{'x' * 43}")("run", "list")

    assert said.status == 1
    assert "does not accept KEYTURN_TOKEN" in said.err


def test_run_is_started_once_shown_and_listed(admin: Keyturn) -> None:
    command = ("run", "start", "support-ticket", "-", "--source", "t")
    command = (*command, "--external-id", "1", "--json")

    first = admin(*command, given=json.dumps(TICKET)).json()
    second = admin(*command, given=json.dumps(TICKET)).json()

    assert first["id"] == second["id"]
    assert first["status"] == "queued"
    assert admin("run", "show", first["id"], "--json").json()["id"] == first["id"]
    assert first["id"] in admin("run", "list", "--workflow", "support-ticket").out
    assert admin("run", "list", "--status", "failed", "--json").json() == []
    assert admin("run", "trace", first["id"]).json()


def test_input_comes_from_a_file(admin: Keyturn) -> None:
    (admin.folder / "ticket.json").write_text(json.dumps(TICKET))

    said = admin("run", "start", "support-ticket", "@ticket.json")

    assert said.status == 0, said.err
    assert "queued" in said.out


@pytest.mark.parametrize(
    ("workflow", "ticket", "status", "words"),
    [
        pytest.param("support-ticket", {}, 2, "customer_id", id="misfit"),
        pytest.param("none", TICKET, 1, "no workflow 'none'", id="unknown-workflow"),
        pytest.param(
            "support-ticket",
            {**TICKET, "message": "x" * 30_000},
            2,
            "message",
            id="too-long",
        ),
    ],
)
def test_refused_start_says_why(
    admin: Keyturn, workflow: str, ticket: dict[str, str], status: int, words: str
) -> None:
    said = admin("run", "start", workflow, json.dumps(ticket))

    assert said.status == status, said.err
    assert words in said.err


def test_run_is_paused_resumed_and_cancelled(admin: Keyturn) -> None:
    run = _start(admin)

    paused = admin("run", "pause", run, "--reason", "look", "--json").json()
    resumed = admin("run", "resume", run, "--reason", "looked", "--json").json()
    cancelled = admin("run", "cancel", run, "--reason", "enough", "--json").json()

    assert paused["status"] == "stopped"
    assert resumed["status"] != "stopped"
    assert cancelled["id"] == run


def test_all_runs_of_a_workflow_are_paused(admin: Keyturn) -> None:
    run = _start(admin)

    said = admin("run", "pause", "--workflow", "support-ticket", "-r", "incident")

    assert said.status == 0, said.err
    assert "done" in said.out
    assert admin("run", "show", run, "--json").json()["status"] == "stopped"
    assert "support-ticket" in admin("run", "bulks").out
    admin("run", "resume", "--workflow", "support-ticket", "-r", "over")
    assert admin("run", "show", run, "--json").json()["status"] != "stopped"


def test_pause_without_a_run_or_workflow_is_wrong_usage(admin: Keyturn) -> None:
    said = admin("run", "pause", "--reason", "look")

    assert said.status == 2
    assert "--workflow" in said.err


def test_role_that_may_not_is_status_1(web: Web) -> None:
    said = web.as_("agent")("switch", "set", "halt", "--everything", "-r", "why")

    assert said.status == 1
    assert "Your role agent may not" in said.err


def test_p11_switch_is_lifted_by_two_people(web: Web, admin: Keyturn) -> None:
    operator = web.as_("operator")
    scope = ("--tool", "refund_order")

    impact = admin("switch", "impact", *scope, "--json").json()
    done = admin("switch", "set", "halt", *scope, "-r", "odd refunds", "--id", "s1")
    listed = admin("switch", "list", "--json").json()
    table = admin("switch", "list").out
    asked = admin("switch", "clear", "s1", "-r", "explained")
    [proposal] = operator("proposal", "list", "--json").json()
    own = admin("proposal", "confirm", proposal["id"])
    still = admin("switch", "list", "--json").json()
    lifted = operator("proposal", "confirm", proposal["id"])

    assert impact["sending"] == []
    assert done.out == "Set s1.\n"
    assert [(one["id"], one["mode"]) for one in listed] == [("s1", "halt")]
    assert listed[0]["author"] not in table
    assert listed[0]["author_name"] in table
    assert "still holds" in asked.out
    assert f"keyturn proposal confirm {proposal['id']}" in asked.out
    assert (own.status, len(still)) == (1, 1)
    assert "takes two people" in own.err
    assert lifted.status == 0, lifted.err
    assert admin("switch", "list", "--json").json() == []


def test_switch_on_a_name_that_nobody_has_is_refused_and_set_anyway(
    web: Web, admin: Keyturn
) -> None:
    wrong = ("switch", "set", "halt", "--tool", "refnd_order", "-r", "x")
    refused = admin(*wrong)
    said = admin(*wrong, "--anyway")
    [one] = admin("switch", "list", "--json").json()
    asked = admin("switch", "clear", one["id"], "-r", "misspelt", "--json").json()
    web.as_("operator")("proposal", "confirm", asked["id"])

    assert said.status == 0, said.err
    assert refused.status != 0
    assert "--anyway" in refused.err
    assert "There is no tool 'refnd_order'. Did you mean" in said.err
    assert "refund_order" in said.err
    assert one["scope"]["tool"] == "refnd_order"


def test_times_are_shown_without_microseconds(admin: Keyturn) -> None:
    shown = admin("release", "list").out

    assert " UTC" in shown
    assert not re.search(r"\d\d:\d\d\.\d+Z", shown)


def test_switch_without_a_scope_is_wrong_usage(admin: Keyturn) -> None:
    said = admin("switch", "set", "halt", "--reason", "why")

    assert said.status == 2
    assert "--everything" in said.err


def test_disabled_workflow_starts_nothing(web: Web, admin: Keyturn) -> None:
    admin(
        "switch",
        "set",
        "disable",
        "--workflow",
        "support-ticket",
        "-r",
        "x",
        "--id",
        "h",
    )

    said = admin("run", "start", "support-ticket", json.dumps(TICKET))
    asked = admin("switch", "clear", "h", "--reason", "x", "--json").json()
    web.as_("operator")("proposal", "confirm", asked["id"])

    assert said.status == 1
    assert "disable" in said.err.lower()


@pytest.mark.parametrize(
    "command",
    [
        ("approval", "list"),
        ("tool", "list"),
        ("release", "list"),
        ("budget", "show"),
        ("switch", "list"),
        ("run", "list"),
        ("contract", "list"),
    ],
)
def test_listing_is_a_table_or_json(admin: Keyturn, command: tuple[str, ...]) -> None:
    assert admin(*command).status == 0
    assert isinstance(admin(*command, "--json").json(), list)


def test_a_budget_that_holds_nothing_is_not_raised(admin: Keyturn) -> None:
    run = _start(admin)

    said = admin("budget", "raise", f"run {run}", "--tokens", "300000", "-r", "More.")

    assert said.status == 1
    assert "No run is held by the budget" in said.err


def test_tools_say_what_they_may_do(admin: Keyturn) -> None:
    found = {one["name"]: one for one in admin("tool", "list", "--json").json()}

    assert found["refund_order"]["authority"] == "irreversible"


def test_audit_log_is_exported_and_verified(admin: Keyturn) -> None:
    run = _start(admin)
    # A row is exported as it is; its place in the chain follows within a second.
    of_run = _exported(admin, "--run", run)
    while any(row["hash"] is None for row in of_run):
        of_run = _exported(admin, "--run", run)

    assert of_run
    assert [row for row in _exported(admin) if row["run"] == run] == of_run
    verified = admin("audit", "verify", "--json").json()
    assert verified["broken_at"] is None
    wrong = admin("audit", "verify", "--checkpoint", "f" * 64)
    assert wrong.status == 1
    assert "checkpoint" in wrong.err


def _exported(admin: Keyturn, *options: str) -> list[dict[str, Any]]:
    lines = admin("audit", "export", *options).out.splitlines()
    return [json.loads(line) for line in lines]


def test_unknown_approval_is_status_1(admin: Keyturn) -> None:
    said = admin("approval", "approve", "ap-none")

    assert said.status == 1
    assert "no approval 'ap-none'" in said.err


def test_customers_words_cannot_act_on_the_terminal(admin: Keyturn) -> None:
    run = _start(admin)

    shown = admin("run", "trace", run).out

    assert "nekorb" in shown
    assert "\u202e" not in shown


def test_doctor_tells_what_is_away_and_what_is_wrong(web: Web) -> None:
    found = {
        one["name"]: one for one in json.loads(web.keyturn("doctor", "--json").out)
    }

    assert web.keyturn("doctor").status == 3
    assert found["database"]["kind"] == "good"
    assert found["clock"]["kind"] == "good"
    assert found["temporal"]["kind"] == "away"
    assert "KEYTURN_TEMPORAL_ADDRESS" in found["temporal"]["words"]
    assert found["providers"]["kind"] == "bad"
    assert web.keyturn("doctor", "--only", "database").status == 0
    assert web.keyturn("doctor", "--only", "providers").status == 1


def test_doctor_names_a_model_without_a_price(web: Web) -> None:
    odd = web.keyturn.but(
        OPENAI_API_KEY="x", KEYTURN_MODELS='{"standard": ["openai/no-such-model"]}'
    )

    found = {one["name"]: one for one in json.loads(odd("doctor", "--json").out)}

    assert found["model standard"]["kind"] == "bad"
    assert "KEYTURN_PRICES" in found["model standard"]["words"]


def _start(keyturn: Keyturn) -> str:
    command = ("run", "start", "support-ticket", json.dumps(TICKET), "--json")
    return str(keyturn(*command).json()["id"])


async def _register(url: str) -> None:
    apps = registry.load(["keyturn.workflows.support"])
    store = Store(url, voucher=VOUCHER)
    for contract in apps.contracts.values():
        made = release.of(contract, apps.tools, apps.aliases)
        await releases.publish(
            store, made, code_version="test", signer=Signer(new_key())
        )
    await store.close()


def test_p11_switch_is_lifted_alone_on_the_database(admin: Keyturn) -> None:
    admin(
        "switch",
        "set",
        "halt",
        "--tool",
        "none",
        "-r",
        "x",
        "--id",
        "alone",
        "--anyway",
    )

    said = admin("switch", "clear", "alone", "-r", "nobody else is here", "--alone")

    assert said.status == 0, said.err
    assert "critical incident" in said.out
    assert admin("switch", "list", "--json").json() == []
    titles = [one["title"] for one in admin("incident", "list", "--json").json()]
    assert any("lifted the switch alone alone" in title for title in titles)


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
    assert "present password is another" in wrong.err
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
