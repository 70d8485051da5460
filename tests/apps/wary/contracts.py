"""Every action of the support desk asks somebody; its model speaks the other format."""

from keyturn import Rule
from keyturn.workflows.support import contracts as shipped

ACTIONS = ("refund_order", "email_customer", "change_address", "add_order_note")

WARY = shipped.SUPPORT.model_copy(
    update={
        "name": "wary-ticket",
        "model": "anthropic/claude-sonnet-4-5",
        "rules": tuple(Rule(tool, approvers=1, role="agent") for tool in ACTIONS),
    }
)
