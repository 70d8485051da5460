"""Proposals to raise a budget that holds runs."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from keyturn.approvals.auth import permissions
from keyturn.approvals.ops.switch_pages import show
from keyturn.approvals.web import problems, routing
from keyturn.approvals.web.page import Page, PageDep
from keyturn.orchestrator.rules.errors import InvalidValue, KeyturnError
from keyturn.orchestrator.rules.money.budget import microusd
from keyturn.orchestrator.rules.text import plain_text
from keyturn.orchestrator.store.dual_control import budget_raise, requests
from keyturn.orchestrator.store.dual_control.budget_raise import Held, Raise
from keyturn.orchestrator.store.dual_control.errors import (
    HoldsNothing,
    NeedsSecondPerson,
)
from keyturn.orchestrator.store.runs.errors import RunEnded

router = routing.of_pages()

MOST_USD = 10**9


class Asked(BaseModel):
    """The form that asks for a higher limit, as typed."""

    scope: Annotated[str, Field(max_length=300)]
    reason: Annotated[str, Field(max_length=500)] = ""
    usd: Annotated[str, Field(max_length=20)] = ""
    tokens: Annotated[str, Field(max_length=20)] = ""
    turns: Annotated[str, Field(max_length=20)] = ""


@router.post("/ops/budgets/raise")
async def raise_budget(page: PageDep, form: Annotated[Asked, Form()]) -> Response:
    """Propose to raise a budget that holds runs; another person confirms."""
    person, store = page.visitor.person, page.parts.store
    permissions.check(person, "budgets.raise")
    try:
        why = _why(form.reason)
        await requests.to_raise(store, _wanted(form), person, reason=why)
    except (InvalidValue, HoldsNothing, RunEnded, NeedsSecondPerson) as error:
        status = problems.of_error(error, instance="").problem.status
        asked = await _asked(page, form.scope)
        return await show(page, problem=str(error), status=status, budget=asked)
    return RedirectResponse("/ops?said=raise", status_code=303)


async def _asked(page: Page, scope: str) -> Held | None:
    """Return the form's budget, so that the page keeps what was typed."""
    store, sees = page.parts.store, page.visitor.person.tenant
    async with store.read() as session:
        try:
            await session.read_clock()
            return await budget_raise.held(session, scope, sees=sees)
        except KeyturnError:
            return None


def _wanted(form: Asked) -> Raise:
    return Raise(
        scope=form.scope,
        cost_microusd=_microusd(form.usd.strip()),
        tokens=_whole(form.tokens.strip(), "tokens"),
        turns=_whole(form.turns.strip(), "turns"),
    )


def _why(reason: str) -> str:
    why = plain_text.trimmed(reason)
    if not why:
        raise InvalidValue("Give a reason; the person who confirms the raise reads it.")
    return why


def _microusd(typed: str) -> int | None:
    if not typed:
        return None
    try:
        dollars = Decimal(typed)
    except InvalidOperation:
        dollars = Decimal(0)
    if not (dollars.is_finite() and 0 < dollars < MOST_USD):
        raise InvalidValue(
            f"“{typed}” is not an amount in dollars; write for example 2.50."
        )
    return microusd(dollars)


def _whole(typed: str, unit: str) -> int | None:
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and int(typed) > 0):
        raise InvalidValue(
            f"“{typed}” is not a number of {unit}; write for example 5000."
        )
    return int(typed)
