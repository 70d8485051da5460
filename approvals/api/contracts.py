"""Contracts: what each workflow's live release declares."""

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.approval_body import MoneyBody, money_body
from keyturn.approvals.api.fields import SLUG_PATTERN
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.budget import Limit, LimitScope
from keyturn.orchestrator.rules.policy import table as policy_table
from keyturn.orchestrator.rules.policy.rules import Rule, Scalar, VerdictKind
from keyturn.orchestrator.rules.policy.table import ToolTable
from keyturn.orchestrator.store.releases import releases

router = routing.of_api("contracts")


class RuleBody(BaseModel):
    """One line of the policy; the first that matches decides."""

    model_config = ConfigDict(frozen=True)

    tool: str
    up_to: MoneyBody | None
    when: dict[str, Scalar | list[Scalar]]
    verdict: VerdictKind
    approvers: int
    role: str
    within_s: int = Field(description="The time to answer, in seconds")
    text: str = Field(description="The rule in words, as approvers read it")


class LimitBody(BaseModel):
    """A limit on money moved."""

    model_config = ConfigDict(frozen=True)

    money: MoneyBody | None
    per: LimitScope
    within_s: int


class BudgetBody(BaseModel):
    """The budget for model cost."""

    model_config = ConfigDict(frozen=True)

    cost_usd: str
    tokens: int
    turns: int
    owner: str
    workflow_day_usd: str | None
    tenant_day_usd: str | None


class Contract(BaseModel):
    """What one workflow declares; `release` is the hash of the live release."""

    model_config = ConfigDict(frozen=True)

    name: str
    release: str
    owner: str
    on_call: str
    description: str
    instructions: str
    input: dict[str, JsonValue] = Field(description="JSON Schema")
    output: dict[str, JsonValue] = Field(description="JSON Schema")
    customer: str = Field(description="The input field that contains the customer's id")
    contact: str | None
    never_sees: list[str]
    tools: list[str]
    rules: list[RuleBody]
    table: list[ToolTable] = Field(
        description="The rules as a table: each range of amounts for each action, with "
        "examples on both sides of every boundary"
    )
    budget: BudgetBody
    limits: list[LimitBody]
    fallback: dict[str, str]
    retention_s: dict[str, int]
    model: str
    safer_model: str
    models: dict[str, list[str]] = Field(
        description="The models of each alias, in order"
    )


class ContractQuery(Paged):
    """Contracts are few; they come in one page."""


@router.get("/contracts")
async def list_contracts(
    person: Reader, store: StoreDep, wanted: Annotated[ContractQuery, Query()]
) -> Page[Contract]:
    """List every workflow's contract, by name."""
    del person
    async with store.read() as session:
        found = await releases.all_live(session)
    later = [_body(one) for name, one in found if name > (wanted.cursor or "")]
    return page(later, wanted, lambda one: one.name)


@router.get("/contracts/{name}", responses=ONE)
async def show_contract(
    name: Annotated[str, Path(pattern=SLUG_PATTERN)], person: Reader, store: StoreDep
) -> Contract:
    """Show a workflow's contract: what it may read, do and spend."""
    del person
    async with store.read() as session:
        _, release = await releases.live(session, name)
    return _body(release)


def _body(release: Release) -> Contract:
    return Contract(
        name=release.workflow,
        release=release.hash(),
        owner=release.owner,
        on_call=release.on_call,
        description=release.description,
        instructions=release.instructions,
        input=release.input_schema,
        output=release.output_schema,
        customer=release.customer,
        contact=release.contact,
        never_sees=list(release.never_sees),
        tools=[tool.name for tool in release.tools],
        rules=[_rule(rule) for rule in release.rules],
        table=policy_table.of_release(release),
        budget=BudgetBody.model_validate(release.budget.model_dump(mode="json")),
        limits=[_limit(limit) for limit in release.limits],
        fallback=release.fallback.model_dump(mode="json"),
        retention_s={
            name: seconds(kept) for name, kept in release.retention.model_dump().items()
        },
        model=release.model,
        safer_model=release.safer_model,
        models={alias.name: list(alias.targets) for alias in release.aliases},
    )


def _rule(rule: Rule) -> RuleBody:
    when: dict[str, Scalar | list[Scalar]] = {
        name: sorted(want, key=str) if isinstance(want, frozenset) else want
        for name, want in rule.when.items()
    }
    return RuleBody(
        tool=rule.tool,
        up_to=money_body(rule.up_to.amount, rule.up_to.currency)
        if rule.up_to
        else None,
        when=when,
        verdict=rule.verdict,
        approvers=rule.approvers,
        role=rule.role,
        within_s=seconds(rule.within),
        text=str(rule),
    )


def _limit(limit: Limit) -> LimitBody:
    return LimitBody(
        money=money_body(limit.money.amount, limit.money.currency),
        per=limit.per,
        within_s=seconds(limit.within),
    )


def seconds(length: timedelta) -> int:
    """Return whole seconds."""
    return int(length.total_seconds())
