"""The shop's sixteen tools; each acts for the run's customer in the run's tenant."""

from datetime import timedelta

from examples.retail import answers, calls, desk, facts
from examples.retail.arithmetic import NotASum
from examples.retail.arithmetic import calculate as sum_up
from examples.retail.shop.orders import Order
from examples.retail.shop.products import Product, Variant
from keyturn import ToolContext, ToolError, tool

OWNER = "retail-service"
# The shop keeps its answers as long as it runs; a week is all that we ask of it.
KEPT = timedelta(days=7)
# Programs decide the recorded cases, and their hands do not slip.
NO_UNDO = timedelta(0)


@tool(authority="read_only", owner=OWNER)
async def find_user_id_by_email(
    call: calls.FindUserIdByEmail, context: ToolContext
) -> answers.UserId:
    """Find the customer's user id by email address; try this way first."""
    found = await desk.read(context, "users", params=call.model_dump())
    return answers.UserId.model_validate(found)


@tool(authority="read_only", owner=OWNER)
async def find_user_id_by_name_zip(
    call: calls.FindUserIdByNameZip, context: ToolContext
) -> answers.UserId:
    """Find the customer's user id by name and zip code, where there is no email."""
    found = await desk.read(context, "users", params=call.model_dump())
    return answers.UserId.model_validate(found)


@tool(authority="read_only", owner=OWNER)
async def get_user_details(
    call: calls.GetUserDetails, context: ToolContext
) -> answers.Customer:
    """Get the customer's address, payment methods and order ids."""
    found = await desk.read(context, "users", call.user_id)
    return answers.Customer.model_validate(found)


@tool(authority="read_only", owner=OWNER)
async def get_order_details(call: calls.GetOrderDetails, context: ToolContext) -> Order:
    """Get an order's status, items, address and payments."""
    return await desk.order_of(context, call.order_id)


@tool(authority="read_only", owner=OWNER)
async def get_product_details(
    call: calls.GetProductDetails, context: ToolContext
) -> Product:
    """Get a product with all its variants, their prices and whether they are to be had."""
    return await desk.product_of(context, call.product_id)


@tool(authority="read_only", owner=OWNER)
async def get_item_details(call: calls.GetItemDetails, context: ToolContext) -> Variant:
    """Get one item's options and price, and whether it is to be had."""
    return Variant.model_validate(await desk.read(context, "items", call.item_id))


@tool(authority="read_only", owner=OWNER)
async def list_all_product_types(
    call: calls.ListAllProductTypes, context: ToolContext
) -> answers.ProductIds:
    """List the names and ids of all products; each comes in several items."""
    del call
    found = {"product_ids": await desk.read(context, "products")}
    return answers.ProductIds.model_validate(found)


@tool(authority="read_only", owner=OWNER)
async def calculate(call: calls.Calculate, context: ToolContext) -> answers.Result:
    """Calculate a sum, rounded to two places."""
    del context
    try:
        return answers.Result(result=sum_up(call.expression))
    except NotASum as error:
        raise ToolError(str(error)) from None


@tool(authority="write", undo=NO_UNDO, owner=OWNER, idempotency_window=KEPT)
async def transfer_to_human_agents(
    call: calls.TransferToHumanAgents, context: ToolContext
) -> answers.Message:
    """Hand the customer over to a person, where asked to or where no tool helps."""
    answer = await desk.change(context, "transfers", call=call)
    return answers.Message.model_validate(answer)


# Address changes name no subject: a second one puts the first right, which is no
# second refund, and need not be asked.
@tool(authority="write", undo=NO_UNDO, owner=OWNER, idempotency_window=KEPT)
async def modify_user_address(
    call: calls.ModifyUserAddress, context: ToolContext
) -> answers.Customer:
    """Change the customer's default address; orders keep theirs."""
    place = ("users", call.user_id, "address")
    answer = await desk.change(context, *place, call=call, without="user_id")
    return answers.Customer.model_validate(answer)


@tool(authority="write", undo=NO_UNDO, owner=OWNER, idempotency_window=KEPT)
async def modify_pending_order_address(
    call: calls.ModifyPendingOrderAddress, context: ToolContext
) -> Order:
    """Send a pending order to another address."""
    return await _change_order(call, context, "address")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner=OWNER,
    service=desk.SERVICE,
    subject="order_id",
    money=facts.order_money,
    preview=facts.cancel_facts,
    idempotency_window=KEPT,
)
async def cancel_pending_order(
    call: calls.CancelPendingOrder, context: ToolContext
) -> Order:
    """Cancel a pending order and refund it: gift cards at once, others in 5-7 days."""
    return await _change_order(call, context, "cancellation")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner=OWNER,
    service=desk.SERVICE,
    subject="order_id",
    money=facts.return_money,
    preview=facts.return_facts,
    idempotency_window=KEPT,
)
async def return_delivered_order_items(
    call: calls.ReturnDeliveredOrderItems, context: ToolContext
) -> Order:
    """Ask for a return of delivered items; the customer is told how by email."""
    return await _change_order(call, context, "return")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner=OWNER,
    service=desk.SERVICE,
    subject="order_id",
    preview=facts.swap_facts,
    idempotency_window=KEPT,
)
async def exchange_delivered_order_items(
    call: calls.ExchangeDeliveredOrderItems, context: ToolContext
) -> Order:
    """Ask for an exchange of delivered items, once an order; all items in one call."""
    return await _change_order(call, context, "exchange")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner=OWNER,
    service=desk.SERVICE,
    subject="order_id",
    preview=facts.swap_facts,
    idempotency_window=KEPT,
)
async def modify_pending_order_items(
    call: calls.ModifyPendingOrderItems, context: ToolContext
) -> Order:
    """Change items of a pending order, once an order; all items in one call."""
    return await _change_order(call, context, "items")


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner=OWNER,
    service=desk.SERVICE,
    subject="order_id",
    money=facts.payment_money,
    preview=facts.payment_facts,
    idempotency_window=KEPT,
)
async def modify_pending_order_payment(
    call: calls.ModifyPendingOrderPayment, context: ToolContext
) -> Order:
    """Pay a pending order with another of the customer's payment methods."""
    return await _change_order(call, context, "payment")


OrderChange = (
    calls.CancelPendingOrder
    | calls.ReturnDeliveredOrderItems
    | facts.ItemSwap
    | calls.ModifyPendingOrderPayment
    | calls.ModifyPendingOrderAddress
)


async def _change_order(call: OrderChange, context: ToolContext, what: str) -> Order:
    place = ("orders", call.order_id, what)
    answer = await desk.change(context, *place, call=call, without="order_id")
    return Order.model_validate(answer)
