"""Bodies of any shape: a reply or `MalformedReply`, nothing else."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.activities.llm.anthropic.reply import parse_message
from keyturn.activities.llm.errors import MalformedReply
from keyturn.activities.llm.openai.reply import parse_chat
from keyturn.activities.llm.wire import json_slice
from keyturn.activities.llm.wire.past_calls import arguments_object, arguments_text
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text.canonical import parse
from keyturn.orchestrator.rules.text.transcript import ModelReply

Parser = Callable[[bytes | str], ModelReply]

KNOWN_KEYS = st.sampled_from(
    [
        *("choices", "message", "content", "tool_calls", "function", "name", "id"),
        *("arguments", "refusal", "finish_reason", "usage", "prompt_tokens", "error"),
        *("completion_tokens", "type", "text", "input", "stop_reason", "model", "code"),
        *("input_tokens", "output_tokens", "index", "delta", "content_block"),
    ]
)
KNOWN_WORDS = st.sampled_from(
    ["tool_use", "text", "stop", "tool_calls", "length", "refusal", "content_filter"]
)
WORDS = st.text(st.characters(exclude_categories=()), max_size=8) | KNOWN_WORDS
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KNOWN_KEYS | WORDS, inner, max_size=6)
    ),
    max_leaves=25,
)

each_parser = pytest.mark.parametrize("parser", [parse_chat, parse_message])


@each_parser
@given(value=VALUES)
def test_any_json_gives_a_reply_or_malformed(parser: Parser, value: object):
    reads(parser, json.dumps(value))


@each_parser
@given(value=VALUES)
def test_any_answer_like_json_gives_a_reply(parser: Parser, value: object):
    choice = {"choices": [value], "content": [value], "usage": value}
    message = {"choices": [{"message": value}], "content": value}

    assert isinstance(parser(json.dumps(choice)), ModelReply)
    assert isinstance(parser(json.dumps(message)), ModelReply)


@each_parser
@given(body=st.binary())
def test_any_bytes_give_a_reply_or_malformed(parser: Parser, body: bytes):
    reads(parser, body)


@each_parser
@given(events=st.lists(VALUES, max_size=4))
def test_any_event_stream_gives_a_reply(parser: Parser, events: list[object]):
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)

    reads(parser, f": hello\n\n{stream}data: [DONE]\n\n")


def reads(parser: Parser, body: bytes | str) -> None:
    try:
        reply = parser(body)
    except MalformedReply:
        return
    reply.model_dump_json().encode()


def test_input_is_the_exact_text():
    sent = '{ "a" : 1.10, "b": "\\u00e9", "a": 2 }'

    reply = parse_message(message_with_input(sent))

    assert reply.calls[0].arguments == sent


def test_call_without_input_has_no_arguments():
    body = '{"content": [{"type": "tool_use", "id": "a", "name": "look"}]}'

    assert parse_message(body).calls[0].arguments == "{}"


def test_lone_surrogate_in_arguments_is_refused_by_the_strict_parse():
    arguments = '{"a": "\\ud83d"}'
    twice_escaped = json.dumps(arguments)
    once_escaped = '"{\\"a\\": \\"\\ud83d\\"}"'

    for sent in (twice_escaped, once_escaped):
        [call] = parse_chat(chat_with_arguments(sent)).calls
        call.arguments.encode()
        with pytest.raises(MalformedJson):
            parse(call.arguments)


def test_lone_surrogate_in_words_is_replaced():
    body = (
        '{"choices": [{"message": {"content": "a\\ud83d"}, "finish_reason": "stop"}]}'
    )

    assert parse_chat(body).text == "a\ufffd"


@pytest.mark.parametrize(
    ("sent", "text"),
    [('{"a": 1}', '{"a": 1}'), ("null", "{}"), ('""', ""), ('"{"', "{")],
    ids=["object", "null", "empty", "broken"],
)
def test_chat_arguments_are_raw_text(sent: str, text: str):
    assert parse_chat(chat_with_arguments(sent)).calls[0].arguments == text


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ("{}", False),
        ('{"prompt_tokens": 1}', False),
        ('{"prompt_tokens": true, "completion_tokens": 1}', False),
        ('{"prompt_tokens": -1, "completion_tokens": 1}', False),
        ('{"prompt_tokens": 0, "completion_tokens": 1}', True),
    ],
)
def test_usage_that_is_not_whole_is_none(usage: str, *, counted: bool):
    assert (parse_chat(f'{{"usage": {usage}}}').usage is not None) is counted


def test_cached_tokens_are_counted_beside_the_input():
    body = (
        '{"usage": {"input_tokens": 3, "output_tokens": 5, '
        '"cache_read_input_tokens": 7, "cache_creation_input_tokens": 11}}'
    )

    usage = parse_message(body).usage

    assert usage
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (7, 11)


@pytest.mark.parametrize(
    ("finish", "message", "stop"),
    [
        ('"stop"', '{"content": "a"}', "end"),
        ('""', '{"content": "a"}', "end"),
        ('""', "{}", "other"),
        ("null", '{"content": "a"}', "end"),
        ('"STOP"', '{"content": "a"}', "end"),
        ('"MAX_TOKENS"', '{"content": "a"}', "length"),
        ('"SAFETY"', '{"content": "a"}', "filter"),
        ('"error"', '{"content": "a"}', "other"),
        ('"tool_calls"', "{}", "other"),
        ('"length"', '{"refusal": "no"}', "length"),
        ('"stop"', '{"refusal": "no"}', "refusal"),
        ('"new_word"', '{"content": "a"}', "other"),
        ('"stop"', '{"tool_calls": [{"function": {"name": "a"}}]}', "calls"),
        ('"new_word"', '{"tool_calls": [{"function": {"name": "a"}}]}', "other"),
    ],
)
def test_stop_is_read_with_what_came(finish: str, message: str, stop: str):
    body = f'{{"choices": [{{"finish_reason": {finish}, "message": {message}}}]}}'

    assert parse_chat(body).stop == stop


def test_content_in_parts_is_joined():
    parts = '[{"type": "thinking"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]'

    assert (
        parse_chat(f'{{"choices": [{{"message": {{"content": {parts}}}}}]}}').text
        == "ab"
    )


@given(value=st.dictionaries(WORDS, VALUES, max_size=5), indent=st.none() | st.just(2))
def test_slices_are_the_values(value: dict[str, object], indent: int | None):
    document = json.dumps(value, indent=indent)

    for key, expected in value.items():
        span = json_slice.member(document, json_slice.root(document), key)

        assert span
        assert json.dumps(json.loads(span.of(document))) == json.dumps(expected)


@given(values=st.lists(VALUES, max_size=5), indent=st.none() | st.just(2))
def test_slices_of_an_array_are_its_elements(values: list[object], indent: int | None):
    document = json.dumps(values, indent=indent)
    spans = json_slice.elements(document, json_slice.root(document))

    assert [json.dumps(json.loads(span.of(document))) for span in spans] == [
        json.dumps(value) for value in values
    ]


@given(text=st.text() | VALUES.map(json.dumps))
def test_past_arguments_are_always_a_sendable_object(text: str):
    sent = arguments_text(text)

    json.dumps(arguments_object(text), allow_nan=False, ensure_ascii=False).encode()
    assert isinstance(json.loads(sent), dict)


def chat_with_arguments(sent: str) -> str:
    call = f'{{"id": "a", "function": {{"name": "look", "arguments": {sent}}}}}'
    return f'{{"choices": [{{"message": {{"tool_calls": [{call}]}}}}]}}'


def message_with_input(sent: str) -> str:
    call = f'{{"type": "tool_use", "id": "a", "input": {{}}, "name": "look", "input":{sent} }}'
    return f'{{"content": [ {{"type":"text","text":"x"}} , {call} ], "stop_reason": "tool_use"}}'
