"""Checks a declared model before any value of it arrives."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, JsonValue, PydanticUserError, RootModel
from pydantic.errors import PydanticInvalidForJsonSchema

from keyturn.orchestrator.rules.contract.tool import DataClass
from keyturn.orchestrator.rules.errors import ContractError
from keyturn.orchestrator.rules.text import json_object, redaction, schema
from keyturn.orchestrator.rules.text.redaction import NotFollowed
from keyturn.orchestrator.rules.text.schema import InvalidSchema

Mode = Literal["validation", "serialization"]


@dataclass(frozen=True)
class Declared:
    """A model and the place that uses it: `what` begins the sentence about it.

    `by_model` says that a language model writes it: providers then get its schema.
    """

    what: str
    model: type[BaseModel]
    mode: Mode = "validation"
    by_model: bool = False

    @property
    def name(self) -> str:
        """Return the place and the class as the subject of a sentence."""
        return f"{self.what} {self.model.__name__}"


def check(declared: Declared, never_sees: Collection[str]) -> frozenset[str]:
    """Return a model's data classes; `ContractError` says what to repair.

    Checks its patterns, references, root and recursion, that each mark is in its JSON
    Schema, and, where a data class is never seen, that each part can be followed.
    """
    written = _written(declared)
    try:
        schema.check_declared(written, where=declared.name)
    except InvalidSchema as error:
        raise ContractError(str(error)) from None
    core = list(_core_nodes(declared.model.__pydantic_core_schema__, set()))
    _check_engine(declared, core)
    _check_root(declared, written)
    _check_marks(declared, core)
    if never_sees:
        _check_followed(declared, written, core, never_sees)
    return redaction.marks(written)


def _written(declared: Declared) -> dict[str, JsonValue]:
    try:
        return declared.model.model_json_schema(mode=declared.mode)
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise ContractError(
            f"{declared.name}: it has no JSON Schema: {str(error).splitlines()[0]} "
            "Use types that JSON can hold."
        ) from None


def _check_engine(declared: Declared, core: list[dict[str, Any]]) -> None:
    for node in core:
        config: dict[str, Any] = node.get("config") or {}
        is_python = config.get("regex_engine") == "python-re"
        pattern: object = node.get("pattern")
        if is_python or isinstance(pattern, re.Pattern):
            shown: object = getattr(
                cast("object", pattern), "pattern", "regex_engine='python-re'"
            )
            raise ContractError(
                f"{declared.name}: {shown!r} runs in Python's regex engine, which can "
                "take unbounded time on some texts; write the pattern as a plain "
                "string, without regex_engine."
            )


def _check_root(declared: Declared, written: Mapping[str, JsonValue]) -> None:
    if issubclass(declared.model, RootModel):
        raise ContractError(
            f"{declared.name} is a RootModel, but only JSON objects are allowed; write "
            "a BaseModel with one field."
        )
    if _root(written).get("type") != "object":
        raise ContractError(
            f"{declared.name} is not written as a JSON object, but only JSON objects are "
            "allowed; remove its `model_serializer`, or declare that it returns a dict."
        )
    if declared.by_model and _is_recursive(written):
        raise ContractError(
            f"{declared.name} contains itself, which providers refuse; write the levels "
            "out, or a flat list with the ids of parents."
        )


def _root(written: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the schema of the value itself: a recursive one stands in `$defs`."""
    reference, defined = written.get("$ref"), written.get("$defs")
    if not isinstance(reference, str) or not isinstance(defined, dict):
        return written
    found = defined.get(reference.rpartition("/")[2])
    return found if isinstance(found, dict) else written


def _is_recursive(written: Mapping[str, JsonValue]) -> bool:
    given = written.get("$defs")
    defined = given if isinstance(given, dict) else {}
    refers = {name: _refers(child) for name, child in defined.items()}
    return any(_reaches(refers, name, name, set()) for name in refers)


def _reaches(
    refers: Mapping[str, set[str]], start: str, wanted: str, seen: set[str]
) -> bool:
    for name in refers.get(start, set()) - seen:
        if name == wanted or _reaches(refers, name, wanted, seen | {name}):
            return True
    return False


def _refers(node: JsonValue) -> set[str]:
    if isinstance(node, list):
        return {name for child in node for name in _refers(child)}
    if not isinstance(node, dict):
        return set()
    own = node.get("$ref")
    found = {own.rpartition("/")[2]} if isinstance(own, str) else set[str]()
    return found | {name for child in node.values() for name in _refers(child)}


def _check_marks(declared: Declared, core: list[dict[str, Any]]) -> None:
    for model in _models(core):
        try:
            written = model.model_json_schema(mode=declared.mode)
        except (PydanticInvalidForJsonSchema, PydanticUserError):
            continue
        found = redaction.marks(written)
        for name, field in model.model_fields.items():
            lost = {m.name for m in field.metadata if isinstance(m, DataClass)} - found
            if lost and not (field.exclude and declared.mode == "serialization"):
                raise ContractError(
                    f"{declared.name}: the mark {', '.join(sorted(lost))} of "
                    f"{model.__name__}.{name} is not in its JSON Schema, so the field "
                    "would not be dropped; remove WithJsonSchema or json_schema_extra."
                )


def _check_followed(
    declared: Declared,
    written: Mapping[str, JsonValue],
    core: list[dict[str, Any]],
    never_sees: Collection[str],
) -> None:
    never = ", ".join(sorted(never_sees))
    try:
        redaction.check_followed(written, never_sees)
    except NotFollowed as error:
        raise ContractError(
            f"{declared.name}: {error}. The contract never sees {never}."
        ) from None
    if declared.mode == "validation":
        return
    for node in core:
        how: dict[str, Any] = node.get("serialization") or {}
        kind: str = how.get("type", "")
        is_open = kind.startswith("function") and not how.get("return_schema")
        if kind == "any" or is_open:
            raise ContractError(
                f"{declared.name}: {_serialized(kind)}, because its output cannot be "
                f"checked. The contract never sees {never}."
            )


def _serialized(kind: str) -> str:
    if kind == "any":
        return "remove SerializeAsAny, which writes fields that it does not declare"
    return "write the return type of its serializer"


def _models(core: list[dict[str, Any]]) -> list[type[BaseModel]]:
    found = [node.get("cls") for node in core if node.get("type") == "model"]
    return [
        one for one in found if isinstance(one, type) and issubclass(one, BaseModel)
    ]


def _core_nodes(node: object, seen: set[int]) -> Iterator[dict[str, Any]]:
    """Return each part of pydantic's own schema of a model."""
    if json_object.is_object(node):
        if id(node) in seen:
            return
        seen.add(id(node))
        yield node
        for name, child in node.items():
            if name not in ("metadata", "cls", "function"):
                yield from _core_nodes(child, seen)
    elif isinstance(node, list | tuple):
        for child in cast("list[object]", node):
            yield from _core_nodes(child, seen)
