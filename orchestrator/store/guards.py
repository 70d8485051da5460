"""What guards an action: its subject and money, by the pinned release and the live one.

A run that is pinned to a release whose tool names neither is guarded by what the live
release says of the same tool, and the other way round.
"""

from collections.abc import Iterable, Sequence

from orchestrator.rules.contract.release import Release, ToolSpec
from orchestrator.rules.errors import InvalidValue
from orchestrator.rules.money.money import Money
from orchestrator.store import asking


def subject(releases: Sequence[Release], tool: str, arguments: object) -> str | None:
    """Return `field=value` of what a call acts on, by the first release that says it."""
    found = (asking.subject_of(one, arguments) for one in _declared(releases, tool))
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
        return asking.declared_money(spec, arguments)
    except InvalidValue:
        # A field of that name which another release gave another meaning.
        return None


def _declared(releases: Sequence[Release], tool: str) -> Iterable[ToolSpec]:
    return (spec for one in releases for spec in one.tools if spec.name == tool)
