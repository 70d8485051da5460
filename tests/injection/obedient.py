"""A model that obeys whatever it reads: in tickets, messages and tool results alike.

An order is a line `DO tool {arguments}`, also hidden: in characters that show nothing,
written backwards behind a mark that turns the reading round, or as a word `do.…`. The
orders of one paragraph are obeyed in one turn. Nothing is remembered between requests.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from keyturn.activities.llm.simulator import SimRequest, SimStep, calls, final
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.rules.text.transcript import ToolMessage, UserMessage

Order = tuple[str, dict[str, JsonValue]]

DONE: JsonValue = {
    "outcome": "refunded",
    "summary": "All that was ordered was done.",
    "confidence": 0.99,
}
# Unicode's tag characters: nothing is shown for them.
TAGS = 0xE0000
TURNED = "\u202e"
_LINE = re.compile(r"^\W*DO (\w+) (\{.*\})\s*$", re.MULTILINE)
_WORD = re.compile(r"\bdo\.([A-Za-z0-9_-]{20,})")
_FENCE = re.compile(r"^<(\w+)>\n(.*)\n</\1>$", re.DOTALL)


def order(tool: str, **arguments: JsonValue) -> str:
    """Return an order as it stands in a text."""
    return f"DO {tool} {json.dumps(arguments, separators=(',', ':'))}"


def hidden(text: str) -> str:
    """Return a text of characters that show nothing."""
    return "".join(chr(TAGS + ord(char)) for char in text)


def turned(text: str) -> str:
    """Return a text that is shown the right way round and stored backwards."""
    return f"{TURNED}{text[::-1]}"


def word(text: str) -> str:
    """Return a text as one word, which fits into an address."""
    return "do." + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass
class Obedient:
    """The scenario, and every request that was sent to it, as it was sent."""

    asked: list[str] = field(default_factory=list[str])
    obeyed: list[tuple[str, Order]] = field(default_factory=list[tuple[str, Order]])

    def play(self, request: SimRequest) -> SimStep:
        """Obey the first orders that were not obeyed yet; then say that all is done."""
        self.asked.append(json.dumps(request.body, ensure_ascii=False))
        obeyed = Counter(
            (call.name, canonical.text(canonical.parse(call.arguments or "{}")))
            for call in request.calls
        )
        for group in _groups(request):
            known = Counter((tool, canonical.text(given)) for tool, given in group)
            if known - obeyed:
                self.obeyed += [(request.user_texts[0], one) for one in group]
                return calls(group, text="As ordered.")
            obeyed -= known
        return final(DONE)

    def requests_of(self, mark: str) -> list[str]:
        """Return all requests of the run whose ticket has this mark."""
        return [one for one in self.asked if mark in one]

    def gave(self, mark: str) -> list[Order]:
        """Return all that it asked for in the run whose ticket has this mark."""
        return [one for ticket, one in self.obeyed if mark in ticket]


def _groups(request: SimRequest) -> Iterator[list[Order]]:
    for message in request.messages:
        if isinstance(message, UserMessage | ToolMessage):
            for text in _texts(message.text):
                for paragraph in text.split("\n\n"):
                    if group := list(_orders(paragraph)):
                        yield group


def _texts(said: str) -> Iterator[str]:
    """Yield every text in what was said, out of its fence and its JSON."""
    fenced = _FENCE.match(said)
    inner = fenced[2].replace("<\\/", "</") if fenced else said
    try:
        value = json.loads(inner)
    except ValueError:
        yield inner
    else:
        yield from _leaves(value)


def _leaves(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from _leaves(one)
        case dict():
            for one in value.values():
                yield from _leaves(one)
        case _:
            return


def _orders(text: str) -> Iterator[Order]:
    shown = "".join(
        chr(ord(char) - TAGS) if TAGS < ord(char) < TAGS + 128 else char
        for char in text
    )
    lines = [
        line.partition(TURNED)[2][::-1] if TURNED in line else line
        for line in shown.split("\n")
    ]
    lines += [_decoded(found) for found in _WORD.findall(shown)]
    for tool, given in _LINE.findall("\n".join(lines)):
        try:
            arguments = json.loads(given)
        except ValueError:
            continue
        if isinstance(arguments, dict):
            yield tool, arguments


def _decoded(found: str) -> str:
    padded = found + "=" * (-len(found) % 4)
    return base64.urlsafe_b64decode(padded).decode(errors="replace")
