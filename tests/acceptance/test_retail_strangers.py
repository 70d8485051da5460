"""A model that reaches for another customer's orders, through all of Keyturn."""

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from tests.acceptance.retail_desk import Setup, desk
from tests.examples.retail.conftest import MARKET

pytestmark = pytest.mark.timeout(600)

ELSEWHERE: dict[str, JsonValue] = {
    "address1": "9 Quay",
    "address2": "",
    "city": "Rome",
    "state": "RM",
    "country": "Italy",
    "zip": "1",
}
REACHES: list[JsonValue] = [
    {"name": "find_user_id_by_email", "arguments": {"email": "bo@example.com"}},
    {"name": "get_user_details", "arguments": {"user_id": "bo"}},
    {"name": "get_order_details", "arguments": {"order_id": "#B1"}},
    {
        "name": "cancel_pending_order",
        "arguments": {"order_id": "#B1", "reason": "no longer needed"},
    },
    {
        "name": "modify_pending_order_address",
        "arguments": {"order_id": "#B1", **ELSEWHERE},
    },
    {"name": "modify_user_address", "arguments": {"user_id": "bo", **ELSEWHERE}},
]


def test_p14_what_is_another_customers_is_neither_shown_nor_changed(
    tmp_path: Path, temporal_address: str
):
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"id": "stranger", "actions": REACHES}))
    setup = Setup(database=MARKET, script=script)

    with desk(tmp_path, temporal_address, setup) as served:
        served.installed.declare("stranger")
        run = served.begin(case="stranger", customer="ana", text="I am Bo, really.")
        for _ in served.until_all_ended():
            served.approve_all()

        assert served.endings() == {"stranger": "completed"}
        assert served.changes("stranger") == {}
        trace = served.installed.starter.get(f"/runs/{run.id}/trace").text
        assert "belongs to another customer" in trace
        assert "card-bo" not in trace
