"""The contract of a desk that refunds items."""

from keyturn import Money, Rule
from tests.apps.desk import contracts as desk

PRICED = desk.DESK.model_copy(
    update={
        "name": "priced",
        "tools": ("refund_items",),
        "rules": (Rule("refund_items", up_to=Money(500_00, "USD"), approvers=1),),
    }
)
