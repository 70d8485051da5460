"""The desk's tools."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, JsonValue

from keyturn import Compensate, Mail, Money, ToolContext, ToolError, tool
from keyturn.orchestrator.rules.contract.marks import Prose

# Tests decide and look at once.
NO_UNDO = timedelta(0)


class Find(BaseModel):
    order_id: str


class Order(BaseModel):
    order_id: str
    customer: str
    status: str
    refunded: int = 0


class Note(BaseModel):
    order_id: str
    note: str


class Refund(BaseModel):
    order_id: str
    amount: Money
    reason: Annotated[str, Prose()] = ""


class Write(BaseModel):
    subject: Annotated[str, Prose()]
    body: Annotated[str, Prose()]


class Receipt(BaseModel):
    id: str


async def _order(order_id: str, context: ToolContext) -> Order:
    found = await context.connectors.reader("shop").get(f"/orders/{order_id}")
    order = Order.model_validate(found)
    if order.customer != context.customer:
        raise ToolError(f"There is no order {order_id} of this customer.")
    return order


async def _facts(call: Refund, context: ToolContext) -> Order:
    return await _order(call.order_id, context)


async def _post(path: str, call: BaseModel, context: ToolContext) -> Receipt:
    body: JsonValue = call.model_dump(mode="json")
    answer = await context.connectors.writer("shop").post(path, body)
    return Receipt.model_validate(answer)


@tool(authority="read_only", owner="tests", description="Find an order.")
async def find_order(call: Find, context: ToolContext) -> Order:
    return await _order(call.order_id, context)


@tool(
    authority="write",
    undo=NO_UNDO,
    owner="tests",
    description="Note.",
    subject="order_id",
)
async def set_note(call: Note, context: ToolContext) -> Receipt:
    return await _post("/notes", call, context)


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Refund.",
    subject="order_id",
    money="amount",
    preview=_facts,
)
async def refund(call: Refund, context: ToolContext) -> Receipt:
    return await _post("/refunds", call, context)


async def _look_up(call: Refund, context: ToolContext) -> Receipt | None:
    found = await context.connectors.reader("shop").get(f"/paid/{call.order_id}")
    return Receipt.model_validate(found) if found else None


class TakeBack(BaseModel):
    order_id: str
    receipt: str


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Take a payment back.",
    subject="order_id",
)
async def take_back(call: TakeBack, context: ToolContext) -> Receipt:
    return await _post("/taken-back", call, context)


def _taken_back(call: Refund, receipt: dict[str, JsonValue] | None) -> TakeBack:
    if receipt is None:
        raise ToolError("Without its receipt nobody knows which payment it was.")
    return TakeBack(order_id=call.order_id, receipt=str(receipt["id"]))


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Pay; what became of it can be looked up.",
    subject="order_id",
    money="amount",
    reconcile=_look_up,
    compensate=Compensate("take_back", _taken_back),
)
async def pay(call: Refund, context: ToolContext) -> Receipt:
    return await _post("/payments", call, context)


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Top up, through a provider that honours the key.",
    subject="order_id",
    money="amount",
    idempotency_window=timedelta(hours=1),
)
async def top_up(call: Refund, context: ToolContext) -> Receipt:
    return await _post("/top-ups", call, context)


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Mail.",
    audience="customer",
)
async def write_mail(call: Write, context: ToolContext) -> Receipt:
    sent = await context.connectors.mailer().send(
        Mail(subject=call.subject, body=call.body)
    )
    return Receipt(id=sent)


@tool(authority="read_only", owner="tests", description="Breaks.")
async def broken_read(call: Find, context: ToolContext) -> Order:
    raise RuntimeError(f"no {call.order_id} for {context.customer}")
