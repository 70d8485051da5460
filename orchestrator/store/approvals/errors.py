"""Errors of deciding, assigning and extending an approval."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import JsonValue

from keyturn.orchestrator.rules.errors import (
    KeyturnError,
    written,
)
from keyturn.orchestrator.store.approvals import siblings
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
)


class NoMoreTime(KeyturnError):
    """The deadline has been extended as often or as far as allowed."""

    http_status: ClassVar[int] = 409


class AlreadyDecided(KeyturnError):
    """Somebody else decided first; the text names who decided what."""

    http_status: ClassVar[int] = 409

    def __init__(self, row: ApprovalRow, decisions: Sequence[DecisionRow]) -> None:
        """Name the approval's state and the person who brought it there."""
        self.approval = row.id
        self.status = row.status
        self.decided_by = tuple(one.person_name for one in decisions)
        super().__init__(_closed_words(row, decisions))

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        decided_by: list[JsonValue] = list(self.decided_by)
        return {
            "approval": self.approval,
            "state": self.status,
            "decided_by": decided_by,
        }


class Claimed(KeyturnError):
    """Somebody else has claimed the item; the text names who, and until when."""

    http_status: ClassVar[int] = 409

    def __init__(self, row: ApprovalRow) -> None:
        """Name the claim."""
        self.approval = row.id
        self.claimed_by = row.claimed_by
        self.claimed_name = row.claimed_name
        self.until = row.claim_until
        super().__init__(
            f"{row.id} is claimed by {row.claimed_name} until "
            f"{row.claim_until:%Y-%m-%d %H:%M:%S} UTC. Wait, or take it over and say "
            "why."
        )

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        return {
            "approval": self.approval,
            "claimed_by": self.claimed_by,
            "claimed_name": self.claimed_name,
            "claim_until": written(self.until) if self.until else "",
        }


class DraftOpen(KeyturnError):
    """The person has an unfinished edit of this; which of the two do they mean?"""

    http_status: ClassVar[int] = 409

    def __init__(self, row: ApprovalRow, *, saved_at: datetime) -> None:
        """Name the approval and the time since when the draft is stored."""
        self.approval = row.id
        super().__init__(
            f"{row.id} has an edit of yours, saved {saved_at:%Y-%m-%d %H:%M} UTC and not "
            "sent. Nothing was approved: approve the edited version, or discard the "
            "edit and approve the draft."
        )


class NoMoreRounds(KeyturnError):
    """A draft was sent back as often as allowed."""

    http_status: ClassVar[int] = 409


class StaleBinding(KeyturnError):
    """The approval has changed since it was shown to the person."""

    http_status: ClassVar[int] = 412


class MayNotDecide(KeyturnError):
    """This person is not among those who may decide this approval."""

    http_status: ClassVar[int] = 403


class EditRefused(KeyturnError):
    """The edited action is not allowed by policy."""

    http_status: ClassVar[int] = 422


def _closed_words(row: ApprovalRow, given: Sequence[DecisionRow]) -> str:
    if row.status == "pending" and not given:
        return f"{row.id} expired at {row.answer_by:%Y-%m-%d %H:%M} UTC, before it was decided."
    who = ", ".join(f"{one.person_name} decided {one.decision}" for one in given)
    because = f" ({row.closed_because})" if row.closed_because else ""
    return f"{row.id} is {row.status}{because}. {who or 'Nobody decided it'}."


class MayNotAssign(KeyturnError):
    """This person may not assign the approval, or not to that person."""

    http_status: ClassVar[int] = 403


class NobodyElse(KeyturnError):
    """Nobody else is left for the system to draw; nothing was changed."""

    http_status: ClassVar[int] = 409


class WaitsForOthers(KeyturnError):
    """The actions that this message describes are not done, or were reported failed."""

    http_status: ClassVar[int] = 409

    def __init__(self, row: ApprovalRow, others: Sequence[CallRow]) -> None:
        """Name the actions that the message waits for."""
        self.approval = row.id
        self.waits_for = tuple(keys.call_id(one) for one in others)
        named = ", ".join(f"{one.tool} ({keys.call_id(one)})" for one in others)
        super().__init__(
            f"{row.id} waits for {named or 'the other actions of its turn'}: it mentions "
            f"{siblings.not_settled(others)}. It can be approved once that is settled; you "
            "can reject it now."
        )

    def facts(self) -> dict[str, JsonValue]:
        """Return the facts that a program reads, in addition to the text."""
        waits_for: list[JsonValue] = list(self.waits_for)
        return {"approval": self.approval, "waits_for": waits_for}
