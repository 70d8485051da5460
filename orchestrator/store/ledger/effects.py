"""The effect ledger's answers and inputs (P1, P2)."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlmodel import col, update

from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.rules.text import storable
from keyturn.orchestrator.rules.text.model_notices import ModelNotice
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db import digests
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.status import effect as effect_status
from keyturn.orchestrator.store.status import run as run_status
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, EffectRow, RunRow

# A holder that has not begun to send within this time counts as dead.
LEASE = timedelta(seconds=5)

AnswerKind = Literal[
    "leased",
    "busy",
    "done",
    "failed",
    "rejected",
    "waiting",
    "stopped",
    "not_before",
    "expired",
    "void",
    "refused",
    "unknown",
    "undone",
    "prepare",
]


class Facts(BaseModel):
    """Facts that `perform` read just before: the arguments, the facts and the money.

    `preview` is canonical JSON: what an approver sees and relies on.
    """

    model_config = ConfigDict(frozen=True)

    revision: int
    arguments: str
    preview: str
    money: Money | None


class Grant(BaseModel):
    """An effect leased to this holder: exactly what to do.

    `again`: an earlier attempt may have reached the provider.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    attempt: int
    arguments: str
    again: bool = False


class LeaseAnswer(BaseModel):
    """The ledger's answer: a grant, or why not and until when."""

    model_config = ConfigDict(frozen=True)

    kind: AnswerKind
    grant: Grant | None = None
    until: datetime | None = None


class CallRef(BaseModel):
    """A call and its run."""

    model_config = ConfigDict(frozen=True)

    run: str
    turn: int
    index: int


# The ledger's answer for a call that has its own answer already.
ENDED: dict[str, AnswerKind] = {
    "done": "done",
    "failed": "failed",
    "crashed": "failed",
    "denied": "refused",
    "rejected": "rejected",
    "refused": "refused",
    "expired": "expired",
    "void": "void",
}


class Outcome(BaseModel):
    """What is known of an attempt to send; `ledger.outcome` interprets it.

    `not_sent`: certainly nothing reached the provider. `failed`: the provider refused
    definitely. `may_repeat`: the answer was lost on its way, so it may be requested
    again if the provider honours the key. `answered`: something was reached that would
    not do it now. `alarm` names what an operator has to repair. `notice` is what the
    model reads if that is a sentence of ours: else it reads the receipt or the tool's
    own words.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["done", "failed", "unknown", "not_sent"]
    words: str
    receipt: dict[str, JsonValue] | None = None
    may_repeat: bool = False
    answered: bool = False
    alarm: str | None = None
    notice: ModelNotice | None = None


def facts_of(effect: EffectRow, call: CallRow) -> Facts:
    """Return the facts under which an effect was proven, for its later attempts."""
    money = None
    if effect.amount is not None and effect.currency is not None:
        money = Money(effect.amount, effect.currency)
    return Facts(
        revision=call.revision,
        arguments=effect.arguments,
        preview=effect.preview,
        money=money,
    )


def mark_unknown(session: Tx, run: RunRow, effect: EffectRow, *, error: str) -> None:
    """Leave an effect's outcome to a person; the model is told nothing."""
    effect_status.move(effect, "unknown")
    effect.error = storable.text(error)
    if run.stopped_by is None and run.status not in ENDED_RUNS:
        # The hold that stopped a run finds the effect by its status when it is lifted.
        run_status.move(run, "waiting")
    audit_effect(session, effect, "effect.unknown")


async def free(session: Tx, effect: EffectRow, *, why: str) -> None:
    """Release a lease that was never sent: its subject, money and approval.

    An effect that an earlier attempt may have sent keeps all of them.
    """
    if effect.status != "leased" or effect.sending_at is not None:
        return
    effect_status.move(effect, "refused")
    effect.error, effect.ended_at = why, session.now
    unused = await session.execute(
        update(ApprovalRow)
        .where(col(ApprovalRow.consumed_by) == effect.key)
        .values(consumed_by=None)
        .returning(col(ApprovalRow.id))
    )
    digests.changed(session, ApprovalRow, *((one,) for one in unused.scalars()))
    audit_effect(session, effect, "effect.freed")


def is_honoured(effect: EffectRow, *, now: datetime) -> bool:
    """Tell whether the provider still knows the effect's key from a first sending."""
    return effect.idempotent_until is not None and effect.idempotent_until > now


def audit_effect(session: Tx, effect: EffectRow, kind: str) -> None:
    """Record an event of an effect in the audit log."""
    log.record(
        session,
        log.Entry(
            actor=f"run:{effect.run}",
            kind=kind,
            tenant=effect.tenant,
            run=effect.run,
            subject=effect.key,
            payload={
                "tool": effect.tool,
                "attempt": effect.attempt,
                "error": effect.error,
                "approval": effect.approval,
            },
        ),
        at=session.now,
    )
