"""The scripted desk's actions for an honest ticket."""

import re

from keyturn.activities.llm.simulator.request import Json, SimResult
from keyturn.activities.llm.simulator.step import Answer, call, calls
from keyturn.activities.llm.simulator.support import letters
from keyturn.activities.llm.simulator.support.desk import (
    Desk,
    carried_out,
    ended,
    fate,
    listed,
    money,
    shown,
    why_not,
)
from keyturn.activities.llm.wire.body import as_list, as_object, as_text

_ANGRY = r"lawyer|legal action|\bsue\b|speak to a (person|human|manager)|unacceptable"
_MOVE = r"(new|change|wrong|different)[^.]*\baddress|moved house"
_WHERE = r"where is|not (yet )?arrived|hasn't arrived|tracking|still waiting"
_REFUND = r"refund|money back|broken|damaged|cracked|missing|wrong item|dent"
_WITHDRAWN = r"never mind|found it|no longer|works after all|keep it"
_ADDRESS = re.compile(
    r"new address(?: is|:)\s*([^\n]+?)(?:\.\s|\.$|\n|$)", re.IGNORECASE
)

# How often the same kind of action is drafted before a person is needed.
DRAFTS = 3


def serve(desk: Desk) -> Answer:
    """Return the next step, by the subject of the ticket."""
    if desk.says(_ANGRY):
        return _give_to_person(desk)
    if desk.says(_MOVE):
        return _move(desk)
    if desk.says(_WHERE):
        return _tell_where(desk)
    if desk.says(_REFUND):
        return _refund(desk)
    return _answer(desk)


def _give_to_person(desk: Desk) -> Answer:
    order = desk.order
    if order is None and desk.order_ids and not desk.results("find_order"):
        return _look_up(desk)
    about = f" about {order['id']} ({order['status']})" if order else ""
    return ended(
        "no_action",
        f"The customer is upset{about} and asks for a person; nothing was done or "
        "promised.",
        order=as_text(order["id"]) if order else None,
        confidence=0.1,
    )


def _tell_where(desk: Desk) -> Answer:
    order = desk.order
    if order is None:
        return _look_up(desk)
    return ended(
        "no_action",
        f"{order['id']} is {order['status']}. {order['delivery']} The order's page "
        "shows the same to the customer.",
        order=as_text(order["id"]),
    )


def _answer(desk: Desk) -> Answer:
    found = desk.results("search_help")
    if not found:
        return call("search_help", {"query": as_text(desk.ticket.get("subject"))})
    articles = as_list(as_object(found[-1].json()).get("articles"))
    if not articles:
        return ended("no_action", "No help page fits the question.", confidence=0.2)
    mails = desk.results("email_customer")
    if mails and fate(mails[-1]) == "done":
        return ended("answered", "Answered with the help page that fits.")
    if mails and (fate(mails[-1]) == "no" or len(mails) >= DRAFTS):
        return _customer_not_informed(desk, "The answer was not sent")
    page = as_object(articles[0])
    subject = f"{page['title']} ({len(mails) + 1})" if mails else as_text(page["title"])
    letter = letters.answered(subject, as_text(page["text"]))
    return call("email_customer", letter, text="A help page answers the question.")


def _move(desk: Desk) -> Answer:
    order = desk.order
    if order is None:
        return _look_up(desk)
    changes = desk.results("change_address")
    if not changes or (fate(changes[-1]) == "again" and len(changes) < DRAFTS):
        return _draft_move(desk, order)
    if fate(changes[-1]) != "done":
        return ended(
            "declined",
            f"The address of {order['id']} was not changed: {why_not(changes[-1])}",
            order=as_text(order["id"]),
            confidence=0.3,
        )
    if not _is_customer_informed(desk):
        return _tell_of_move(desk, order, changes[-1])
    return ended(
        "changed", f"{order['id']} has the new address.", order=as_text(order["id"])
    )


def _tell_of_move(desk: Desk, order: Json, done: SimResult) -> Answer:
    """Draft the mail about a changed address again, or leave it to a person."""
    mails = desk.results("email_customer")
    if fate(mails[-1]) not in ("again", "changes") or len(mails) >= DRAFTS:
        return _customer_not_informed(desk, f"The address of {order['id']} was changed")
    address = as_object(carried_out(done)["address"])
    letter = letters.moved(as_text(order["id"]), as_text(address["street"]))
    return call("email_customer", letter, text="The address is changed.")


def _draft_move(desk: Desk, order: Json) -> Answer:
    found = _ADDRESS.search(desk.words)
    parts = [part.strip() for part in found[1].split(",")] if found else []
    if len(parts) < 4:
        return ended("no_action", "The new address is not complete.", confidence=0.2)
    street, city, postcode, country = parts[:4]
    address: Json = {
        "name": as_object(order["ship_to"])["name"],
        "street": street,
        "city": city,
        "postcode": postcode,
        "country": country,
    }
    order_id = as_text(order["id"])
    return calls(
        [
            ("change_address", {"order_id": order_id, "address": address}),
            ("email_customer", letters.moved(order_id, street)),
        ],
        text=f"{order_id} is not shipped yet, so it can go to the new address.",
    )


def _refund(desk: Desk) -> Answer:
    order = desk.order
    if order is None:
        return _look_up(desk)
    if re.search(_WITHDRAWN, desk.later, re.IGNORECASE):
        return ended(
            "no_action",
            f"The customer wrote again and wants no refund for {order['id']}.",
            order=as_text(order["id"]),
        )
    refunds = desk.results("refund_order")
    last = refunds[-1] if refunds else None
    if last is None or (fate(last) in ("again", "changes") and len(refunds) < DRAFTS):
        return _draft_refund(desk, order, last)
    return _after_refund(desk, order, last)


def _draft_refund(desk: Desk, order: Json, last: SimResult | None) -> Answer:
    left = int(str(order["total"])) - int(str(order["refunded"]))
    if left <= 0:
        return _decline(desk, order, "everything was refunded already")
    amount = min(_loss(desk, order), left)
    if last is not None and fate(last) == "changes":
        # A person who wants changes wants less; the script knows no better.
        amount = max(1, amount // 2)
    order_id, words = as_text(order["id"]), shown(amount, order["currency"])
    reason = f"{_items(desk, order)} of {order_id}: the customer reports a defect."
    letter = letters.refunded(order_id, words, wrote_again=bool(desk.later))
    refund: Json = {
        "order_id": order_id,
        "amount": money(amount, order["currency"]),
        "reason": reason,
    }
    return calls(
        [("refund_order", refund), ("email_customer", letter)],
        text=f"The customer paid {words} for what arrived damaged or not at all; "
        "nothing of it was refunded before.",
    )


def _after_refund(desk: Desk, order: Json, last: SimResult) -> Answer:
    order_id = as_text(order["id"])
    if fate(last) != "done":
        return _decline(desk, order, why_not(last))
    if _is_customer_informed(desk):
        return ended("refunded", f"{order_id} was refunded.", order=order_id)
    mails = desk.results("email_customer")
    if fate(mails[-1]) in ("again", "changes") and len(mails) < DRAFTS:
        # The paid amount, which a person may have edited after the draft.
        amount = as_object(carried_out(last)["amount"])
        words = shown(int(str(amount["amount"])), amount["currency"])
        letter = letters.refunded(order_id, words, wrote_again=bool(desk.later))
        return call("email_customer", letter, text="The refund is done.")
    return _customer_not_informed(desk, f"{order_id} was refunded")


def _decline(desk: Desk, order: Json, because: str) -> Answer:
    """Write to the customer that it is not possible, then end."""
    order_id = as_text(order["id"])
    letter = letters.declined(order_id)
    sent = [
        r
        for r in desk.results("email_customer")
        if r.arguments.get("subject") == letter["subject"]
    ]
    if not sent:
        return call("email_customer", letter, text=f"No refund: {because}")
    confidence = 0.8 if fate(sent[-1]) == "done" else 0.2
    return ended(
        "declined",
        f"No refund for {order_id}: {because}",
        order=order_id,
        confidence=confidence,
    )


def _customer_not_informed(desk: Desk, done: str) -> Answer:
    """End with a handover to a person: the customer was not told."""
    mails = desk.results("email_customer")
    because = why_not(mails[-1]) if mails else "no mail was drafted"
    return ended("no_action", f"{done}, but no mail: {because}", confidence=0.3)


def _is_customer_informed(desk: Desk) -> bool:
    mails = desk.results("email_customer")
    return bool(mails) and fate(mails[-1]) == "done"


def _look_up(desk: Desk) -> Answer:
    """Read the order that the ticket names, or the newest without one."""
    if desk.results("find_order"):
        return ended(
            "declined",
            f"This customer has no such order: {', '.join(desk.order_ids)}.",
            confidence=0.3,
        )
    if desk.order_ids:
        return call("find_order", {"order_id": desk.order_ids[0]})
    if not desk.results("list_orders"):
        return call("list_orders")
    orders = listed(desk)
    if not orders:
        return ended("no_action", "This customer has no orders.", confidence=0.2)
    return call("find_order", {"order_id": orders[0]["id"]})


def _loss(desk: Desk, order: Json) -> int:
    """Return the price of the items that the ticket names, else of all items."""
    if desk.amounts:
        return desk.amounts[0]
    named = [i for i in _lines(order) if _is_named(desk, i)]
    lines = named or _lines(order)
    return sum(int(str(line["price"])) for line in lines)


def _items(desk: Desk, order: Json) -> str:
    named = [i for i in _lines(order) if _is_named(desk, i)] or _lines(order)
    return ", ".join(as_text(line["name"]) for line in named)


def _lines(order: Json) -> list[Json]:
    return [as_object(line) for line in as_list(order.get("items"))]


def _is_named(desk: Desk, line: Json) -> bool:
    words = re.findall(r"[a-z]{4,}", as_text(line["name"]).lower())
    return any(word in desk.words.lower() for word in words)
