"""Switches set, listed and lifted by commands through the HTTP API."""

import json

import pytest

from tests.orchestrator.cli.program import Keyturn, Web
from tests.orchestrator.cli.support_ticket import TICKET

pytestmark = pytest.mark.timeout(600)


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
