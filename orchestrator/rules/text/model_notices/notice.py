"""A notice, how its text carries its code, and how that is read again.

The code stands at the very beginning of a text, as `[call.rejected] …`, and is read
there alone. Whatever a notice quotes comes after it, and what bears no code begins
otherwise: a tool's result is JSON, a customer's words stand in `<message>`. So nothing
that is quoted can pass for a code.
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
    """One sentence of Keyturn's for a model; `words` is the same for people."""

    code: NoticeCode
    words: str

    @property
    def text(self) -> str:
        """Return what the model reads."""
        return f"[{self.code}] {self.words}"


@dataclass(frozen=True)
class ToolData:
    """What a tool returned, as JSON text: it bears no code."""

    text: str

    @property
    def words(self) -> str:
        """Return the same: people read it as the model does."""
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
    """Return the code and the words of an answer, looking through a person's edit."""
    found = _split(text)
    if found.code is not NoticeCode.CALL_EDITED:
        return found
    _, arguments, result = found.words.split("\n", 2)
    inner = _split(result)
    return Reading(inner.code, inner.words, arguments)


def for_people(text: str) -> str:
    """Return what was told without its code."""
    return _split(text).words


def _split(text: str) -> Reading:
    found = _CODE.match(text)
    code = _KNOWN.get(found[1]) if found else None
    if found is None or code is None:
        return Reading(None, text)
    return Reading(code, text[found.end() :])
