"""Requests to webhooks, signed after Standard Webhooks."""

import asyncio
from datetime import datetime

import httpx2
from pydantic import BaseModel, ConfigDict
from standardwebhooks import Webhook

from keyturn.activities import http_client
from keyturn.approvals.notify import address
from keyturn.approvals.notify.address import Resolve, Target
from keyturn.approvals.notify.errors import BadAddress, Gone, NotDelivered
from keyturn.orchestrator.rules.clock import system_clock

TIMEOUT_S = 10.0
GONE = 410
USER_AGENT = "Keyturn"


class Message(BaseModel):
    """A message; `id` is the same in every try, so that receivers can deduplicate."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    body: str
    secrets: tuple[str, ...]


class Poster:
    """Posts messages; close it at the end."""

    def __init__(
        self,
        *,
        private: bool,
        look_up: Resolve = address.resolve,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Take whether private addresses are allowed."""
        self._private = private
        self._look_up = look_up
        self._timeout_s = timeout_s
        # No proxy: it would look the name up again. No connection is kept: it was made
        # for one name, and another one may have the same address.
        self._client = http_client.client(
            verify=httpx2.create_ssl_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            limits=httpx2.Limits(max_keepalive_connections=0),
        )

    async def post(self, message: Message) -> int:
        """Return the receiver's status where it accepted the message.

        Raises `Gone` for 410, else `NotDelivered`, whose text has only the status
        of the receiver's response.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(message)
        except TimeoutError:
            words = f"no answer within {self._timeout_s:g} s"
            raise NotDelivered(words) from None
        except BadAddress as error:
            raise NotDelivered(str(error)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, message: Message) -> int:
        target = await address.locate(
            message.url, private=self._private, look_up=self._look_up
        )
        status = await self._first(target, message)
        if status == GONE:
            raise Gone("answered 410 Gone: it no longer accepts notices")
        if not 200 <= status < 300:
            hint = "; redirects are not followed" if 300 <= status < 400 else ""
            raise NotDelivered(f"answered {status}{hint}")
        return status

    async def _first(self, target: Target, message: Message) -> int:
        """Return the status of the first address that can be connected to."""
        failed = ""
        for one in target.addresses:
            try:
                return await self._send(target, one, message)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = f"could not connect to {one}: {error}"
            except httpx2.HTTPError as error:
                raise NotDelivered(
                    f"the connection broke: {type(error).__name__} {error}"
                ) from None
        raise NotDelivered(failed or f"{target.host} has no address")

    async def _send(self, target: Target, one: str, message: Message) -> int:
        request = self._client.build_request(
            "POST",
            target.url(one),
            content=message.body.encode(),
            headers=_headers(message, target.host_header),
            extensions={"sni_hostname": target.host},
        )
        # The response's body is not read: it could be endless, and it is not needed.
        answer = await self._client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


def _headers(message: Message, host: str) -> dict[str, str]:
    # Each try has its own timestamp: receivers refuse one that is minutes old.
    at = system_clock().replace(microsecond=0)
    return {
        "Host": host,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": _signatures(message, at),
    }


def _signatures(message: Message, at: datetime) -> str:
    return " ".join(
        Webhook(secret).sign(msg_id=message.id, timestamp=at, data=message.body)
        for secret in message.secrets
    )
