"""Outcomes that differ from what a model was told, so that its message would be untrue.

A model is told of them in place of a message that was not sent for this reason. The
time at which a message was drafted proves nothing: its model may have read before the
change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.orm import aliased
from sqlmodel import and_, col, or_, select

from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP
from keyturn.orchestrator.rules.status import OPEN_EFFECTS
from keyturn.orchestrator.rules.text import model_notices, scrub
from keyturn.orchestrator.rules.text.model_notices import NoticeCode
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    EffectRow,
    RunRow,
    StepRow,
)

# How the answer of a void message begins that was stored before notices had codes.
_BEFORE_CODES = "This message was not sent: "


@dataclass(frozen=True)
class _News:
    """What is true now, and since when; with `unlike`, only if that was told before."""

    words: str
    at: datetime
    unlike: str | None = None


@dataclass(frozen=True)
class _Notice:
    """What was told in place of a message; `read`: also by this message's model."""

    result: str
    at: datetime
    is_own_step: bool
    read: bool

    def says(self, words: str) -> bool:
        # A call's answer is scrubbed, and may have lost a part of a tool's name.
        return scrub.text(words) in self.result


async def undone(session: Tx, call: CallRow) -> str | None:
    """Return what differs from what a message's model was told, or None."""
    query = select(EffectRow).where(
        col(EffectRow.run) == call.run, col(EffectRow.turn) <= call.turn
    )
    effects = {one.key: one for one in (await session.execute(query)).scalars()}
    found = _of_later(effects) + await _of_taking_back(session, effects)
    found += await _done_after_all(session, effects)
    notices = await _notices(session, call) if found else []
    return "; ".join(one.words for one in found if _is_new(one, notices)) or None


def _is_new(news: _News, notices: Sequence[_Notice]) -> bool:
    if news.unlike is None:
        counting = (one for one in notices if one.is_own_step)
    elif any(one.says(news.unlike) for one in notices):
        counting = (one for one in notices if one.read)
    else:
        return False
    return not any(one.says(news.words) and one.at >= news.at for one in counting)


async def unsettled(session: Tx, call: CallRow | ApprovalRow) -> list[CallRow]:
    """Return what was done, in a call's turn or before, and may not stay done.

    It was reported failed since, or is being compensated; the outcome is not known yet.
    """
    takes = aliased(EffectRow)
    taken_back = (
        select(RunRow.compensates)
        .join(takes, col(takes.run) == col(RunRow.id))
        .where(
            col(RunRow.compensates) == col(EffectRow.key),
            or_(
                and_(
                    col(takes.status).in_(OPEN_EFFECTS),
                    col(takes.sending_at).is_not(None),
                ),
                col(takes.reopened_at).is_not(None),
            ),
        )
    )
    query = (
        select(CallRow)
        .join(EffectRow, _of_effect())
        .where(
            col(EffectRow.run) == call.run,
            col(EffectRow.turn) <= call.turn,
            or_(col(EffectRow.reopened_at).is_not(None), taken_back.exists()),
        )
        .order_by(col(CallRow.turn), col(CallRow.index))
    )
    return list((await session.execute(query)).scalars())


def _of_effect() -> ColumnElement[bool]:
    return and_(
        col(CallRow.run) == col(EffectRow.run),
        col(CallRow.turn) == col(EffectRow.turn),
        col(CallRow.index) == col(EffectRow.index),
    )


def _of_later(effects: Mapping[str, EffectRow]) -> list[_News]:
    """Return what failed later, and what was reported failed and stayed done."""
    found: list[_News] = []
    for one in effects.values():
        if one.later is None:
            continue
        failed = model_notices.failed_later(action=_which(one))
        if one.later.get("stayed") is not True:
            found.append(_News(failed, datetime.fromisoformat(one.later["at"])))
            continue
        stayed = model_notices.stayed_done(action=_which(one))
        since = datetime.fromisoformat(one.later["settled_at"])
        found.append(_News(stayed, since, unlike=failed))
    return found


async def _of_taking_back(session: Tx, effects: Mapping[str, EffectRow]) -> list[_News]:
    """Return what was compensated, or may have been, and what was not after all."""
    takes = aliased(EffectRow)
    query = (
        select(RunRow.compensates, takes.status, takes.sending_at, takes.ended_at)
        .join(takes, col(takes.run) == col(RunRow.id))
        .where(col(RunRow.compensates).in_(effects), col(takes.sending_at).is_not(None))
    )
    found: list[_News] = []
    for key, status, sent_at, ended_at in (await session.execute(query)).all():
        which = _which(effects[str(key)])
        taken = model_notices.taken_back(action=which)
        if status != "failed":
            found.append(_News(taken, sent_at))
        elif ended_at is not None:
            words = model_notices.not_taken_back(action=which)
            found.append(_News(words, ended_at, unlike=taken))
    return found


async def _done_after_all(session: Tx, effects: Mapping[str, EffectRow]) -> list[_News]:
    """Return what its model read as failed and a late receipt says was done."""
    query = (
        select(EffectRow.key)
        .join(CallRow, _of_effect())
        .where(
            col(EffectRow.key).in_(effects),
            col(EffectRow.status) == "done",
            col(CallRow.status) == "failed",
        )
    )
    late = [effects[key] for key in (await session.execute(query)).scalars()]
    return [
        _News(model_notices.done_after_all(action=_which(one)), one.ended_at)
        for one in late
        if one.ended_at is not None
    ]


def _which(effect: EffectRow) -> str:
    return model_notices.earlier_action(
        tool=effect.tool, turn=effect.turn, index=effect.index
    )


async def _notices(session: Tx, call: CallRow) -> list[_Notice]:
    """Return what a run's models read in place of earlier messages that were not sent.

    A step reads what existed when it began, and its own; not what another step that
    runs at the same time is told.
    """
    first = call.turn - (call.turn - 1) % TURNS_PER_STEP
    step = await session.get(StepRow, (call.run, (call.turn - 1) // TURNS_PER_STEP + 1))
    query = select(CallRow.turn, CallRow.result, CallRow.ended_at).where(
        col(CallRow.run) == call.run, col(CallRow.status) == "void"
    )
    found: list[_Notice] = []
    for turn, result, at in (await session.execute(query)).all():
        if result is None or at is None or not _is_of_message(result):
            continue
        is_own = first <= turn < call.turn
        is_before = turn < first and step is not None and at <= step.created_at
        found.append(_Notice(result, at, is_own, read=is_own or is_before))
    return found


def _is_of_message(result: str) -> bool:
    code = model_notices.read(result).code
    if code is None:
        return result.startswith(_BEFORE_CODES)
    return code is NoticeCode.MESSAGE_VOID
