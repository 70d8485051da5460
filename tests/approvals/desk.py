"""A desk of one workflow for tests, and runs of it with calls that wait."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn import Alias, Budget, Contract, Limit, Money, Rule, ToolContext, tool
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.contract.marks import Prose
from keyturn.orchestrator.rules.contract.release import Release, of
from keyturn.orchestrator.rules.policy.rules import Verdict
from keyturn.orchestrator.rules.status import EffectStatus
from keyturn.orchestrator.rules.text import canonical, folded_name
from keyturn.orchestrator.store.approvals import request
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs import start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import ApprovalRow, CallRow, EffectRow, RunRow
from tests.tenancy import declare


class Ticket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    customer_id: str = Field(max_length=100)
    text: str = Field(max_length=2_000)


class Resolution(BaseModel):
    model_config = ConfigDict(frozen=True)

    summary: str


class Refund(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: str
    amount: Money
    reason: Annotated[str, Prose()] = ""


class Receipt(BaseModel):
    model_config = ConfigDict(frozen=True)

    receipt: str


@tool(authority="irreversible", owner="payments", subject="order_id", money="amount")
async def refund_order(call: Refund, context: ToolContext) -> Receipt:
    """Give money back."""
    raise NotImplementedError(call, context)


@tool(authority="read_only", owner="shop")
async def find_order(call: Ticket, context: ToolContext) -> Receipt:
    """Look an order up."""
    raise NotImplementedError(call, context)


SUPPORT = Contract(
    name="support",
    owner="support-platform",
    on_call="oncall@example.com",
    input=Ticket,
    output=Resolution,
    customer="customer_id",
    tools=("find_order", "refund_order"),
    rules=(
        Rule("refund_order", up_to=Money(20_00, "USD"), verdict="allow"),
        Rule("refund_order", up_to=Money(500_00, "USD"), approvers=1, role="agent"),
        Rule("refund_order", up_to=Money(5_000_00, "USD"), approvers=2, role="lead"),
    ),
    budget=Budget(
        cost_usd=Decimal("0.50"),
        tokens=200_000,
        turns=40,
        owner="support-platform",
        tenant_day_usd=Decimal("20.00"),
    ),
    limits=(Limit(Money(10_000_00, "USD"), per="customer", within=timedelta(days=1)),),
)
TOOLS = {"refund_order": refund_order, "find_order": find_order}
ALIASES = (
    Alias(name="standard", targets=("openai/gpt-5.2",)),
    Alias(name="safer", targets=("openai/gpt-5.2",)),
)
RELEASE: Release = of(SUPPORT, TOOLS, ALIASES)
PREVIEW: dict[str, JsonValue] = {"order": "O-1", "paid": "120.00 USD"}


@dataclass(frozen=True)
class Desk:
    """Makes runs, and approvals as `think` would commit them."""

    store: Store

    async def open(self) -> None:
        await releases.publish(
            self.store, RELEASE, code_version="test", signer=Signer(new_key())
        )

    async def run(
        self,
        *,
        tenant: str = "default",
        customer: str = "c-1",
        started_by: str | None = None,
        external_id: str | None = None,
    ) -> RunRow:
        new = NewRun(
            workflow="support",
            input={"customer_id": customer, "text": "My lamp is broken."},
            tenant=tenant,
            started_by=started_by,
            external_id=external_id,
        )
        await declare(self.store, tenant)
        row, _ = await start.start(self.store, new)
        return row

    async def approval(
        self,
        run: RunRow,
        *,
        index: int = 0,
        amount: int = 100_00,
        order: str = "O-1",
        needed: int = 1,
        role: str = "agent",
        within: timedelta = timedelta(hours=4),
    ) -> ApprovalRow:
        """A refund that waits for people."""
        arguments: dict[str, JsonValue] = {
            "order_id": order,
            "amount": {"amount": amount, "currency": "USD"},
            "reason": "It came broken.",
        }
        verdict = Verdict.model_validate(
            {
                "kind": "ask",
                "approvers": needed,
                "role": role,
                "within": within,
                "rule": f"refund_order: ask {needed} of role {role}",
            }
        )
        async with self.store.write() as session:
            now = await session.read_clock()
            row = await run_lookup.lock(session, run.id)
            row.status = "waiting"
            call = CallRow(
                run=run.id,
                turn=1,
                index=index,
                tool="refund_order",
                authority="irreversible",
                arguments=canonical.text(arguments),
                arguments_hash=canonical.digest(arguments),
                gate="wait",
                subject=f"order_id={order}",
                created_at=now,
            )
            session.add(call)
            await session.flush()
            return await request.ask(
                session,
                row,
                call,
                RELEASE,
                request.Question(
                    verdict,
                    preview=canonical.text(PREVIEW),
                    money=Money(amount, "USD"),
                    reason="The customer says so.",
                ),
            )

    async def effect(
        self, run: RunRow, *, status: EffectStatus = "unknown", index: int = 0
    ) -> EffectRow:
        """An effect of a call that `approval` made."""
        async with self.store.write() as session:
            now = await session.read_clock()
            call = await session.get(CallRow, (run.id, 1, index))
            assert call is not None
            row = EffectRow(
                key=keys.effect_key(call),
                run=run.id,
                turn=1,
                index=index,
                revision=0,
                tenant=run.tenant,
                workflow=run.workflow,
                customer=run.customer,
                customer_key=folded_name.fold(run.customer),
                tool=call.tool,
                corpora=[],
                subject=call.subject,
                status=status,
                arguments=call.arguments,
                preview=canonical.text(PREVIEW),
                binding="0" * 64,
                approvers=[],
                amount=100_00,
                currency="USD",
                holder="test",
                # What was sent is over, and may be looked into.
                lease_until=now - timedelta(minutes=1),
                created_at=now,
                sending_at=None if status == "leased" else now,
                error="the connection was cut",
            )
            session.add(row)
            return row
