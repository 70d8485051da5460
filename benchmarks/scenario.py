"""What the scripted model does in benchmarks that decide."""

import re

from pydantic import JsonValue

from keyturn.activities.llm.simulator import SimRequest, SimStep, call, final

_ORDER = re.compile(r"pay (o[0-9a-f]{32})")
# More than the contract allows without a person.
AMOUNT: JsonValue = {"amount": 5_000, "currency": "USD"}


def pay(request: SimRequest) -> SimStep | None:
    """Ask to pay for the order that the input names, then finish."""
    found = next(filter(None, map(_ORDER.search, request.user_texts)), None)
    if found is None:
        return None
    if request.results:
        return final({"summary": "paid"})
    return call("pay", {"order_id": found[1], "amount": AMOUNT})
