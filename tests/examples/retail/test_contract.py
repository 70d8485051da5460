"""What the retail desk may do by itself, what it asks, and what no model sees."""

import pytest
from pydantic import JsonValue

from examples.retail import tools
from examples.retail.answers import Customer
from examples.retail.contracts import ALLOWED, ASKS, READS, RETAIL
from keyturn import Money, Tool
from keyturn.orchestrator.rules.contract.check import check
from keyturn.orchestrator.rules.contract.registry import load
from keyturn.orchestrator.rules.contract.tool import DATA_CLASS_KEY
from keyturn.orchestrator.rules.policy.rules import Action, judge
from keyturn.orchestrator.rules.text.redaction import drop

TOOLS = {tool.name: tool for tool in vars(tools).values() if isinstance(tool, Tool)}


def test_application_is_loaded_by_its_import_path():
    registry = load(["examples.retail"])

    assert registry.contracts["retail-desk"] is RETAIL
    assert registry.workflows["retail-desk"].__name__ == "RetailDesk"
    assert set(RETAIL.tools) <= set(registry.tools)


def test_contract_is_right_and_grants_every_tool():
    check(RETAIL, TOOLS)

    assert set(RETAIL.tools) == set(TOOLS)
    assert len(TOOLS) == 16


@pytest.mark.parametrize("name", ASKS)
def test_what_cannot_be_taken_back_asks_a_person(name: str):
    dear = Action(tool=name, arguments={}, money=Money(9_715_41, "USD"))

    verdict = judge(RETAIL.rules, dear)

    assert TOOLS[name].authority == "irreversible"
    assert TOOLS[name].subject == "order_id"
    assert (verdict.kind, verdict.approvers) == ("ask", 1)


@pytest.mark.parametrize("name", ALLOWED)
def test_what_can_be_put_right_is_done_at_once(name: str):
    assert TOOLS[name].authority == "write"
    assert judge(RETAIL.rules, Action(tool=name, arguments={})).kind == "allow"


@pytest.mark.parametrize(
    "name", ["modify_user_address", "modify_pending_order_address"]
)
def test_an_address_may_change_twice_without_a_person(name: str):
    assert TOOLS[name].subject is None


@pytest.mark.parametrize("name", READS)
def test_reads_need_no_rule(name: str):
    assert TOOLS[name].authority == "read_only"


@pytest.mark.parametrize("name", [*ALLOWED, *ASKS])
def test_every_change_is_sent_under_a_key_that_the_shop_honours(name: str):
    assert TOOLS[name].idempotency_window is not None


def test_p12_no_model_sees_what_identifies_a_card():
    schema = Customer.model_json_schema()
    card: JsonValue = {"id": "card-ana", "source": "credit_card", "last_four": "1111"}
    told: JsonValue = {"payment_methods": {"card-ana": card}}

    seen = drop(told, schema, RETAIL.never_sees)

    assert DATA_CLASS_KEY in str(schema)
    assert "1111" not in str(seen)
    assert "card-ana" in str(seen)
