"""What is at stake in an action: its subject and its money, as releases declare them.

A run that is pinned to a release whose tool names neither is guarded by what the live
release says of the same tool, and the other way round.
"""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError

from keyturn.orchestrator.rules.contract.release import COMPUTED, Release, ToolSpec
from keyturn.orchestrator.rules.errors import InvalidValue, in_words
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical, folded_name
from keyturn.orchestrator.rules.text import storable as text_storable


def subject_of(spec: ToolSpec, arguments: object) -> str | None:
    """Return `field=value` of what the call acts on, where the tool names one."""
    if spec.subject is None or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.subject)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    written = value if isinstance(value, str) else canonical.text(value)  # pyright: ignore[reportUnknownArgumentType] as above
    return named(spec, text_storable.text(written))


def declared_money(spec: ToolSpec, arguments: object) -> Money | None:
    """Return the money in the field that the tool names; None where code works it out.

    Raises `InvalidValue` for a currency that there is not.
    """
    if spec.money in (None, COMPUTED) or not isinstance(arguments, dict):
        return None
    value = arguments.get(spec.money)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] parsed JSON
    if not isinstance(value, dict):
        return None
    try:
        return Money(**value)  # pyright: ignore[reportUnknownArgumentType] as above
    except ValidationError as error:
        # A schema cannot tell which currencies there are.
        why = in_words(error.errors()[0])
        raise InvalidValue(f"{spec.money}: {why}") from None


def subject(releases: Sequence[Release], tool: str, arguments: object) -> str | None:
    """Return `field=value` of what a call acts on, by the first release that says it."""
    found = (subject_of(one, arguments) for one in _declared(releases, tool))
    return next((one for one in found if one is not None), None)


def money(
    pinned: Release, live: Release, tool: str, arguments: object, known: Money | None
) -> Money | None:
    """Return what a call moves: what is `known`, or what the live release alone reads.

    Where the pinned release has it move money and does not know how much, nobody does.
    """
    if known is not None or moves_money([pinned], tool):
        return known
    found = (_read(one, arguments) for one in _declared([live], tool))
    return next(iter(found), None)


def moves_money(releases: Sequence[Release], tool: str) -> bool:
    """Tell whether any of the releases has the tool move money."""
    return any(one.money is not None for one in _declared(releases, tool))


def _read(spec: ToolSpec, arguments: object) -> Money | None:
    try:
        return declared_money(spec, arguments)
    except InvalidValue:
        # A field of that name which another release gave another meaning.
        return None


def _declared(releases: Sequence[Release], tool: str) -> Iterable[ToolSpec]:
    return (spec for one in releases for spec in one.tools if spec.name == tool)


def named(spec: ToolSpec, written: str) -> str:
    """Return `field=value` as people read it; a long value as its key."""
    whole = f"{spec.subject}={written}"
    if len(whole) <= folded_name.LONGEST:
        return whole
    return f"{spec.subject}={folded_name.fold(written)}"
