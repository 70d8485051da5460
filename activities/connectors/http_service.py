"""A named HTTP service: its reader, and its writer with the effect key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx2
from pydantic import JsonValue

from keyturn.activities.connectors import http_answers, words
from keyturn.activities.http_client import LARGEST, TooLarge
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import (
    Deed,
    Known,
    NotKnown,
    NotRead,
    NotSent,
    header_value,
)
from keyturn.orchestrator.rules.contract.tool import ConnectorNo
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical

# From this status on, a service could not tell.
_NO_ANSWER = 500


@dataclass(frozen=True)
class HttpReader:
    """Reads a service on behalf of one tenant and customer."""

    client: httpx2.AsyncClient
    base_url: str
    actor: Actor

    async def get(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> JsonValue:
        """Return the JSON at `path`; a 4xx answer raises `ToolError` with its words.

        Raises `NotRead` where the service cannot be reached now.
        """
        url = self.base_url + path
        try:
            response = await self.client.get(
                url, params=params, headers=headers(self.actor)
            )
        except TooLarge:
            raise ConnectorNo(
                f"{_host(self.base_url)} sent more than {LARGEST // 1024**2} MiB; ask it "
                "for less at once."
            ) from None
        except http_answers.NO_ADDRESS as error:
            raise ConnectorNo(f"{path!r} cannot be asked for: {error}") from None
        except httpx2.HTTPError as error:
            raise NotRead(
                f"{_host(self.base_url)} cannot be read: {_why(error)}"
            ) from error
        return await _read(response, response.content)


@dataclass(frozen=True)
class HttpWriter(HttpReader):
    """Changes a service, once per effect."""

    key: str
    bearer: str | None

    async def post(self, path: str, body: JsonValue) -> JsonValue:
        """Return the service's document; None where it acted and returned none.

        Raises `ToolError` where it definitely refuses, `NotSent` where nothing was done
        and a retry is possible, and `NotKnown`.
        """
        content = _written(body, path)
        deed = self.actor.deeds.begin()
        try:
            response = await self._send(path, content, deed)
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:
            deed.known = http_answers.known_of_error(error, deed.known)
            self._broken(deed, error)
        try:
            return await self._answer(response, deed)
        finally:
            await response.aclose()

    async def _send(self, path: str, content: bytes, deed: Deed) -> httpx2.Response:
        request = self.client.build_request(
            "POST",
            self.base_url + path,
            content=content,
            headers=self._headers(),
            extensions={"trace": _Watch(deed)},
        )
        return await self.client.send(request, stream=True)

    def _headers(self) -> dict[str, str]:
        sent = headers(self.actor) | {
            "Idempotency-Key": self.key,
            "Content-Type": "application/json",
        }
        if self.bearer:
            sent["Authorization"] = f"Bearer {self.bearer}"
        return sent

    def _broken(self, deed: Deed, error: Exception) -> NoReturn:
        host = _host(self.base_url)
        match deed.known:
            case Known.REFUSED:
                raise ConnectorNo(
                    f"Nothing was sent: the address is none that can be asked: {error}"
                ) from None
            case Known.NEEDS_REPAIR:
                # The exception's text would quote the key.
                raise NotSent(
                    f"The key for {host} cannot be sent in a header; set another.",
                    alarm=f"the key for {host} is no header value",
                ) from None
            case Known.NOT_SENT:
                raise NotSent(f"{host} cannot be reached: {_why(error)}.") from error
            case _:
                deed.words = f"no answer came from {host}: {_why(error)}"
                raise NotKnown(deed.words) from error

    async def _answer(self, response: httpx2.Response, deed: Deed) -> JsonValue:
        deed.known = http_answers.known_of(response.status_code)
        answered = f"{response.url.host} answered {response.status_code}"
        deed.words = answered
        body = await _body(response)
        match deed.known:
            case Known.ACTED:
                return await _document(body, deed)
            case Known.REFUSED:
                raise ConnectorNo(await _no(body, response))
            case Known.NOT_SENT:
                raise NotSent(f"{answered}: {await _no(body, response)}", answered=True)
            case Known.NEEDS_REPAIR:
                raise NotSent(
                    f"{answered}: {await _no(body, response)}",
                    answered=True,
                    alarm=f"{response.url.host} refuses our key ({response.status_code})",
                )
            case Known.NOT_KNOWN:
                raise NotKnown(f"{answered}: {await _no(body, response)}")


@dataclass(frozen=True)
class _Watch:
    """Follows a request: until its head is written, nobody can have acted on it."""

    deed: Deed

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        del info
        if event.endswith(("connect_tcp.started", "connect_unix_socket.started")):
            self.deed.known = Known.NOT_SENT
        elif event.endswith("send_request_headers.started"):
            self.deed.known = Known.NOT_KNOWN


def _written(body: JsonValue, path: str) -> bytes:
    """Return the document of a write; raises `ConnectorNo` where it is not JSON."""
    try:
        return canonical.encode(body)
    except (MalformedJson, TypeError) as error:
        raise ConnectorNo(
            f"What was to be sent to {path!r} cannot be sent: {error}"
        ) from None


def headers(actor: Actor) -> dict[str, str]:
    """Return the headers that name a request's tenant and customer to a service."""
    return {
        "Keyturn-Tenant": header_value(actor.tenant),
        "Keyturn-Customer": header_value(actor.customer),
        "Keyturn-Run": header_value(actor.run),
    }


async def _read(response: httpx2.Response, body: bytes) -> JsonValue:
    host = response.url.host
    if response.status_code >= _NO_ANSWER:
        raise NotRead(f"{host} answered {response.status_code}")
    if response.is_client_error:
        raise ConnectorNo(await _no(body, response))
    try:
        return await canonical.parse_untrusted_aside(body)
    except MalformedJson as error:
        raise ConnectorNo(f"{host} sent no usable JSON: {error}") from None


async def _body(response: httpx2.Response) -> bytes | None:
    """Return the body, or None where it breaks off, is too large or cannot be decoded."""
    try:
        return await response.aread()
    except httpx2.HTTPError:
        return None


async def _document(body: bytes | None, deed: Deed) -> JsonValue:
    """Return the document of an answer that says that it acted; None without one."""
    if body == b"":
        deed.words += " without a document."
        return None
    try:
        value = await canonical.parse_untrusted_aside(body or b"")
    except MalformedJson:
        deed.words += ", and its document cannot be read."
        return None
    deed.has_document = True
    return value


async def _no(body: bytes | None, response: httpx2.Response) -> str:
    """Return the service's own words for a refusal, or its status."""
    try:
        value = await canonical.parse_untrusted_aside(body or b"")
    except MalformedJson:
        is_text = response.headers.get("content-type", "").startswith("text/plain")
        value = (body or b"").decode("utf-8", "replace") if is_text else None
    return words.said(value) or f"{response.url.host} answered {response.status_code}"


def _host(base_url: str) -> str:
    try:
        return httpx2.URL(base_url).host or base_url
    except httpx2.InvalidURL:
        return base_url


def _why(error: Exception) -> str:
    return words.clean(str(error)) or type(error).__name__
