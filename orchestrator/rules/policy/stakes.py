"""What is at stake in an action: its subject and its money, as releases declare them.

If a run's pinned release declares neither for a tool, what the live release declares
for the same tool guards it, and the other way round.
"""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from keyturn.orchestrator.rules.contract.release import COMPUTED, Release, ToolSpec
from keyturn.orchestrator.rules.errors import InvalidValue, in_words
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical, folded_name
from keyturn.orchestrator.rules.text import storable as text_storable


def subject_of(spec: ToolSpec, arguments: object) -> str | None:
    """Return the call's subject as `field=value`, if the tool declares one."""
    if spec.subject is None or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.subject)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    written = value if isinstance(value, str) else canonical.text(value)  # pyright: ignore[reportUnknownArgumentType] as above
    return named(spec, text_storable.text(written))


def declared_money(spec: ToolSpec, arguments: object) -> Money | None:
    """Return the money in the field that the tool names; None where code computes it.

    Raises `InvalidValue` for a currency that does not exist.
    """
    if spec.money in (None, COMPUTED) or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.money)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    if not isinstance(value, dict):
        return None
    try:
        return Money(**value)  # pyright: ignore[reportUnknownArgumentType] as above
    except ValidationError as error:
        # A JSON Schema cannot tell which currencies exist.
        why = in_words(error.errors()[0])
        raise InvalidValue(f"{spec.money}: {why}") from None


def subject(releases: Sequence[Release], tool: str, arguments: object) -> str | None:
    """Return a call's subject as `field=value`, by the first release that has one."""
    found = (subject_of(one, arguments) for one in _declared(releases, tool))
    return next((one for one in found if one is not None), None)


def money(
    pinned: Release, live: Release, tool: str, arguments: object, known: Money | None
) -> Money | None:
    """Return the money a call moves: `known`, or what the live release alone reads.

    Unknown (None) where the pinned release moves money and does not know how much.
    """
    if known is not None or moves_money([pinned], tool):
        return known
    found = (_read(one, arguments) for one in _declared([live], tool))
    return next(iter(found), None)


def moves_money(releases: Sequence[Release], tool: str) -> bool:
    """Return whether the tool moves money in any of the releases."""
    return any(one.money is not None for one in _declared(releases, tool))


def _read(spec: ToolSpec, arguments: object) -> Money | None:
    try:
        return declared_money(spec, arguments)
    except InvalidValue:
        # Another release uses a field of that name with another meaning.
        return None


def _declared(releases: Sequence[Release], tool: str) -> Iterable[ToolSpec]:
    return (spec for one in releases for spec in one.tools if spec.name == tool)


def named(spec: ToolSpec, written: str) -> str:
    """Return `field=value` as people read it; a long value as its key."""
    whole = f"{spec.subject}={written}"
    if len(whole) <= folded_name.LONGEST:
        return whole
    return f"{spec.subject}={folded_name.fold(written)}"
