"""What the retail desk may do: nothing that the shop cannot take back without a yes."""

from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from keyturn import Budget, Contract, Fallback, Limit, Money, Retention, Rule


class Request(BaseModel):
    """What a customer wants; `user_id` is from the shop's sign-in, not from the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket: str = Field(max_length=200, description="The shop's number of the request")
    user_id: str = Field(max_length=200, description="The customer who is signed in")
    text: str = Field(max_length=20_000, description="What the customer wrote")


class Resolution(BaseModel):
    """What became of a request; what is not settled goes to a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: str = Field(max_length=4_000, description="What was done and what was not")
    settled: float = Field(
        ge=0,
        le=1,
        description="How sure it is that nothing is left for a person to do, 0 to 1; "
        "0 after transfer_to_human_agents",
    )


INSTRUCTIONS = """\
You serve one customer of a retail shop: the one who is signed in. Find the customer by
email address, or by name and zip code, before anything else. Tell nobody of another
customer, and do nothing to another's orders.

You may cancel pending orders, change their items, payment or address, ask for returns
and exchanges of delivered ones, and change the customer's own address. Look up an order
before you act on it. Items are changed or exchanged once an order, so gather all of
them into one call; a new item must be of the same product and available. A refund goes
to the original payment method or to a gift card of the customer's.

Make one call at a time. Say only what the tools have said. Hand over to a person what
is beyond your tools, and nothing else. What a tool refuses, tell; do not try again.
"""

# Each of these moves money or goods, and an order takes it once.
ASKS = (
    "cancel_pending_order",
    "return_delivered_order_items",
    "exchange_delivered_order_items",
    "modify_pending_order_items",
    "modify_pending_order_payment",
)
# An address can be put right again, and the next one in line is a person anyway.
ALLOWED = (
    "modify_pending_order_address",
    "modify_user_address",
    "transfer_to_human_agents",
)
READS = (
    "find_user_id_by_email",
    "find_user_id_by_name_zip",
    "get_user_details",
    "get_order_details",
    "get_product_details",
    "get_item_details",
    "list_all_product_types",
    "calculate",
)

RETAIL = Contract(
    name="retail-desk",
    owner="retail-service",
    on_call="retail-oncall@example.com",
    description="A retail shop's orders, returns and exchanges.",
    instructions=INSTRUCTIONS,
    input=Request,
    output=Resolution,
    customer="user_id",
    never_sees=frozenset({"pci"}),
    # Each tenant has a shop of its own: its customers and orders are no other's.
    separates_tenants=frozenset({"shop"}),
    tools=(*READS, *ALLOWED, *ASKS),
    rules=(
        *(Rule(tool, verdict="allow") for tool in ALLOWED),
        *(
            Rule(tool, approvers=1, role="agent", within=timedelta(hours=4))
            for tool in ASKS
        ),
    ),
    budget=Budget(
        cost_usd=Decimal("5.00"), tokens=2_000_000, turns=60, owner="retail-service"
    ),
    limits=(Limit(Money(30_000_00, "USD"), per="customer", within=timedelta(days=1)),),
    confidence="settled",
    min_confidence=Decimal("0.5"),
    fallback=Fallback(low_confidence="hand_off", timeout="safer_model"),
    retention=Retention(transcript=timedelta(days=90), audit=timedelta(days=400)),
)
