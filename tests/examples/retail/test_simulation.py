"""The scripted model: stateless, one call a turn, and silent about other requests."""

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from examples.retail.simulation import play
from keyturn.activities.llm.simulator import SimRequest
from keyturn.activities.llm.simulator.openai_wire import OpenAIReader
from keyturn.activities.llm.simulator.step import Answer

CASE: dict[str, JsonValue] = {
    "id": "case-1",
    "actions": [
        {"name": "get_order_details", "arguments": {"order_id": "#A1"}},
        {"name": "transfer_to_human_agents", "arguments": {"summary": "Help."}},
    ],
}


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "cases.jsonl"
    longer = {**CASE, "id": "case-10", "actions": []}
    path.write_text(f"{json.dumps(CASE)}\n{json.dumps(longer)}\n")
    monkeypatch.setenv("RETAIL_CASES", str(path))


def request(results: int, ticket: str = "case-1", *, fail: bool = False) -> SimRequest:
    opening = f'<input>\n{{"text":"Hi","ticket":"{ticket}","user_id":"ana"}}\n</input>'
    messages: list[JsonValue] = [{"role": "user", "content": opening}]
    words = "Order not found" if fail else "{}"
    for turn in range(results):
        call: JsonValue = {
            "id": f"call_{turn}",
            "type": "function",
            "function": {"name": "get_order_details", "arguments": "{}"},
        }
        messages.append({"role": "assistant", "tool_calls": [call]})
        told = {"role": "tool", "tool_call_id": f"call_{turn}", "content": words}
        messages.append({**told})
    return SimRequest({"model": "m", "messages": messages}, {}, OpenAIReader())


def asked(request: SimRequest) -> list[str]:
    step = play(request)
    assert isinstance(step, Answer)
    return [call.name for call in step.calls]


def test_next_call_follows_from_the_results_alone():
    assert asked(request(0)) == ["get_order_details"]
    assert asked(request(1)) == ["transfer_to_human_agents"]
    assert asked(request(0)) == ["get_order_details"]


def test_a_failed_call_counts_and_the_case_goes_on():
    assert asked(request(1, fail=True)) == ["transfer_to_human_agents"]


def test_after_the_last_call_comes_the_final_answer():
    step = play(request(2))

    assert isinstance(step, Answer)
    assert json.loads(step.text)["summary"].startswith("Scripted.")


def test_ids_that_begin_alike_are_told_apart():
    assert asked(request(0, "case-10")) == []


def test_other_requests_are_left_to_others():
    assert play(request(0, "no-case")) is None


def test_without_a_file_of_cases_nothing_is_played(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RETAIL_CASES")

    assert play(request(0)) is None
