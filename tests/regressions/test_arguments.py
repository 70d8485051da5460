"""Arguments shown differ from arguments run: as each provider's bytes are parsed."""

import json

import pytest

from keyturn.activities import reply as activities_reply
from keyturn.activities.llm.anthropic.reply import parse_message
from keyturn.activities.llm.openai.reply import parse_chat
from keyturn.activities.reply import Checked, Invalid
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract.release import Release, of
from keyturn.orchestrator.rules.text import canonical
from tests.regressions.test_engine import spelled

ONE_FORM = (
    '{"amount":{"amount":5000,"currency":"USD"},"order_id":"ORDER","reason":"late"}'
)


def _chat(arguments: str) -> str:
    """A chat completion: the arguments are a text within it."""
    called = {"name": "refund", "arguments": arguments}
    message = {"tool_calls": [{"id": "c1", "type": "function", "function": called}]}
    return json.dumps(
        {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    )


def _message(arguments: str) -> str:
    """A message: the arguments are a part of it."""
    block = (
        f'{{"type": "tool_use", "id": "c1", "name": "refund", "input": {arguments}}}'
    )
    return f'{{"content": [{block}], "stop_reason": "tool_use"}}'


@pytest.fixture(scope="module")
def release() -> Release:
    found = registry.load(["tests.apps.desk"])
    return of(found.contracts["desk"], dict(found.tools), found.aliases)


def _checked(wire: str, arguments: str, release: Release) -> Checked | Invalid:
    reply = (
        parse_chat(_chat(arguments))
        if wire == "openai"
        else parse_message(_message(arguments))
    )
    return activities_reply.check(reply, release, release.output_schema)


each_wire = pytest.mark.parametrize("wire", ["openai", "anthropic"])


@each_wire
@pytest.mark.parametrize(
    "written",
    [
        spelled("5000"),
        spelled("5e3"),
        spelled("5E+3"),
        spelled("5000.00"),
        spelled("50.00e2"),
        spelled("5000", "\\u006cate"),
        ONE_FORM,
    ],
)
def test_one_meaning_has_one_form_whatever_way_it_is_written(
    wire: str, written: str, release: Release
) -> None:
    found = _checked(wire, written, release)

    assert isinstance(found, Checked)
    assert [one.arguments for one in found.calls] == [ONE_FORM]


@each_wire
def test_look_alikes_stay_apart(wire: str, release: Release) -> None:
    latin, cyrillic = (
        _checked(wire, spelled("5000", reason), release) for reason in ("a", "\u0430")
    )

    assert isinstance(latin, Checked)
    assert isinstance(cyrillic, Checked)
    forms = [canonical.digest(one.calls[0].arguments) for one in (latin, cyrillic)]
    assert forms[0] != forms[1]


@each_wire
@pytest.mark.parametrize(
    "written",
    [
        ONE_FORM.replace('"order_id"', '"order_id":"O-2","order_id"'),
        ONE_FORM.replace('"amount":5000', '"amount":1,"amount":5000'),
        ONE_FORM.replace('"order_id"', '"order\\u005fid":"O-2","order_id"'),
        spelled("NaN"),
        spelled("1e400"),
        spelled("9007199254740993"),
        spelled("50.5"),
    ],
    ids=["twice", "inside", "escaped", "nan", "endless", "inexact", "fraction"],
)
def test_what_two_parsers_read_differently_is_refused(
    wire: str, written: str, release: Release
) -> None:
    found = _checked(wire, written, release)

    assert isinstance(found, Invalid)
