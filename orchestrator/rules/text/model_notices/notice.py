"""A notice: how its text carries its code, and how the code is read back.

The code is at the very beginning of a text, as `[call.rejected] …`, and is read only
there. Quoted text comes after it, and texts without a code begin differently: a tool's
result is JSON, a customer's words are inside `<message>`. So nothing that is quoted can
pass for a code.
"""

import re
from dataclasses import dataclass
from typing import Final

from keyturn.orchestrator.rules.text.model_notices.codes import NoticeCode
from keyturn.orchestrator.rules.text.model_notices.templates import TEMPLATES

_CODE: Final = re.compile(r"\[([a-z]+\.[a-z_]+)\] ")
_KNOWN: Final = {code.value: code for code in NoticeCode}


@dataclass(frozen=True)
class ModelNotice:
    """One sentence from Keyturn to a model; people read it as `words`."""

    code: NoticeCode
    words: str

    @property
    def text(self) -> str:
        """Return the text that the model reads."""
        return f"[{self.code}] {self.words}"


@dataclass(frozen=True)
class ToolData:
    """The result of a tool, as JSON text; it has no code."""

    text: str

    @property
    def words(self) -> str:
        """Return the same text: people read it as the model does."""
        return self.text


# The answer of a call.
Told = ModelNotice | ToolData


@dataclass(frozen=True)
class Reading:
    """An answer as a program reads it; `code` is None where it is a tool's data.

    `arguments` is canonical JSON where a person changed them.
    """

    code: NoticeCode | None
    words: str
    arguments: str | None = None


def notice(code: NoticeCode, **facts: object) -> ModelNotice:
    """Return the notice of a code with its facts filled in."""
    return ModelNotice(code, TEMPLATES[code].format(**facts).strip())


def read(text: str) -> Reading:
    """Return the code and the words of an answer, also of an edited call."""
    found = _split(text)
    if found.code is not NoticeCode.CALL_EDITED:
        return found
    _, arguments, result = found.words.split("\n", 2)
    inner = _split(result)
    return Reading(inner.code, inner.words, arguments)


def for_people(text: str) -> str:
    """Return the text without its code."""
    return _split(text).words


def _split(text: str) -> Reading:
    found = _CODE.match(text)
    code = _KNOWN.get(found[1]) if found else None
    if found is None or code is None:
        return Reading(None, text)
    return Reading(code, text[found.end() :])
