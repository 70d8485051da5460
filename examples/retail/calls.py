"""What a model says when it calls one of the shop's tools."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

OrderId = Annotated[str, Field(description="The order's id with its '#': '#W0000000'.")]
ItemIds = Annotated[
    tuple[str, ...],
    Field(description="Item ids, not product ids; an item bought twice stands twice."),
]
NewItemIds = Annotated[
    tuple[str, ...],
    Field(description="Place by place, an item of the same product to have instead."),
]
MethodId = Annotated[
    str,
    Field(description="One of the customer's payment methods: 'gift_card_0000000'."),
]


class Call(BaseModel):
    """Arguments of a call; a name that the tool does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FindUserIdByEmail(Call):
    """Whom to find."""

    email: str


class FindUserIdByNameZip(Call):
    """Whom to find."""

    first_name: str
    last_name: str
    zip: str


class GetUserDetails(Call):
    """Whom to look up."""

    user_id: str


class GetOrderDetails(Call):
    """What to look up."""

    order_id: OrderId


class GetProductDetails(Call):
    """What to look up."""

    product_id: Annotated[str, Field(description="A product's id, not an item's.")]


class GetItemDetails(Call):
    """What to look up."""

    item_id: Annotated[str, Field(description="An item's id, not a product's.")]


class ListAllProductTypes(Call):
    """Nothing to say."""


class Calculate(Call):
    """A sum."""

    expression: Annotated[
        str, Field(description="Numbers, + - * /, parentheses, spaces: '2 + 2'.")
    ]


class TransferToHumanAgents(Call):
    """What the person needs to know who takes over."""

    summary: str


class CancelPendingOrder(Call):
    """Which order, and why."""

    order_id: OrderId
    reason: Annotated[
        str, Field(description="'no longer needed' or 'ordered by mistake'.")
    ]


class ReturnDeliveredOrderItems(Call):
    """Which items go back, and where the refund goes."""

    order_id: OrderId
    item_ids: ItemIds
    payment_method_id: MethodId


class ExchangeDeliveredOrderItems(Call):
    """Which items become which, and who pays the difference."""

    order_id: OrderId
    item_ids: ItemIds
    new_item_ids: NewItemIds
    payment_method_id: MethodId


class ModifyPendingOrderItems(Call):
    """Which items become which, and who pays the difference."""

    order_id: OrderId
    item_ids: ItemIds
    new_item_ids: NewItemIds
    payment_method_id: MethodId


class ModifyPendingOrderPayment(Call):
    """Which order, and what pays for it from now on."""

    order_id: OrderId
    payment_method_id: MethodId


class Address(Call):
    """A postal address."""

    address1: str
    address2: Annotated[str, Field(description="'Apt 1', or '' where there is none.")]
    city: str
    state: Annotated[str, Field(description="Two letters: 'CA'.")]
    country: str
    zip: str


class ModifyPendingOrderAddress(Address):
    """Which order goes where."""

    order_id: OrderId


class ModifyUserAddress(Address):
    """Who lives where."""

    user_id: str
