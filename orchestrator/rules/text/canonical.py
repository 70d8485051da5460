"""JSON, parsed strictly and written in one form (RFC 8785)."""

import asyncio
import hashlib
import json
import math
from collections.abc import Iterable

import rfc8785
from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import MalformedJson

# Deeper documents exhaust parsers downstream before they carry any meaning.
LARGEST_DEPTH = 64
# Documents with more values take longer than anybody waits.
MOST_VALUES = 200_000
# This many characters are parsed and checked in a few milliseconds.
MOST_AT_ONCE = 16_000
# RFC 8785 writes numbers as doubles.
LARGEST_INTEGER = 2**53 - 1
# From this value on, RFC 8785 writes whole numbers with an exponent.
WITH_EXPONENT = 1e21


def parse(text: str | bytes) -> JsonValue:
    """Return the one JSON value in `text`.

    Duplicate keys, NaN, Infinity, numbers that a double cannot hold exactly enough,
    lone surrogates, more than 200,000 values and nesting beyond 64 levels raise
    `MalformedJson`.
    """
    _refuse_many(text)
    try:
        value: JsonValue = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse
        )
    except RecursionError:
        raise MalformedJson(
            f"The JSON is nested deeper than {LARGEST_DEPTH} levels; flatten it."
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedJson(f"This is not a JSON document: {error}.") from None
    _check_depth(value)
    encode(value)
    return value


async def parse_aside(text: str | bytes) -> JsonValue:
    """Do the same as `parse`, without blocking the event loop on a long text."""
    if len(text) <= MOST_AT_ONCE:
        return parse(text)
    return await asyncio.to_thread(parse, text)


def parse_untrusted(text: str | bytes) -> JsonValue:
    """Return the JSON value in another system's text, repaired for storage.

    Whole numbers that a double cannot hold, such as 64-bit ids, become text, digit by
    digit. Duplicate keys, invalid JSON and nesting beyond 64 levels raise
    `MalformedJson`.
    """
    try:
        value: JsonValue = json.loads(text, object_pairs_hook=_unique)
        _check_depth(value)
        repaired = repair(value)
        encode(repaired)
    except RecursionError:
        raise MalformedJson(
            f"The JSON is nested deeper than {LARGEST_DEPTH} levels; flatten it."
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedJson(f"This is not a JSON document: {error}.") from None
    return repaired


async def parse_untrusted_aside(text: str | bytes) -> JsonValue:
    """Do the same as `parse_untrusted`, without blocking the event loop."""
    if len(text) <= MOST_AT_ONCE:
        return parse_untrusted(text)
    return await asyncio.to_thread(parse_untrusted, text)


def encode(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value`; equal values give equal bytes.

    Everything encoded can be parsed again: so whole numbers beyond 2^53 raise
    `MalformedJson`, even when written as 1e16.
    """
    try:
        if _is_plain(value):
            return _quickly(value)
        return rfc8785.dumps(value)  # pyright: ignore[reportArgumentType] its own type of JSON is invariant
    except RecursionError:
        raise MalformedJson(
            f"The JSON is nested deeper than {LARGEST_DEPTH} levels; flatten it."
        ) from None
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise MalformedJson(
            f"This value has no canonical JSON form: {error}."
        ) from None


def _quickly(value: JsonValue) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def text(value: JsonValue) -> str:
    """Return the RFC 8785 form of `value` as text."""
    return encode(value).decode()


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of the RFC 8785 form, in hex."""
    return hashlib.sha256(encode(value)).hexdigest()


def digest_of(canonical_text: str) -> str:
    """Return the SHA-256 of a text that is already in RFC 8785 form, in hex."""
    return hashlib.sha256(canonical_text.encode()).hexdigest()


def repair(value: JsonValue) -> JsonValue:
    """Return `value` with parts that have no canonical form replaced, for storage.

    Lone surrogates become U+FFFD, NaN and infinities null, whole numbers that a double
    cannot hold text. Use it for data from others, never for what is carried out.
    """
    match value:
        case str():
            return repair_text(value)
        case float() if not math.isfinite(value):
            return None
        case float() | int() if _is_inexact(value):
            return str(int(value))
        case dict():
            return {repair_text(name): repair(child) for name, child in value.items()}
        case list():
            return [repair(child) for child in value]
        case _:
            return value


def repair_text(words: str) -> str:
    """Return a text with lone surrogates replaced by U+FFFD."""
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unique(pairs: Iterable[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _refuse(constant: str) -> JsonValue:
    raise ValueError(f"{constant} is not a JSON number")


def _is_plain(value: JsonValue) -> bool:
    """Return whether json.dumps writes the RFC 8785 form, a hundred times as fast.

    It writes floats, and sorts names beyond U+FFFF, differently. Raises `MalformedJson`
    for whole numbers that have no form.
    """
    is_plain, waiting = True, [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str | None):
            continue
        if isinstance(node, float):
            _check_whole(node)
            is_plain = False
        elif isinstance(node, dict):
            is_plain = is_plain and all(map(_sorts_alike, node))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
        elif abs(node) > LARGEST_INTEGER:
            is_plain = False
    return is_plain


def _sorts_alike(name: object) -> bool:
    # Here the order by code points equals the order by UTF-16 units.
    return isinstance(name, str) and (name.isascii() or max(name) < "\ud800")


def _check_whole(value: float) -> None:
    if math.isfinite(value) and _is_inexact(value):
        raise MalformedJson(
            f"{value!r} is a whole number beyond 2^53, which JSON cannot hold exactly; "
            "write it as text."
        )


def _is_inexact(value: float) -> bool:
    """Return whether a number's form is a whole number that a double does not hold."""
    if isinstance(value, int):
        return abs(value) > LARGEST_INTEGER
    return LARGEST_INTEGER < abs(value) < WITH_EXPONENT and value.is_integer()


def _refuse_many(text: str | bytes) -> None:
    """Raise `MalformedJson` for too many values, before any of them is created.

    Counts at the speed of memory: text between quotes is removed first.
    """
    if len(text) <= MOST_VALUES:
        return
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    quoted = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if quoted.count(b'"') <= 2 * MOST_VALUES:
        bare = b"".join(quoted.split(b'"')[::2])
        if bare.count(b",") + bare.count(b"[") + bare.count(b"{") <= MOST_VALUES:
            return
    raise MalformedJson(
        f"The JSON holds more than {MOST_VALUES:,} values; send less at once."
    )


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(LARGEST_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise MalformedJson(
        f"The JSON is nested deeper than {LARGEST_DEPTH} levels; flatten it."
    )


def _children(node: JsonValue) -> Iterable[JsonValue]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
