"""A desk behind its API, where runs are started and refunds drafted."""

from dataclasses import dataclass
from typing import Any

import httpx2

from keyturn.orchestrator.store.tables import StepRow
from keyturn.orchestrator.store.turns import position
from tests.approvals.people import People
from tests.orchestrator.store.desk import Desk, refund

API = "/api/v1"
RUNS = f"{API}/runs"


@dataclass(frozen=True)
class Counter:
    """A desk behind its API: 20 dollars move unasked, the rest asks."""

    desk: Desk
    http: httpx2.AsyncClient
    people: People

    async def start(self, headers: dict[str, str], **body: Any) -> httpx2.Response:
        """Ask for a run; `input` is the usual customer's unless given."""
        whole = {"workflow": "desk", "input": ticket("c1"), **body}
        return await self.http.post(RUNS, json=whole, headers=headers)

    async def drafts(self, run: str, cents: int, order: str) -> None:
        """Let the run draft one refund, as `think` commits it."""
        at = self.desk.clock()
        step = StepRow(run=run, step=1, name="act", kind="act", created_at=at)
        await position.begin_step(
            self.desk.store, step, lambda _release, _input: "hello"
        )
        await self.desk.draft(run, refund(cents, order=order))

    async def refunded(self, answer: httpx2.Response, cents: int, order: str) -> str:
        """Return what became of a refund that a run just started drafts."""
        run = answer.json()["id"]
        await self.drafts(run, cents, order)
        kind = (await self.desk.lease(run, holder=run)).kind
        if kind == "leased":
            await self.desk.do(run, holder=run)
        return kind


def ticket(customer: str) -> dict[str, str]:
    return {"customer_id": customer, "text": "hello"}
