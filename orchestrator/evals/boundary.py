"""Attacks an application's tools with other customers' ids (P14), for its own tests.

breaches = await attack(Boundary(tools=…, connectors=…, customer="C-1", …))
assert breaches == []

Run it against a service made for tests: calls that a tool permits are really made.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from pydantic import BaseModel, JsonValue

from keyturn.activities.toolbox import Actor, ConnectorSource
from keyturn.orchestrator.rules.contract.tool import Tool, ToolContext, ToolError
from keyturn.orchestrator.rules.text import canonical, json_object

Arguments = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Boundary:
    """One customer, their own objects, and those of others.

    `calls` has arguments for each tool that work for this customer. `others` lists for
    each of the customer's own values in them the values of other people that an
    attacker would put in its place: `{"O-1": ["O-2"], "C-1": ["C-2"]}`. `secrets` are
    words of other people's records, which no answer and no error may contain.
    """

    tools: Mapping[str, Tool]
    connectors: ConnectorSource
    customer: str
    calls: Mapping[str, Arguments]
    others: Mapping[str, Sequence[str]]
    secrets: Collection[str] = ()
    tenant: str = "default"
    contact: str | None = None


@dataclass(frozen=True)
class Breach:
    """A tool's failure: which part of it, with which arguments, and what it did."""

    tool: str
    part: str
    arguments: Arguments
    what: str

    def __str__(self) -> str:
        """Return it as a test's failure shows it."""
        asked = canonical.text(dict(self.arguments))
        return f"{self.tool} ({self.part}) asked with {asked}: {self.what}"


async def attack(boundary: Boundary) -> list[Breach]:
    """Return every way in which a tool served somebody else; an empty list is a pass.

    A tool passes where its function, preview, money and reconcile each refuse another
    customer's object with `ToolError`, in words that tell nothing of it. Tools without
    a call that works are reported too: an attack on them would prove nothing.
    """
    found: list[Breach] = []
    for name, tool in boundary.tools.items():
        if name not in boundary.calls:
            words = "`calls` has no call of the customer to start from"
            found.append(Breach(name, "function", {}, words))
            continue
        own = boundary.calls[name]
        for stolen in _stolen(own, boundary.others):
            found += await _attack_one(boundary, tool, stolen)
        found += await _check_honest(boundary, tool, own)
    return found


async def _attack_one(
    boundary: Boundary, tool: Tool, arguments: Arguments
) -> list[Breach]:
    found: list[Breach] = []
    for part, act in _parts(boundary, tool, arguments):
        what = await _try(act, boundary.secrets)
        if what is not None:
            found.append(Breach(tool.name, part, arguments, what))
    return found


async def _check_honest(boundary: Boundary, tool: Tool, own: Arguments) -> list[Breach]:
    """Report a call of the customer's own that fails, or shows others' secrets."""
    try:
        answer = await tool.function(_parsed(tool, own), _context(boundary, tool))
    except Exception as error:  # noqa: BLE001 any exception is a finding, and is reported
        words = f"the customer's own call does not work, so it proves nothing: {error}"
        return [Breach(tool.name, "function", own, words)]
    leaked = _leaked(answer.model_dump_json(), boundary.secrets)
    if leaked:
        return [Breach(tool.name, "function", own, f"its answer tells {leaked!r}")]
    return []


def _parts(
    boundary: Boundary, tool: Tool, arguments: Arguments
) -> Iterator[tuple[str, Callable[[], Awaitable[object]]]]:
    context = _context(boundary, tool)
    reading = _context(boundary, tool, may_write=False)
    call = _parsed(tool, arguments)
    yield "function", lambda: tool.function(call, context)
    preview, money, look_up = tool.preview, tool.money, tool.reconcile
    if preview is not None:
        yield "preview", lambda: preview(call, reading)
    if money is not None and not isinstance(money, str):
        yield "money", lambda: money(call, reading)
    if look_up is not None:
        yield "reconcile", lambda: look_up(call, context)


async def _try(
    act: Callable[[], Awaitable[object]], secrets: Collection[str]
) -> str | None:
    """Return what went wrong, or None where the call was correctly refused."""
    try:
        answer = await act()
    except ToolError as error:
        leaked = _leaked(str(error), secrets)
        return f"its refusal tells {leaked!r}" if leaked else None
    except Exception as error:  # noqa: BLE001 any exception is a finding, and is reported
        return f"it failed instead of refusing with ToolError: {error!r}"
    if answer is None:
        return None
    return f"it answered {_shown(answer)}"


def _stolen(own: Arguments, others: Mapping[str, Sequence[str]]) -> Iterator[Arguments]:
    """Yield the arguments, each time with one of the customer's values replaced."""
    whole: JsonValue = dict(own)
    for path, value in _strings(whole, ()):
        for other in others.get(value, ()):
            yield json_object.of(_replaced(whole, path, other))


def _strings(
    value: JsonValue, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for name, one in value.items():
                yield from _strings(one, (*path, name))
        case list():
            for index, one in enumerate(value):
                yield from _strings(one, (*path, index))
        case _:
            return


def _replaced(
    value: JsonValue, path: tuple[str | int, ...], other: JsonValue
) -> JsonValue:
    if not path:
        return other
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {
            k: _replaced(v, rest, other) if k == first else v for k, v in value.items()
        }
    if isinstance(value, list):
        return [
            _replaced(v, rest, other) if i == first else v for i, v in enumerate(value)
        ]
    return value


def _context(boundary: Boundary, tool: Tool, *, may_write: bool = True) -> ToolContext:
    # Each attempt has its own key: a closed key refuses every request.
    key = f"run-boundary:{uuid4().hex}" if may_write and tool.is_action else None
    actor = Actor(
        run="run-boundary",
        call="run-boundary:1.0",
        tenant=boundary.tenant,
        customer=boundary.customer,
        contact=boundary.contact,
        effect_key=key,
    )
    return ToolContext(
        run=actor.run,
        call=actor.call,
        tenant=actor.tenant,
        customer=actor.customer,
        contact=actor.contact,
        effect_key=key,
        connectors=boundary.connectors(actor),
    )


def _parsed(tool: Tool, arguments: Arguments) -> BaseModel:
    return tool.input.model_validate(dict(arguments))


def _leaked(text: str, secrets: Collection[str]) -> str | None:
    return next((one for one in secrets if one in text), None)


def _shown(answer: object) -> str:
    text = answer.model_dump_json() if isinstance(answer, BaseModel) else str(answer)
    return text if len(text) <= 200 else f"{text[:200]}…"
