"""Runs started, held and listed by commands through the HTTP API."""

import json
import re
from typing import Any

import pytest

from tests.orchestrator.cli.program import Keyturn, Web
from tests.orchestrator.cli.support_ticket import TICKET

pytestmark = pytest.mark.timeout(600)


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


def test_times_are_shown_without_microseconds(admin: Keyturn) -> None:
    shown = admin("release", "list").out

    assert " UTC" in shown
    assert not re.search(r"\d\d:\d\d\.\d+Z", shown)


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
    assert "stops no run now" in said.err


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
