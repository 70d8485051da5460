"""The support desk's tools; each acts for the run's own customer alone."""

from keyturn.activities.tools.support.mail import email_customer
from keyturn.activities.tools.support.orders import (
    find_customer,
    find_order,
    list_orders,
)
from keyturn.activities.tools.support.records import (
    add_order_note,
    change_address,
    search_help,
)
from keyturn.activities.tools.support.refunds import refund_order

__all__ = [
    "add_order_note",
    "change_address",
    "email_customer",
    "find_customer",
    "find_order",
    "list_orders",
    "refund_order",
    "search_help",
]
