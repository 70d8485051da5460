"""A request to the support desk's model: the ticket, and the actions so far."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from keyturn.activities.llm.simulator.request import Json, SimRequest, SimResult
from keyturn.activities.llm.simulator.step import Answer, final
from keyturn.activities.llm.wire.body import as_list, as_object, as_text
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import NoticeCode

ORDER = re.compile(r"\bO-\d{3,8}\b")
_INPUT = re.compile(r"<input>\s*(\{.*\})\s*</input>", re.DOTALL)
_AMOUNT = re.compile(
    r"\$\s?(\d[\d,]*(?:\.\d\d)?)|(\d[\d,]*(?:\.\d\d)?)\s?(?:USD|dollars|EUR)"
)
_DONE = frozenset({NoticeCode.CALL_DONE, NoticeCode.CALL_FOUND_DONE})

Fate = Literal["done", "again", "changes", "no"]


@dataclass(frozen=True)
class Desk:
    """The state that the scripted model uses."""

    request: SimRequest
    ticket: Json

    @classmethod
    def of(cls, request: SimRequest) -> "Desk | None":
        """Return the desk that sent the request, or None."""
        if not {"refund_order", "email_customer"} <= request.tools.keys():
            return None
        found = _INPUT.search(next(iter(request.user_texts), ""))
        if found is None:
            return None
        try:
            ticket = as_object(json.loads(found[1]))
        except ValueError:
            return None
        return cls(request, ticket) if "customer_id" in ticket else None

    @property
    def words(self) -> str:
        """Return the customer's first message."""
        return f"{self.ticket.get('subject', '')}\n{self.ticket.get('message', '')}"

    @property
    def later(self) -> str:
        """Return the customer's later messages."""
        return "\n".join(self.request.user_texts[1:])

    @property
    def order_ids(self) -> list[str]:
        """Return the orders that the ticket names, the form's choice first."""
        chosen = as_text(self.ticket.get("order_id"))
        named = ORDER.findall(self.words)
        return list(dict.fromkeys([*([chosen] if chosen else []), *named]))

    @property
    def amounts(self) -> list[int]:
        """Return the amounts that the ticket names, in minor units."""
        found = (one[0] or one[1] for one in _AMOUNT.findall(self.words))
        return [round(float(text.replace(",", "")) * 100) for text in found]

    @property
    def order(self) -> Json | None:
        """Return the order as it was last read, or None."""
        found = (as_object(r.json()) for r in self.results("find_order"))
        return next((o for o in reversed(list(found)) if "total" in o), None)

    def results(self, tool: str) -> list[SimResult]:
        """Return this tool's results so far."""
        return [r for r in self.request.results if r.name == tool]

    def says(self, pattern: str) -> bool:
        """Return whether the customer's first message matches."""
        return re.search(pattern, self.words, re.IGNORECASE) is not None


def fate(result: SimResult) -> Fate:
    """Return the outcome of an action, as the model is told.

    `again`: it is void and may be drafted again; `changes`: a person wants changes.
    """
    if is_done(result):
        return "done"
    code = model_notices.read(result.text).code
    if code is NoticeCode.CALL_CHANGES:
        return "changes"
    return "again" if code in model_notices.VOID else "no"


def is_done(result: SimResult) -> bool:
    """Return whether it was done: a receipt is JSON without a code.

    Chat completions do not mark errors, so the text alone must do.
    """
    answer = model_notices.read(result.text)
    if answer.code is not None:
        return answer.code in _DONE
    try:
        return isinstance(json.loads(answer.words), dict)
    except ValueError:
        return False


def carried_out(result: SimResult) -> Json:
    """Return the arguments that were used, which a person may have edited."""
    edited = model_notices.read(result.text).arguments
    return as_object(json.loads(edited)) if edited is not None else result.arguments


def why_not(result: SimResult) -> str:
    """Return the reason that a person gave, or the system's own words."""
    return model_notices.reason(model_notices.read(result.text))


def listed(desk: Desk) -> list[Json]:
    """Return the customer's orders as they were listed; none before that."""
    found = [as_object(r.json()) for r in desk.results("list_orders")]
    orders = as_list(found[-1].get("orders")) if found else []
    return [as_object(one) for one in orders]


def money(amount: int, currency: JsonValue = "USD") -> Json:
    """Return an amount in the tools' format."""
    return {"amount": amount, "currency": currency}


def shown(amount: int, currency: JsonValue = "USD") -> str:
    """Return an amount as a customer reads it."""
    return f"{amount / 100:,.2f} {currency}"


def ended(
    outcome: str, summary: str, *, order: str | None = None, confidence: float = 0.95
) -> Answer:
    """Return the desk's final answer, which shows a reader that it is scripted."""
    return final(
        {
            "outcome": outcome,
            "summary": f"Scripted. {summary}"[:2_000],
            "order_id": order,
            "confidence": confidence,
        }
    )
