"""What a provider may do, good or bad, seen through its adapter and the real SDK."""

import pytest
from pydantic import JsonValue

from keyturn.activities.llm.simulator import (
    SimRequest,
    blocked,
    call,
    calls,
    final,
    malformed,
    refuse,
    say,
    truncate,
)
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text.canonical import parse
from keyturn.orchestrator.rules.text.transcript import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    Usage,
    UserMessage,
)
from tests.activities.llm.questions import Desk, request

SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


async def test_words_end_the_turn(desk: Desk, provider: str):
    reply = await desk.ask(provider, say("Good day."))

    assert reply.text == "Good day."
    assert reply.stop == "end"
    assert reply.calls == ()
    assert reply.model == "gpt-4o-mini"
    assert isinstance(reply.usage, Usage)
    assert reply.request_id


async def test_parallel_calls_come_in_order(desk: Desk, provider: str):
    reply = await desk.ask(
        provider, calls([("look", {"at": 1}), ("look", {"at": 2}), ("find", {})])
    )

    assert [(c.name, parse(c.arguments)) for c in reply.calls] == [
        ("look", {"at": 1}),
        ("look", {"at": 2}),
        ("find", {}),
    ]
    assert reply.stop == "calls"


async def test_repeated_ids_stay_two_calls(desk: Desk, provider: str):
    reply = await desk.ask(
        provider, calls([("look", {"at": 1}), ("find", {})], ids=["same", "same"])
    )

    assert [(c.id, c.name) for c in reply.calls] == [("same", "look"), ("same", "find")]


async def test_words_beside_a_call_are_kept(desk: Desk, provider: str):
    reply = await desk.ask(provider, call("look", {}, text="Let me look."))

    assert reply.text == "Let me look."
    assert len(reply.calls) == 1


async def test_refusal_is_told_apart(desk: Desk, provider: str):
    reply = await desk.ask(provider, refuse("I will not."))

    assert reply.stop == "refusal"
    assert reply.refusal == "I will not."


async def test_content_filter_ends_without_words(desk: Desk):
    reply = await desk.ask("openai", blocked())

    assert reply.stop == "filter"
    assert reply.text == ""


async def test_truncation_is_told_apart(desk: Desk, provider: str):
    reply = await desk.ask(provider, truncate("It was a dark and"))

    assert reply.stop == "length"
    assert reply.text == "It was a dark and"
    assert reply.usage
    assert reply.usage.output_tokens == 100


@pytest.mark.parametrize("sent", ['{"at":', '{"at": 1, "at": 2}', '{"at": NaN}', "[1]"])
async def test_malformed_arguments_pass_as_sent(desk: Desk, sent: str):
    reply = await desk.ask("openai", malformed("look", sent))

    assert reply.calls[0].arguments == sent


@pytest.mark.parametrize("sent", ['{"at": 1, "at": 2}', '{"at": NaN}'])
async def test_malformed_input_reaches_the_strict_parse(desk: Desk, sent: str):
    reply = await desk.ask("anthropic", malformed("look", sent))

    assert reply.calls[0].arguments == sent
    with pytest.raises(MalformedJson):
        parse(reply.calls[0].arguments)


async def test_input_that_is_no_object_passes_as_sent(desk: Desk):
    reply = await desk.ask("anthropic", malformed("look", '{"at":'))

    assert parse(reply.calls[0].arguments) == '{"at":'


async def test_unknown_tool_passes_through(desk: Desk, provider: str):
    reply = await desk.ask(provider, call("launch_rocket", {"now": True}))

    assert reply.calls[0].name == "launch_rocket"


async def test_structured_output_is_asked_for(desk: Desk, provider: str):
    asked = request(output_schema=SCHEMA)

    reply = await desk.send(provider, final({"answer": "yes"}), asked)

    assert parse(reply.text) == {"answer": "yes"}
    assert desk.seen[0].output_schema == SCHEMA


async def test_history_arrives_as_it_was(desk: Desk, provider: str):
    history = (
        UserMessage(text="Where is it?"),
        AssistantMessage(
            text="Looking.",
            calls=(
                ToolCall(id="a", name="look", arguments='{"at":1}'),
                ToolCall(id="b", name="look", arguments='{"at":2}'),
            ),
        ),
        ToolMessage(call_id="a", text="nothing", is_error=True),
        ToolMessage(call_id="b", text="a key"),
        UserMessage(text="And now?"),
    )

    await desk.send(provider, say("Here."), request(*history))

    [seen] = desk.seen
    assert seen.user_texts == ("Where is it?", "And now?")
    assert [(r.name, r.arguments, r.text) for r in seen.results] == [
        ("look", {"at": 1}, "nothing"),
        ("look", {"at": 2}, "a key"),
    ]
    assert [c.id for c in seen.calls] == ["a", "b"]
    assert list(seen.tools) == ["look"]
    assert seen.max_output_tokens == 100


async def test_broken_arguments_of_the_past_are_sent_wrapped(desk: Desk, provider: str):
    history = (
        UserMessage(text="Go."),
        AssistantMessage(calls=(ToolCall(id="a", name="look", arguments='{"at":'),)),
        ToolMessage(call_id="a", text="The arguments are not JSON.", is_error=True),
    )

    await desk.send(provider, say("Sorry."), request(*history))

    [result] = desk.seen[0].results
    assert result.arguments == {"$malformed": '{"at":'}


async def test_errors_of_tools_are_marked_for_anthropic(desk: Desk):
    history = (
        UserMessage(text="Go."),
        AssistantMessage(calls=(ToolCall(id="a", name="look", arguments="{}"),)),
        ToolMessage(call_id="a", text="no", is_error=True),
    )

    await desk.send("anthropic", say("Sorry."), request(*history))

    assert desk.seen[0].results[0].is_error


async def test_next_turn_follows_from_the_results(desk: Desk, provider: str):
    def scenario(asked: SimRequest):
        return say("done") if asked.results else call("look", {"at": 1})

    first = await desk.send(provider, scenario, request())
    answered = (
        UserMessage(text="hello"),
        AssistantMessage(text=first.text, calls=first.calls),
        ToolMessage(call_id=first.calls[0].id, text="a key"),
    )
    second = await desk.send(provider, scenario, request(*answered))

    assert second.text == "done"
