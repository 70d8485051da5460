"""The simulator: scripted, labelled, stateless but for the faults that say so."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
import pytest
from jsonschema import validate
from pydantic import BaseModel, Field, JsonValue

from keyturn.activities.llm.errors import ProviderUnavailable
from keyturn.activities.llm.simulator import (
    SimRequest,
    bench,
    call,
    error,
    final,
    first_times,
    running_simulator,
    say,
    script,
)
from keyturn.activities.llm.simulator.minimal import minimal
from keyturn.orchestrator.rules.text.canonical import parse
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from tests.activities.llm.questions import Desk, request


class Line(BaseModel):
    name: str = Field(min_length=20)
    count: int = Field(gt=3, multiple_of=5)


class Order(BaseModel):
    lines: list[Line] = Field(min_length=2)
    status: str = Field(json_schema_extra={"enum": ["open", "closed"]})
    weight: float = Field(ge=0.5)
    note: str | None
    code: str = Field(max_length=3)
    left_out: str = "not required"


CHOICES: dict[str, JsonValue] = {
    "$defs": {"a/b": {"type": "integer", "maximum": -2}},
    "allOf": [
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/a~1b"}}},
        {"required": ["x", "y"], "properties": {"y": {"oneOf": [{"const": 7}]}}},
    ],
}


@pytest.mark.parametrize(
    "schema",
    [Order.model_json_schema(), CHOICES, {"type": "boolean"}, {"type": ["null"]}, {}],
    ids=["model", "choices", "boolean", "null", "anything"],
)
def test_minimal_value_is_valid(schema: dict[str, JsonValue]):
    validate(minimal(schema), schema)


def test_minimal_value_of_a_recursive_schema_ends():
    schema: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"again": {"$ref": "#"}},
        "required": ["again"],
    }

    assert isinstance(minimal(schema), dict)


async def test_unknown_request_gets_a_valid_scripted_object(desk: Desk, provider: str):
    asked = request(output_schema=Order.model_json_schema())

    reply = await desk.send(provider, lambda _: None, asked)

    output = parse(reply.text)
    validate(output, Order.model_json_schema())
    assert "scripted reply" in reply.text


async def test_unknown_request_without_schema_is_told_that_it_is_scripted(
    desk: Desk, provider: str
):
    reply = await desk.send(provider, lambda _: None, request())

    assert "scripted reply" in reply.text


async def test_bench_counts_on_through_a_windowed_transcript(desk: Desk, provider: str):
    marker = UserMessage(text="bench:5:look")
    window: list[Message] = []
    asked: list[JsonValue] = []

    while calls := (await desk.send(provider, bench, request(marker, *window))).calls:
        [one] = calls
        asked.append(parse(one.arguments))
        # Only the latest turn survives.
        window = [
            AssistantMessage(calls=(one,)),
            ToolMessage(call_id=one.id, text="seen"),
        ]

    assert asked == [{"n": n} for n in range(1, 6)]


async def test_script_steps_on_with_each_tool_result(desk: Desk, provider: str):
    scenario = script(call("look", {"at": 1}), final({"done": True}))
    answered = (
        UserMessage(text="go"),
        AssistantMessage(calls=(ToolCall(id="a", name="look", arguments="{}"),)),
        ToolMessage(call_id="a", text="a key"),
    )

    first = await desk.send(provider, scenario, request())
    second = await desk.send(provider, scenario, request(*answered))

    assert first.calls[0].name == "look"
    assert parse(second.text) == {"done": True}


async def test_fault_happens_the_first_times_of_each_key(desk: Desk, provider: str):
    scenario = first_times(
        2, error(500), script(say("fine")), key=lambda asked: asked.user_texts[0]
    )
    answers: list[str] = []
    for words in ("one", "one", "two", "one"):
        try:
            reply = await desk.send(
                provider, scenario, request(UserMessage(text=words))
            )
            answers.append(reply.text)
        except ProviderUnavailable:
            answers.append("500")

    assert answers == ["500", "500", "500", "fine"]


async def test_fault_does_not_count_requests_of_others(desk: Desk):
    mine = script(say("mine"), when=lambda asked: asked.mentions("mine"))
    scenario = first_times(1, error(500), mine)

    other = await desk.send("openai", scenario, request(UserMessage(text="hers")))
    with pytest.raises(ProviderUnavailable):
        await desk.send("openai", scenario, request(UserMessage(text="mine")))

    assert "scripted reply" in other.text


async def test_results_pair_with_the_calls_just_before_where_ids_repeat(
    desk: Desk, provider: str
):
    unanswered = ToolCall(id="same", name="forget", arguments="{}")
    turns: list[Message] = [
        UserMessage(text="go"),
        AssistantMessage(calls=(unanswered,)),
        UserMessage(text="never mind"),
    ]
    for at in (1, 2):
        asked = ToolCall(id="same", name="look", arguments=json.dumps({"at": at}))
        turns += [
            AssistantMessage(calls=(asked,)),
            ToolMessage(call_id="same", text=f'{{"found": {at}}}'),
        ]

    await desk.send(provider, say("ok"), request(*turns))

    seen: SimRequest = desk.seen[0]
    assert [(r.arguments, r.json()) for r in seen.results] == [
        ({"at": 1}, {"found": 1}),
        ({"at": 2}, {"found": 2}),
    ]


async def test_every_answer_is_labelled_as_scripted(desk: Desk):
    async with httpx2.AsyncClient(base_url=desk.url) as client:
        answer = await client.post("/v1/messages", json={"model": "m", "messages": []})

    assert "no model was asked" in answer.headers["x-simulated"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"stream": true}', b"\xff"])
async def test_request_that_it_cannot_play_is_a_400(desk: Desk, body: bytes):
    async with httpx2.AsyncClient(base_url=desk.url) as client:
        answer = await client.post("/v1/chat/completions", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_two_simulators_run_side_by_side():
    async with running_simulator() as one, running_simulator() as other:
        assert one != other
        async with httpx2.AsyncClient() as client:
            for url in (one, other):
                assert (await client.get(f"{url}/healthz")).json()["simulator"]


def polite(asked: SimRequest):
    """A scenario that the program below loads by its path."""
    return say("After you.") if asked.mentions("door") else None


def test_program_prints_its_address_and_plays_the_scenarios_named():
    with program("--scenario", f"{__name__}:polite") as addresses:
        url = f"{addresses['openai_base_url']}/chat/completions"
        door: JsonValue = {
            "model": "m",
            "messages": [{"role": "user", "content": "the door"}],
        }
        marked: JsonValue = {"model": "bench:1:look", "messages": []}

        answers = [httpx2.post(url, json=body).json() for body in (door, marked)]

    messages = [answer["choices"][0]["message"] for answer in answers]
    assert messages[0]["content"] == "After you."
    assert messages[1]["tool_calls"][0]["function"]["name"] == "look"


def test_program_names_a_scenario_that_is_not_there():
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "keyturn.activities.llm.simulator",
            "--scenario",
            "json:nope",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "no scenario at 'json:nope'" in ended.stderr


@contextmanager
def program(*arguments: str) -> Generator[dict[str, str]]:
    command = [sys.executable, "-m", "keyturn.activities.llm.simulator", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        try:
            yield json.loads(started.stdout.readline())
        finally:
            started.terminate()
