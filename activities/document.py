"""The one JSON document in a model's answer, without the text around it."""

import json
import re
from typing import Final

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical

# A model's thoughts before its answer; some templates swallow the opening mark.
_THOUGHT: Final = re.compile(
    r"\A\s*(?:[<\[](?P<mark>think|thinking|thought|reasoning|analysis)[>\]]"
    r".*?[<\[]/(?P=mark)[>\]]|.*?</think>)",
    re.DOTALL | re.IGNORECASE,
)
# Marks of a chat template that a server left at the end.
_TEMPLATE_END: Final = re.compile(r"(?:\s*(?:<\|[a-z_]{1,30}\|>|</s>))+\s*\Z")
# A line break within a JSON text is written \\n: no line of a document is a fence.
_FENCE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.-]*)[ \t]*$", re.MULTILINE)
# A fence whose marks share a line with the document.
_INLINE: Final = re.compile(r"\A```(?:json)?[ \t]*([{\[\n][^`]*)```\Z", re.IGNORECASE)
_LANGUAGES: Final = {"", "json", "jsonc", "json5", "javascript", "js"}


def read(text: str) -> JsonValue:
    """Return the document that is the answer, parsed strictly.

    A byte order mark, thoughts in `<think>` before it, and one code fence, also with
    text around it, are removed. Two documents, fenced or not, are no answer: raises
    `MalformedJson`.
    """
    plain = text.strip().removeprefix("\ufeff").strip()
    try:
        return canonical.parse(plain)
    except MalformedJson:
        found = _unwrapped(plain)
        if found == plain:
            raise
    return canonical.parse(found)


def _unwrapped(text: str) -> str:
    answer = _TEMPLATE_END.sub("", _THOUGHT.sub("", text, count=1)).strip()
    if inline := _INLINE.match(answer):
        return inline[1].strip()
    fences = list(_FENCE.finditer(answer))
    if not fences:
        return answer
    return _fenced(answer, fences)


def _fenced(answer: str, fences: list[re.Match[str]]) -> str:
    """Return the content of the one fence of an answer."""
    first = fences[0]
    last = fences[1] if len(fences) > 1 else None
    if len(fences) > 2 or (last and (last[1] != first[1] or last[2])):
        raise MalformedJson("There is more than one document; send one alone.")
    if first[2].lower() not in _LANGUAGES:
        raise MalformedJson(f"The document is fenced as {first[2]!r}, not as JSON.")
    end = last.start() if last else len(answer)
    around = answer[: first.start()] + (answer[last.end() :] if last else "")
    if _holds_document(around):
        raise MalformedJson("There is more than one document; send one alone.")
    return answer[first.end() : end].strip()


def _holds_document(words: str) -> bool:
    decoder = json.JSONDecoder()
    # Text that is not a document is skipped, brace by brace; few answers have many.
    for found in list(re.finditer(r"\{", words))[:200]:
        try:
            decoder.raw_decode(words, found.start())
        except (ValueError, RecursionError):
            continue
        return True
    return False
