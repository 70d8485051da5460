"""Conflicts: people whose words a model had read when it drafted an action (P8, P10).

A person who writes into a run as its customer, or who tells the model why a draft was
not done, can make it draft what they want. Such a person may not approve that draft,
just like the person who starts a run or who edits an action upward: otherwise one
person could request a higher refund and also grant it.
"""

from pydantic import JsonValue
from sqlmodel import col, select

from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.policy import amendment
from keyturn.orchestrator.rules.status import ANSWERED_NO
from keyturn.orchestrator.rules.text import json_object
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    CustomerMessageRow,
    DecisionRow,
)


async def steered_by(session: Tx, call: CallRow, spec: ToolSpec) -> list[str]:
    """Return the people who may not approve this call, because their words led to it.

    A person who sent back a draft of the same tool may approve the new one if it
    differs only by less money or other wording. If no money moves, words about another
    tool exclude nobody.
    """
    found = [*await _writers(session, call.run), *await _answerers(session, call, spec)]
    return list(dict.fromkeys(found))


async def _writers(session: Tx, run: str) -> list[str]:
    query = select(CustomerMessageRow.by).where(
        col(CustomerMessageRow.run) == run, col(CustomerMessageRow.by).is_not(None)
    )
    return [by for by in (await session.execute(query)).scalars() if by is not None]


async def _answerers(session: Tx, call: CallRow, spec: ToolSpec) -> list[str]:
    query = (
        select(DecisionRow.person, ApprovalRow.tool, ApprovalRow.arguments)
        .join(ApprovalRow, col(ApprovalRow.id) == col(DecisionRow.approval))
        .where(
            col(ApprovalRow.run) == call.run,
            col(ApprovalRow.turn) < call.turn,
            # The model has not read a decision that was undone.
            col(ApprovalRow.status).in_(ANSWERED_NO),
            col(DecisionRow.decision) != "approve",
        )
        .order_by(col(DecisionRow.id))
    )
    drafted = _as_object(call.arguments)
    return [
        person
        for person, tool, arguments in (await session.execute(query)).all()
        if (
            not amendment.is_only_less(spec, _as_object(arguments), drafted)
            if tool == call.tool
            else spec.money is not None
        )
    ]


def _as_object(arguments: str) -> dict[str, JsonValue]:
    return json_object.parse(arguments)
