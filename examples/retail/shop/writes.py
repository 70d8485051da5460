"""What can be changed over HTTP: each write whole or not at all, once for each key."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse

from examples.retail.shop.access import CounterHere, ShopHere, may_write
from examples.retail.shop.answers import Answer, done, refused
from examples.retail.shop.counter import Counter
from examples.retail.shop.errors import ShopError
from examples.retail.shop.journal import Asked
from examples.retail.shop.records import Record
from examples.retail.shop.swaps import Swap
from examples.retail.shop.users import Address

router = APIRouter(prefix="/{tenant}", dependencies=[Depends(may_write)])


class Cancellation(Record):
    """Why an order is cancelled."""

    reason: str


class Return(Record):
    """Items to be sent back, and where the refund goes."""

    item_ids: tuple[str, ...]
    payment_method_id: str


class Repayment(Record):
    """The payment method that is to pay instead."""

    payment_method_id: str


class Transfer(Record):
    """What a person should know who takes over from here."""

    summary: str


class Transferred(Record):
    """That a person takes over; nothing in the shop's records says so."""

    message: str = "Transfer successful"


class Visit:
    """One write that a customer asks for, under the key that came with it."""

    def __init__(
        self,
        shop: ShopHere,
        counter: CounterHere,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=300)] = None,
    ) -> None:
        self._shop = shop
        self._counter = counter
        self._operation = f"{request.method} {request.url.path}"
        self._key = idempotency_key

    def write(self, body: Record, act: Callable[[Counter], Record]) -> JSONResponse:
        """Act and answer, or give the answer that the key had before."""
        asked = Asked(
            customer=self._counter.customer,
            operation=self._operation,
            body=body.plain(),
        )
        answer = self._shop.journal.once(self._key, asked, lambda: self._try(act))
        return JSONResponse(answer.body, status_code=answer.status)

    def _try(self, act: Callable[[Counter], Record]) -> Answer:
        try:
            return done(act(self._counter))
        except ShopError as error:
            return refused(error)


VisitHere = Annotated[Visit, Depends()]


@router.post("/orders/{order_id}/cancellation")
async def cancel(visit: VisitHere, order_id: str, body: Cancellation) -> JSONResponse:
    """Cancel a pending order; give it as it is then."""
    return visit.write(body, lambda counter: counter.cancel(order_id, body.reason))


@router.post("/orders/{order_id}/return")
async def send_back(visit: VisitHere, order_id: str, body: Return) -> JSONResponse:
    """Ask for a return of delivered items; give the order as it is then."""
    items, method = body.item_ids, body.payment_method_id
    return visit.write(body, lambda counter: counter.send_back(order_id, items, method))


@router.post("/orders/{order_id}/exchange")
async def exchange(visit: VisitHere, order_id: str, body: Swap) -> JSONResponse:
    """Ask for an exchange of delivered items; give the order as it is then."""
    return visit.write(body, lambda counter: counter.exchange(order_id, body))


@router.post("/orders/{order_id}/items")
async def change_items(visit: VisitHere, order_id: str, body: Swap) -> JSONResponse:
    """Change items of a pending order; give it as it is then."""
    return visit.write(body, lambda counter: counter.change_items(order_id, body))


@router.post("/orders/{order_id}/payment")
async def repay(visit: VisitHere, order_id: str, body: Repayment) -> JSONResponse:
    """Pay a pending order in another way; give it as it is then."""
    method = body.payment_method_id
    return visit.write(body, lambda counter: counter.repay(order_id, method))


@router.post("/orders/{order_id}/address")
async def move_order(visit: VisitHere, order_id: str, body: Address) -> JSONResponse:
    """Send a pending order to another address; give it as it is then."""
    return visit.write(body, lambda counter: counter.move_order(order_id, body))


@router.post("/users/{user_id}/address")
async def move_user(visit: VisitHere, user_id: str, body: Address) -> JSONResponse:
    """Change the customer's default address; give the customer as it is then."""
    return visit.write(body, lambda counter: counter.move_user(user_id, body))


@router.post("/transfers")
async def transfer(visit: VisitHere, body: Transfer) -> JSONResponse:
    """Have a person take over; the shop's state stays as it is."""
    return visit.write(body, lambda _: Transferred())
