"""The loop's tools."""

from datetime import timedelta

from pydantic import BaseModel, JsonValue

from keyturn import Money, ToolContext, tool

RESULT_BYTES = 2_000
# The goal is of decisions without a window.
NO_UNDO = timedelta(0)


class Measure(BaseModel):
    """Which reading."""

    n: int


class Reading(BaseModel):
    """A reading of 2 kB."""

    n: int
    text: str


class Pay(BaseModel):
    """What to pay for which order."""

    order_id: str
    amount: Money


class Paid(BaseModel):
    """The service's receipt."""

    id: str


@tool(authority="read_only", owner="benchmarks", description="Read a gauge.")
async def measure(call: Measure, context: ToolContext) -> Reading:
    """Return a reading of 2 kB."""
    del context
    return Reading(n=call.n, text=reading(call.n))


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="benchmarks",
    description="Pay.",
    subject="order_id",
    money="amount",
)
async def pay(call: Pay, context: ToolContext) -> Paid:
    """Pay through the service `payments`."""
    body: JsonValue = call.model_dump(mode="json")
    answer = await context.connectors.writer("payments").post("/payments", body)
    return Paid.model_validate(answer)


def reading(n: int) -> str:
    """Return the text of the n-th reading."""
    return f"{n:08d}" * (RESULT_BYTES // 8)
