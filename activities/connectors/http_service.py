"""A named HTTP service: its reader, and its writer with the effect key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httpx2
from pydantic import JsonValue

from activities.toolbox import Actor
from orchestrator import canonical
from orchestrator.connector import NotSent
from orchestrator.errors import MalformedJson
from orchestrator.tool import ToolError

# Answers of a service that did the work, or may have, without telling how it went.
_NO_ANSWER = 500
# The service will not do it now, and has not begun.
_NOT_NOW = frozenset({425, 429})


@dataclass(frozen=True)
class HttpReader:
    """Reads a service on behalf of one tenant and customer."""

    client: httpx2.AsyncClient
    base_url: str
    actor: Actor

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        """Return the JSON at `path`; a 4xx answer raises `ToolError` with its words."""
        response = await self.client.get(
            self.base_url + path, params=params, headers=headers(self.actor)
        )
        return _answer(response)


@dataclass(frozen=True)
class HttpWriter(HttpReader):
    """Changes a service, once per effect."""

    key: str
    bearer: str | None

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        """Return the service's answer; `ToolError` where it says a definite no.

        Raises `NotSent` where nothing reached the service, so that it may be tried
        again; whatever else it raises leaves the outcome unknown.
        """
        sent = headers(self.actor) | {"Idempotency-Key": self.key}
        if self.bearer:
            sent["Authorization"] = f"Bearer {self.bearer}"
        try:
            response = await self.client.post(
                self.base_url + path,
                content=canonical.encode(body),
                headers=sent | {"Content-Type": "application/json"},
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as no:
            raise NotSent(f"{self.base_url} cannot be reached: {no}") from no
        if response.status_code in _NOT_NOW:
            raise NotSent(f"{self.base_url} is busy ({response.status_code})")
        return _answer(response)


def headers(actor: Actor) -> dict[str, str]:
    """Return the headers by which a service knows whom a request is for."""
    return {
        "Keyturn-Tenant": actor.tenant,
        "Keyturn-Customer": actor.customer,
        "Keyturn-Run": actor.run,
    }


def _answer(response: httpx2.Response) -> JsonValue:
    if response.status_code >= _NO_ANSWER:
        response.raise_for_status()
    if response.is_client_error:
        raise ToolError(_words(response))
    try:
        return canonical.parse(response.content)
    except MalformedJson as error:
        if response.request.method == "GET":
            raise ToolError(
                f"{response.url.host} sent no usable JSON: {error}"
            ) from None
        # It answered 2xx, so it may well have acted: the outcome is unknown.
        raise


def _words(response: httpx2.Response) -> str:
    """Return the service's own words for a no, or its status."""
    try:
        body = canonical.parse(response.content)
    except MalformedJson:
        body = None
    if isinstance(body, dict):
        for name in ("error", "detail", "message", "title"):
            if isinstance(body.get(name), str):
                return cast("str", body[name])
    return f"{response.url.host} answered {response.status_code}"
