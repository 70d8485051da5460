"""The inbox lists: what waits, what was decided, which runs were handed over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy import select as select_many
from sqlmodel import SQLModel, and_, col, func, select

from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.store.approvals import eligibility
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.approvals.queue_filter import Place
from keyturn.orchestrator.store.db import open_rows, row_count
from keyturn.orchestrator.store.db.row_count import Total
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
    NoteRow,
    RunRow,
)
from keyturn.orchestrator.store.tables.types import Utc


@dataclass(frozen=True)
class Waiting:
    """One approval of the queue, with how many have said yes and who they are."""

    approval: ApprovalRow
    run: RunRow
    release: Release
    given: int
    deciders: tuple[str, ...]


async def queue(
    session: Tx,
    conditions: Sequence[ColumnElement[bool]],
    *,
    limit: int,
    after: Place | None = None,
) -> list[Waiting]:
    """Return the matching approvals that wait for people, earliest deadline first."""
    query = _waiting(select(ApprovalRow, RunRow), conditions)
    query = query.order_by(col(ApprovalRow.answer_by), col(ApprovalRow.id)).limit(limit)
    if after is not None:
        query = query.where(after.behind())
    rows: list[tuple[ApprovalRow, RunRow]] = [
        tuple(row) for row in (await session.execute(query)).all()
    ]
    given = await approval_lookup.decisions_of(session, [row.id for row, _ in rows])
    return [
        Waiting(
            approval=approval,
            run=run,
            release=await releases.load(session, approval.release),
            given=len(eligibility.who_agreed(approval, given.get(approval.id, ()))),
            deciders=tuple(one.person for one in given.get(approval.id, ())),
        )
        for approval, run in rows
    ]


async def queue_length(
    session: Tx,
    conditions: Sequence[ColumnElement[bool]],
    *,
    of_runs: bool,
) -> Total:
    """Return how many match and wait; `of_runs`: a condition concerns runs.

    Those are counted only as far as people read: each has its run looked up.
    """
    if of_runs:
        fits = _waiting(select(col(ApprovalRow.id)), conditions)
        in_order = fits.order_by(col(ApprovalRow.answer_by), col(ApprovalRow.id))
        return await row_count.total(session, in_order)
    query = _waiting(select(func.count()), conditions, of_runs=False)
    return Total((await session.execute(query)).scalar_one(), is_more=False)


async def queue_groups(
    session: Tx, conditions: Sequence[ColumnElement[bool]]
) -> list[tuple[str, str, int]]:
    """Return how many match and wait for each tool and rule, by their names."""
    pair = (col(ApprovalRow.tool), col(ApprovalRow.rule))
    query = _waiting(select(*pair, func.count()), conditions)
    query = query.group_by(*pair).order_by(*pair)
    return [tuple(row) for row in (await session.execute(query)).all()]


def _waiting(
    query: Any,  # noqa: ANN401 any select
    conditions: Sequence[ColumnElement[bool]],
    *,
    of_runs: bool = True,
) -> Any:  # noqa: ANN401 as above
    query = query.select_from(ApprovalRow).where(open_rows.approvals(), *conditions)
    if not of_runs:
        return query
    return query.join(RunRow, col(RunRow.id) == col(ApprovalRow.run))


@dataclass(frozen=True)
class Names:
    """The names by which the waiting items can be filtered."""

    tools: list[str]
    workflows: list[str]
    teams: list[str]
    languages: list[str]


async def queue_names(session: Tx, *, tenant: str | None) -> Names:
    """Return the names in the waiting items, each once."""
    columns = (
        col(ApprovalRow.tool),
        col(ApprovalRow.workflow),
        col(ApprovalRow.team),
        col(ApprovalRow.language),
    )
    query = select_many(*columns).where(open_rows.approvals()).distinct()
    if tenant is not None:
        query = query.where(col(ApprovalRow.tenant) == tenant)
    rows: list[tuple[str | None, ...]] = [
        tuple(row) for row in (await session.execute(query)).all()
    ]
    tools, workflows, teams, spoken = (
        sorted({str(row[n]) for row in rows if row[n]}) for n in range(len(columns))
    )
    return Names(tools, workflows, teams, spoken)


@dataclass(frozen=True)
class Decided:
    """One of a person's decisions and its outcome."""

    decision: DecisionRow
    approval: ApprovalRow
    call: CallRow
    release: Release
    effect: EffectRow | None


async def decided_total(session: Tx, person: str) -> Total:
    """Return how many decisions a person has made."""
    query = select(DecisionRow.id).where(col(DecisionRow.person) == person)
    return await row_count.total(session, query.order_by(col(DecisionRow.id).desc()))


async def decided_by(
    session: Tx, person: str, *, limit: int, before: int | None = None
) -> list[Decided]:
    """Return a person's decisions, newest first; `before` is a decision's id."""
    query = (
        select(DecisionRow, ApprovalRow, CallRow)
        .join(ApprovalRow, col(ApprovalRow.id) == col(DecisionRow.approval))
        .join(
            CallRow,
            and_(
                col(CallRow.run) == col(ApprovalRow.run),
                col(CallRow.turn) == col(ApprovalRow.turn),
                col(CallRow.index) == col(ApprovalRow.index),
            ),
        )
        .where(col(DecisionRow.person) == person)
        .order_by(col(DecisionRow.id).desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(col(DecisionRow.id) < before)
    rows = (await session.execute(query)).all()
    keys = [approval.id for _, approval, _ in rows]
    found = select(EffectRow).where(col(EffectRow.approval).in_(keys))
    effects = {one.approval: one for one in (await session.execute(found)).scalars()}
    return [
        Decided(
            decision,
            approval,
            call,
            await releases.load(session, approval.release),
            effects.get(approval.id),
        )
        for decision, approval, call in rows
    ]


async def counts(session: Tx, *, tenant: str | None) -> tuple[int, int, int]:
    """Return how many approvals wait, hand-offs are open and effects are unknown."""
    waiting = _count(ApprovalRow, open_rows.approvals())
    handed = _count(RunRow, open_rows.handoffs())
    unknown = _count(EffectRow, open_rows.to_find_out())
    if tenant is not None:
        waiting = waiting.where(col(ApprovalRow.tenant) == tenant)
        handed = handed.where(col(RunRow.tenant) == tenant)
        unknown = unknown.where(col(EffectRow.tenant) == tenant)
    found = [
        (await session.execute(one)).scalar_one() for one in (waiting, handed, unknown)
    ]
    return found[0], found[1], found[2]


def _count(table: type[SQLModel], condition: Any) -> Any:  # noqa: ANN401 SQL
    return select(func.count()).select_from(table).where(condition)


async def handoffs(
    session: Tx,
    *,
    tenant: str | None,
    limit: int,
    after: str | None = None,
) -> list[tuple[RunRow, list[NoteRow]]]:
    """Return runs handed to people and not yet settled, oldest first, with notes.

    `after` is the last run of the page before; it may be settled by now.
    """
    query = (
        select(RunRow)
        .where(open_rows.handoffs())
        .order_by(col(RunRow.ended_at), col(RunRow.id))
        .limit(limit)
    )
    if tenant is not None:
        query = query.where(col(RunRow.tenant) == tenant)
    last = await session.get(RunRow, after) if after is not None else None
    if last is not None:
        place = tuple_(literal(last.ended_at, Utc), literal(last.id))
        query = query.where(tuple_(col(RunRow.ended_at), col(RunRow.id)) > place)
    found = list((await session.execute(query)).scalars())
    said = (
        select(NoteRow)
        .where(col(NoteRow.run).in_([run.id for run in found]))
        .order_by(col(NoteRow.id))
    )
    by_run: dict[str, list[NoteRow]] = {}
    for note in (await session.execute(said)).scalars():
        by_run.setdefault(note.run, []).append(note)
    return [(run, by_run.get(run.id, [])) for run in found]
