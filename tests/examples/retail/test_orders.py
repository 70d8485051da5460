"""What may be done with an order, and what the shop's records say afterwards."""

from collections.abc import Callable

import pytest

from examples.retail.shop.counter import Counter
from examples.retail.shop.errors import NotAllowed, NotFound, ShopError
from examples.retail.shop.payments import GiftCard, Payment
from examples.retail.shop.state import State
from examples.retail.shop.swaps import Swap
from examples.retail.shop.users import Address, Name

Ask = Callable[[Counter], object]

ELSEWHERE = Address(
    address1="9 Quay", address2="", city="Rome", state="RM", country="Italy", zip="1"
)


def balance(state: State) -> float:
    card = state.user("ana").payment_methods["gift-ana"]
    assert isinstance(card, GiftCard)
    return card.balance


def swap(old: str, new: str, method: str = "card-ana") -> Swap:
    return Swap(
        item_ids=tuple(old.split()),
        new_item_ids=tuple(new.split()),
        payment_method_id=method,
    )


def line(kind: str, amount: float, method: str) -> Payment:
    fields = {"transaction_type": kind, "amount": amount, "payment_method_id": method}
    return Payment.model_validate(fields)


def test_cancelling_refunds_a_gift_card_at_once(ana: Counter, state: State):
    order = ana.cancel("#A2", "no longer needed")

    assert (order.status, order.cancel_reason) == ("cancelled", "no longer needed")
    assert order.payment_history[1:] == (line("refund", 40.2, "gift-ana"),)
    assert balance(state) == 90.25


def test_cancelling_leaves_other_methods_to_the_bank(ana: Counter, state: State):
    ana.cancel("#A1", "ordered by mistake")

    assert balance(state) == 50.05
    assert state.changes().keys() == {"orders"}


def test_return_asks_and_moves_no_money(ana: Counter, state: State):
    order = ana.send_back("#A3", ("mug-red", "lamp-ash"), "gift-ana")

    assert order.status == "return requested"
    assert order.return_items == ("lamp-ash", "mug-red")
    assert len(order.payment_history) == 1
    assert balance(state) == 50.05


def test_exchange_notes_the_difference_in_cents(ana: Counter, state: State):
    order = ana.exchange("#A3", swap("mug-red lamp-ash", "mug-blue lamp-oak"))

    assert order.status == "exchange requested"
    assert order.exchange_items == ("lamp-ash", "mug-red")
    assert order.exchange_new_items == ("lamp-oak", "mug-blue")
    assert order.exchange_price_difference == 6.9
    assert order.items == state.order("#A3").items
    assert balance(state) == 50.05


def test_changing_items_charges_the_unrounded_difference(ana: Counter, state: State):
    order = ana.change_items("#A1", swap("mug-blue", "mug-red", "gift-ana"))

    assert order.status == "pending (item modified)"
    assert order.payment_history[-1] == line("payment", 12.3 - 9.1, "gift-ana")
    assert balance(state) == 46.85


def test_changing_to_cheaper_items_is_a_refund(ana: Counter, state: State):
    order = ana.change_items("#A1", swap("lamp-oak", "lamp-ash", "gift-ana"))

    assert order.payment_history[-1] == line("refund", 40.2 - 30.1, "gift-ana")
    assert balance(state) == 60.15


def test_each_changed_item_becomes_its_own_variant(ana: Counter):
    order = ana.change_items("#A1", swap("mug-blue lamp-oak", "mug-red lamp-ash"))

    changed = [(item.item_id, item.price, item.options) for item in order.items]
    assert changed == [
        ("mug-red", 12.3, {"color": "red"}),
        ("mug-blue", 9.1, {"color": "blue"}),
        ("lamp-ash", 30.1, {"wood": "ash"}),
    ]


def test_an_item_held_twice_can_become_two_different_ones(ana: Counter):
    order = ana.change_items("#A1", swap("mug-blue mug-blue", "mug-red mug-gold"))

    assert [item.item_id for item in order.items] == ["mug-red", "mug-gold", "lamp-oak"]


def test_paying_otherwise_charges_the_new_and_refunds_the_old(
    ana: Counter, state: State
):
    order = ana.repay("#A2", "pay-ana")

    assert order.status == "pending"
    assert order.payment_history[1:] == (
        line("payment", 40.2, "pay-ana"),
        line("refund", 40.2, "gift-ana"),
    )
    assert balance(state) == 90.25


def test_order_of_calls_matters_to_a_gift_card(ana: Counter, state: State):
    with pytest.raises(NotAllowed, match="Insufficient gift card balance"):
        ana.repay("#A1", "gift-ana")
    ana.cancel("#A2", "no longer needed")

    ana.repay("#A1", "gift-ana")

    assert balance(state) == 31.85


def test_address_moves_even_after_items_were_changed(ana: Counter):
    ana.change_items("#A1", swap("mug-blue", "mug-red"))

    assert ana.move_order("#A1", ELSEWHERE).address == ELSEWHERE


def test_address_of_the_customer_is_not_that_of_the_orders(ana: Counter, state: State):
    ana.move_user("ana", ELSEWHERE)

    assert ana.find_by_name(Name(first_name="ANA", last_name="berg"), "1") == "ana"
    assert state.order("#A1").address.city == "Oslo"


REFUSED: dict[str, tuple[Ask, str]] = {
    "cancel processed": (
        lambda at: at.cancel("#A4", "no longer needed"),
        "Non-pending order cannot be cancelled",
    ),
    "cancel for a whim": (lambda at: at.cancel("#A1", "a whim"), "Invalid reason"),
    "cancel unknown": (lambda at: at.cancel("#X", "no"), "Order not found"),
    "return pending": (
        lambda at: at.send_back("#A1", ("mug-blue",), "card-ana"),
        "Non-delivered order cannot be returned",
    ),
    "return to another method": (
        lambda at: at.send_back("#A3", ("mug-red",), "pay-ana"),
        "Payment method should be the original payment method",
    ),
    "return to another's method": (
        lambda at: at.send_back("#A3", ("mug-red",), "card-bo"),
        "Payment method not found",
    ),
    "return twice what was bought once": (
        lambda at: at.send_back("#A3", ("mug-red", "mug-red"), "card-ana"),
        "Some item not found",
    ),
    "exchange pending": (
        lambda at: at.exchange("#A1", swap("mug-blue", "mug-red")),
        "Non-delivered order cannot be exchanged",
    ),
    "exchange what was not bought": (
        lambda at: at.exchange("#A3", swap("mug-blue", "mug-red")),
        "Number of mug-blue not found.",
    ),
    "exchange one for two": (
        lambda at: at.exchange("#A3", swap("mug-red", "mug-blue mug-gold")),
        "The number of items to be exchanged should match.",
    ),
    "exchange a mug for a lamp": (
        lambda at: at.exchange("#A3", swap("mug-red", "lamp-ash")),
        "Variant not found",
    ),
    "exchange for what is gone": (
        lambda at: at.exchange("#A3", swap("mug-red", "mug-gone")),
        "New item mug-gone not found or available",
    ),
    "exchange past the card": (
        lambda at: at.exchange("#A3", swap("mug-red", "mug-gold", "gift-ana")),
        "Insufficient gift card balance to pay for the price difference",
    ),
    "change processed": (
        lambda at: at.change_items("#A4", swap("mug-red", "mug-blue")),
        "Non-pending order cannot be modified",
    ),
    "change what was not bought": (
        lambda at: at.change_items("#A1", swap("mug-red", "mug-blue")),
        "mug-red not found",
    ),
    "change one for two": (
        lambda at: at.change_items("#A1", swap("mug-blue", "mug-red mug-gold")),
        "The number of items to be exchanged should match",
    ),
    "change into itself": (
        lambda at: at.change_items("#A1", swap("mug-blue", "mug-blue")),
        "The new item id should be different from the old item id",
    ),
    "change past the card": (
        lambda at: at.change_items("#A1", swap("mug-blue", "mug-gold", "gift-ana")),
        "Insufficient gift card balance to pay for the new item",
    ),
    "pay the same way": (
        lambda at: at.repay("#A1", "card-ana"),
        "The new payment method should be different from the current one",
    ),
    "pay past the card": (
        lambda at: at.repay("#A1", "gift-ana"),
        "Insufficient gift card balance to pay for the order",
    ),
    "move processed": (
        lambda at: at.move_order("#A4", ELSEWHERE),
        "Non-pending order cannot be modified",
    ),
}


@pytest.mark.parametrize(("ask", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(
    ana: Counter, state: State, ask: Ask, text: str
):
    with pytest.raises(ShopError) as refusal:
        ask(ana)

    assert refusal.value.text == text
    assert state.changes() == {}


@pytest.mark.parametrize("again", ["change", "cancel", "exchange"])
def test_items_are_changed_once(ana: Counter, again: str):
    ana.change_items("#A1", swap("mug-blue", "mug-red"))

    ask = {
        "change": lambda: ana.change_items("#A1", swap("mug-red", "mug-blue")),
        "cancel": lambda: ana.cancel("#A1", "no longer needed"),
        "exchange": lambda: ana.exchange("#A1", swap("mug-red", "mug-blue")),
    }
    with pytest.raises(NotAllowed):
        ask[again]()


def test_payment_is_changed_once(ana: Counter):
    ana.repay("#A1", "pay-ana")

    with pytest.raises(NotAllowed, match="exactly one payment"):
        ana.repay("#A1", "card-ana")


def test_unknown_customer_is_not_served(state: State):
    with pytest.raises(ShopError, match="No customer 'eve'"):
        Counter(state, "eve")


def test_other_peoples_records_are_refused(ana: Counter):
    with pytest.raises(ShopError, match="#B1 belongs to another customer"):
        ana.order("#B1")
    with pytest.raises(ShopError, match="#B1 belongs to another customer"):
        ana.cancel("#B1", "no longer needed")
    with pytest.raises(ShopError, match="bo is another customer"):
        ana.user("bo")
    with pytest.raises(ShopError, match="bo is another customer"):
        ana.move_user("bo", ELSEWHERE)


def test_sign_in_data_of_others_finds_nobody(ana: Counter):
    with pytest.raises(NotFound, match="User not found"):
        ana.find_by_email("bo@example.com")
    with pytest.raises(NotFound, match="User not found"):
        ana.find_by_name(Name(first_name="Bo", last_name="Dahl"), "5003")
