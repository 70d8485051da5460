"""Connectors of a test's own: straight to a shop, for one customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import httpx2
from pydantic import JsonValue

from keyturn import ToolContext, ToolError


@dataclass(frozen=True)
class ShopService:
    """A reader and writer of the shop as one customer, under one effect's key."""

    shop: httpx2.AsyncClient
    customer: str
    key: str | None

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        answer = await self.shop.get(path, params=params, headers=self._headers())
        return self._told(answer)

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        answer = await self.shop.post(path, json=body, headers=self._headers())
        return self._told(answer)

    def _headers(self) -> dict[str, str]:
        key = {"Idempotency-Key": self.key} if self.key else {}
        return {"Keyturn-Customer": self.customer, **key}

    def _told(self, answer: httpx2.Response) -> JsonValue:
        body: dict[str, JsonValue] = answer.json()
        if answer.is_client_error:
            raise ToolError(str(body["error"]))
        answer.raise_for_status()
        return body


@dataclass(frozen=True)
class ShopConnectors:
    """Hands out the shop, and nothing else."""

    service: ShopService

    def reader(self, service: str) -> ShopService:
        return self._named(service)

    def writer(self, service: str) -> ShopService:
        return self._named(service)

    def mailer(self) -> NoReturn:
        raise AssertionError("no tool of the shop sends mail")

    def _named(self, service: str) -> ShopService:
        assert service == "shop"
        return self.service


def context_for(
    shop: httpx2.AsyncClient, tenant: str, customer: str, key: str | None = None
) -> ToolContext:
    """Give what a tool is handed in a run of this tenant and customer."""
    return ToolContext(
        run=f"run-{tenant}",
        call="1.0",
        tenant=tenant,
        customer=customer,
        connectors=ShopConnectors(ShopService(shop, customer, key)),
        effect_key=key,
    )
