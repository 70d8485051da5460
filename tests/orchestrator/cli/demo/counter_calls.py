"""The demo shop as a test calls it: over HTTP, without a socket."""

from dataclasses import dataclass

import httpx2

from keyturn.orchestrator.cli.demo.books import Books
from keyturn.orchestrator.cli.demo.faults import Faults, Faulty
from keyturn.orchestrator.cli.demo.shop import build

TOKEN = "a write token"  # noqa: S105 a test's own
STATEMENT = "/statement?since=2020-01-01T00:00:00Z"


@dataclass(frozen=True)
class Asking:
    """One customer of one tenant at the shop's counter."""

    client: httpx2.AsyncClient
    customer: str = "C-1001"
    tenant: str = "north"
    token: str = TOKEN

    async def get(self, path: str) -> httpx2.Response:
        return await self.client.get(path, headers=self._headers())

    async def post(
        self, path: str, body: object, key: str | None = None
    ) -> httpx2.Response:
        sent = self._headers() | ({"Idempotency-Key": key} if key else {})
        return await self.client.post(path, json=body, headers=sent)

    def _headers(self) -> dict[str, str]:
        return {
            "Keyturn-Customer": self.customer,
            "Keyturn-Tenant": self.tenant,
            "Authorization": f"Bearer {self.token}",
        }


def client(books: Books, faults: Faults | None = None) -> httpx2.AsyncClient:
    """A client of a shop over these books."""
    shop = build(books, write_token=TOKEN)
    app = Faulty(shop, faults) if faults else shop
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://shop.test")


def refund(
    amount: int = 10_00, order: str = "O-1001", currency: str = "USD"
) -> dict[str, object]:
    """A refund as the tools ask for it."""
    money = {"amount": amount, "currency": currency}
    return {"order_id": order, "amount": money, "reason": "It arrived broken."}
