"""Raising a budget that holds runs: checked, shown, done for two people (P4, P11)."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, func, select

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError, NotFound
from keyturn.orchestrator.rules.money.budget import TURNS_PER_STEP, Needs, in_words
from keyturn.orchestrator.rules.money.scope import RUN, BudgetScope, days_of
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store import holds
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.budgets import limits, reservations
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.dual_control.errors import HoldsNothing
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import errors
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.tables import MeterRow, ProposalRow, RunRow, StepRow

# A raise is for one emergency; a daily need belongs in the contract.
MOST_TIMES = 10
# The held run that needs least is looked for among this many.
LOOKED_AT = 200

UNITS = ("tokens", "cost_microusd", "turns")


class Raise(BaseModel):
    """What a scope may use from now on, in all; a unit left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: str
    tokens: int | None = None
    cost_microusd: int | None = None
    turns: int | None = None


@dataclass(frozen=True)
class Held:
    """A scope that holds runs: its limit, its usage, and what a turn needs."""

    scope: str
    tenant: str | None
    run: str | None
    runs: int
    # By the contract alone, the highest limit among the held runs' pinned releases.
    declared: Bounds
    may: Bounds
    taken: Bounds
    # The usage after the next turn of the held run that needs least.
    least: Bounds


async def to_raise(session: Tx, wanted: Raise, *, sees: str | None) -> Held:
    """Return the scope in which `wanted` lets a run continue, or raise why it does not.

    `sees` is the requester's tenant. Raises `NotFound`, `RunEnded`, `HoldsNothing` or
    `InvalidValue`.
    """
    found = await held(session, wanted.scope, sees=sees)
    for unit in UNITS:
        value = getattr(wanted, unit)
        if value is not None:
            _check_unit(found, unit, value)
    if all(getattr(wanted, unit) is None for unit in UNITS):
        raise InvalidValue("Give at least one new total: dollars, tokens or turns.")
    _check_suffices(found, wanted)
    return found


async def held(session: Tx, name: str, *, sees: str | None) -> Held:
    """Return a scope that holds runs; raises like `to_raise`."""
    scope = BudgetScope.parse(name)
    tenant = await _tenant(session, scope, sees=sees)
    if scope.is_over(session.now):
        raise HoldsNothing(
            f"The day of {name!r} is over: the runs that it stopped continue by themselves with "
            "the budget of the new day."
        )
    rows = await _held_steps(session, name)
    if not rows:
        raise HoldsNothing(
            f"The budget of {name!r} stops no run now, so there is no reason to raise it. "
            "`keyturn run list --status stopped` and the runs' pages say "
            "what stops each run."
        )
    meter = await session.get(MeterRow, name, populate_existing=True)
    return await _as_held(session, scope, tenant, rows, meter or _empty(name))


async def of_run(session: Tx, run: str) -> list[Held]:
    """Return the budgets that hold steps of a run."""
    query = select(StepRow.held_by).where(
        col(StepRow.run) == run, col(StepRow.held_by).startswith(hold.prefix("budget"))
    )
    by = {one for one in (await session.execute(query)).scalars() if one}
    return await _all_held(session, sorted(by))


async def of_days(session: Tx, *, sees: str | None, limit: int) -> list[Held]:
    """Return the daily budgets that hold runs; with a tenant, only its own."""
    query = (
        select(StepRow.held_by)
        .where(
            col(StepRow.held_by).is_not(None),
            col(StepRow.held_by).startswith(hold.prefix("budget")),
            col(StepRow.held_by).not_like(f"{hold.prefix('budget')}{RUN}%"),
        )
        .distinct()
        .order_by(col(StepRow.held_by))
        .limit(limit)
    )
    if sees is not None:
        own = hold.prefix("budget") + days_of("tenant", sees)
        query = query.where(col(StepRow.held_by).startswith(own, autoescape=True))
    by = [one for one in (await session.execute(query)).scalars() if one]
    return await _all_held(session, by)


async def do(session: Tx, proposal: ProposalRow, *, by: str) -> str | None:
    """Raise a budget in this transaction and signal its runs, or return why not."""
    names = set(Raise.model_fields)
    wanted = Raise.model_validate(
        {name: value for name, value in proposal.target.items() if name in names}
    )
    before = proposal.target["before"]
    try:
        BudgetScope.parse(wanted.scope)
        # Its lock comes first: a run that is being held looks again, or is found here.
        meter = await reservations.locked(session, wanted.scope)
        now = await session.read_clock()
        found = await to_raise(session, wanted, sees=proposal.tenant)
    except KeyturnError as error:
        return str(error)
    if found.may.model_dump() != before:
        return f"the budget of {wanted.scope} was raised since."
    meter.raised_tokens = wanted.tokens or meter.raised_tokens
    meter.raised_microusd = wanted.cost_microusd or meter.raised_microusd
    meter.raised_turns = wanted.turns or meter.raised_turns
    signalled = await holds.signal(session, {hold.by_budget(wanted.scope)})
    entry = log.Entry(
        actor=by,
        kind="budget.raised",
        tenant=found.tenant,
        run=found.run,
        subject=wanted.scope,
        payload={
            "before": before,
            "after": limits.as_raised(found.declared, meter).model_dump(),
            "taken": found.taken.model_dump(),
            "proposed_by": proposal.proposed_by,
            "signalled": len(signalled),
        },
    )
    log.record(session, entry, at=now)
    return None


def _check_unit(found: Held, unit: str, value: int) -> None:
    declared, may = getattr(found.declared, unit), getattr(found.may, unit)
    wanted = in_words(unit, value)
    if declared is None:
        raise InvalidValue(
            f"The budget of {found.scope} has no limit for {wanted}; leave it out."
        )
    if value <= may:
        raise InvalidValue(
            f"{wanted} is not a raise: {found.scope} may already use {in_words(unit, may)}. "
            "Give the new total."
        )
    most = declared * MOST_TIMES
    if unit == "turns":
        most = min(most, TURNS_PER_STEP - 1)
    if value > most:
        raise InvalidValue(
            f"{wanted} is too much: a raise can reach {in_words(unit, most)} at most, "
            f"{MOST_TIMES} times the budget in the contract. For more, change the contract."
        )


def _check_suffices(found: Held, wanted: Raise) -> None:
    """Refuse a raise after which everything would be held again at once."""
    for unit in UNITS:
        may = getattr(found.may, unit)
        if may is None:
            continue
        may, least = getattr(wanted, unit) or may, getattr(found.least, unit)
        if least > may:
            taken = getattr(found.taken, unit)
            raise InvalidValue(
                f"{in_words(unit, may)} for {found.scope} is too little for any run to continue: "
                f"{in_words(unit, taken)} are used or reserved, and the next turn may need "
                f"{in_words(unit, least - taken)} more. Raise it to "
                f"{in_words(unit, least)} at least."
            )


async def _tenant(session: Tx, scope: BudgetScope, *, sees: str | None) -> str | None:
    """Return the budget's tenant, or raise `NotFound` for another tenant's budget."""
    tenant = scope.name if scope.kind == "tenant" else None
    if scope.kind == "run":
        run = await run_lookup.get(session, scope.name)
        tenant = run.tenant
        if sees in (None, tenant) and run.status in ENDED_RUNS:
            raise errors.RunEnded(run.id, run.status)
    # A workflow's day belongs to every tenant: only people of the whole installation
    # may raise it.
    if sees not in (None, tenant):
        raise NotFound(kind="budget", name=str(scope))
    return tenant


async def _held_steps(session: Tx, name: str) -> Sequence[tuple[StepRow, RunRow]]:
    query = (
        select(StepRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(StepRow.run))
        .where(
            col(StepRow.held_by) == str(hold.by_budget(name)),
            col(StepRow.held_by).is_not(None),
            col(RunRow.status).not_in(ENDED_RUNS),
        )
        .order_by(col(StepRow.run), col(StepRow.step))
        .limit(LOOKED_AT)
    )
    return [(step, run) for step, run in (await session.execute(query)).all()]


async def _count(session: Tx, name: str) -> int:
    query = select(func.count(func.distinct(col(StepRow.run)))).where(
        col(StepRow.held_by) == str(hold.by_budget(name)),
        col(StepRow.held_by).is_not(None),
    )
    return (await session.execute(query)).scalar_one()


async def _as_held(
    session: Tx,
    scope: BudgetScope,
    tenant: str | None,
    rows: Sequence[tuple[StepRow, RunRow]],
    meter: MeterRow,
) -> Held:
    declared = await _declared(session, scope, [run for _, run in rows])
    taken = Bounds(
        tokens=meter.held_tokens + meter.used_tokens,
        cost_microusd=meter.held_microusd + meter.used_microusd,
        turns=rows[0][1].turns if scope.kind == "run" else None,
    )
    return Held(
        scope=str(scope),
        tenant=tenant,
        run=scope.name if scope.kind == "run" else None,
        runs=await _count(session, str(scope)),
        declared=declared,
        may=limits.as_raised(declared, meter),
        taken=taken,
        least=_least(taken, [step for step, _ in rows]),
    )


async def _declared(session: Tx, scope: BudgetScope, held: Sequence[RunRow]) -> Bounds:
    """Return the most that the releases of held runs give the scope, by unit."""
    found: list[Bounds] = []
    for one in {run.release: run for run in held}.values():
        release = await releases.load(session, one.release)
        bounds = limits.bounds(
            release.budget,
            run=one.id,
            workflow=one.workflow,
            tenant=one.tenant,
            now=session.now,
        )
        found += [bounds[str(scope)]] if str(scope) in bounds else []
    return Bounds(**{unit: _most(found, unit) for unit in UNITS})


def _most(found: Sequence[Bounds], unit: str) -> int | None:
    given = [getattr(one, unit) for one in found]
    return max((one for one in given if one is not None), default=None)


def _least(taken: Bounds, steps: Sequence[StepRow]) -> Bounds:
    """Return the usage after the next turn of the step that needs least."""
    needs = [Needs.model_validate(step.needs) for step in steps if step.needs]
    one = min(
        needs, key=lambda need: (need.microusd, need.tokens), default=Needs(scope="")
    )
    return Bounds(
        tokens=(taken.tokens or 0) + one.tokens,
        cost_microusd=(taken.cost_microusd or 0) + one.microusd,
        turns=max(one.turns, taken.turns or 0),
    )


async def _all_held(session: Tx, by: Sequence[str]) -> list[Held]:
    found: list[Held] = []
    for one in by:
        try:
            name = one.removeprefix(hold.prefix("budget"))
            found.append(await held(session, name, sees=None))
        except (HoldsNothing, errors.RunEnded):
            continue
    return found


def _empty(name: str) -> MeterRow:
    return MeterRow(scope=name)
