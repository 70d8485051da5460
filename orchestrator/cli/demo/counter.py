"""The demo shop's service for one signed-in customer, and its refusals."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from keyturn.orchestrator import Money
from keyturn.orchestrator.cli.demo.books import Answer, Json, Shop
from keyturn.orchestrator.rules.money.money import format_minor


class Body(BaseModel):
    """What a write asks for; a name that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RefundWanted(Body):
    """A refund as asked for."""

    order_id: str = Field(max_length=40)
    amount: Money
    reason: str = Field(max_length=500)


class NoteWanted(Body):
    """A note as asked for."""

    text: str = Field(max_length=1_000)


class AddressWanted(Body):
    """An address as asked for."""

    name: str
    street: str
    city: str
    postcode: str
    country: str


@dataclass(frozen=True)
class Counter:
    """Serves one customer in one tenant's shop."""

    shop: Shop
    customer: str

    def show_customer(self, customer: str) -> Answer:
        """Answer with the customer's own record; nobody else's."""
        found = self.shop.customer(customer) if customer == self.customer else None
        return Answer(200, found) if found else _none("customer", customer)

    def show_orders(self) -> Answer:
        """Answer with the customer's orders."""
        names = ("id", "customer_id", "status", "placed_on", "currency", "total")
        orders = self.shop.orders(self.customer)
        return Answer(200, {"orders": [{n: o[n] for n in names} for o in orders]})

    def show_order(self, order_id: str) -> Answer:
        """Answer with one order of the customer's own."""
        found = self.shop.order(self.customer, order_id)
        return Answer(200, found) if found else _none("order", order_id)

    def search_help(self, query: str) -> Answer:
        """Answer with the help pages that share most words with the query."""
        wanted = _words(query)
        shared = [(len(wanted & _words(_page(one))), one) for one in self.shop.help]
        best = sorted((s for s in shared if s[0]), key=lambda s: s[0], reverse=True)
        return Answer(200, {"articles": [one for _, one in best[:3]]})

    def refund(self, key: str, wanted: RefundWanted) -> Answer:
        """Refund once for each key, at most the rest of the order's amount."""
        order = self.shop.order(self.customer, wanted.order_id)
        if order is None:
            return _none("order", wanted.order_id)
        if wanted.amount.currency != order["currency"]:
            return _no(f"{wanted.order_id} was paid in {order['currency']}.")
        left = int(str(order["total"])) - int(str(order["refunded"]))
        if wanted.amount.amount > left:
            words = format_minor(left, wanted.amount.currency)
            return _no(f"{wanted.order_id} has {words} left to refund.")
        booked = self.shop.add_refund(
            key, self.customer, wanted.model_dump(mode="json")
        )
        return Answer(201, booked)

    def note(self, order_id: str, wanted: NoteWanted) -> Answer:
        """Add a note to an order."""
        return self._change(order_id, "a note", lambda o: _noted(o, wanted.text))

    def move(self, order_id: str, wanted: AddressWanted) -> Answer:
        """Change an order's address, until it is shipped."""
        order = self.shop.order(self.customer, order_id)
        if order is not None and order["status"] != "processing":
            return _no(f"{order_id} is {order['status']}; its address stays.")
        address: Json = {"ship_to": wanted.model_dump(mode="json")}
        return self._change(order_id, "the new address", lambda o: {**o, **address})

    def _change(
        self, order_id: str, what: str, change: Callable[[Json], Json]
    ) -> Answer:
        order = self.shop.order(self.customer, order_id)
        if order is None:
            return _none("order", order_id)
        self.shop.put_order(change(order))
        return Answer(200, {"order_id": order_id, "recorded": what})


def _none(kind: str, name: str) -> Answer:
    return Answer(404, {"error": f"This customer has no {kind} {name}."})


def _no(words: str) -> Answer:
    return Answer(422, {"error": f"{words} Nothing was changed."})


def _noted(order: Json, text: str) -> Json:
    notes = order["notes"]
    return {**order, "notes": [*(notes if isinstance(notes, list) else []), text]}


def _page(article: Json) -> str:
    return f"{article['title']} {article['text']}"


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}
