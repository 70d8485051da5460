"""The status of an effect: no other module writes it. One begins as `leased`."""

from keyturn.orchestrator.rules.status import (
    EFFECT_TRANSITIONS,
    EffectStatus,
    is_allowed,
)
from keyturn.orchestrator.store.status.errors import NoSuchTransition
from keyturn.orchestrator.store.tables import EffectRow


def move(row: EffectRow, to: EffectStatus) -> None:
    """Give a locked effect another status; raises `NoSuchTransition`."""
    if not is_allowed(EFFECT_TRANSITIONS, row.status, to):
        raise NoSuchTransition("effect", row.key, row.status, to)
    row.status = to
