"""The HTTP API for commands: acts as the owner of KEYTURN_TOKEN."""

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx2
from pydantic import JsonValue

from keyturn.orchestrator.processes.exit_status import Away, Ended, WrongUsage
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical

BASE = "/api/v1"
TIMEOUT_S = 30.0
PAGE = 100

Item = dict[str, JsonValue]
# None is left out of a query.
Query = Mapping[str, str | int | None]

NOT_AUTHENTICATED = 401
# The request itself was wrong, so a retry cannot help.
MALFORMED = frozenset({400, 405, 413, 415, 422})


class Api:
    """A connection to the web server; closes with its block."""

    def __init__(self) -> None:
        """Take address and token from the settings."""
        own = settings.read()
        if own.token is None:
            raise WrongUsage(
                "KEYTURN_TOKEN is not set. Set it to an API token of yours; `keyturn "
                "user token` makes one, and `keyturn dev` shows its own."
            )
        self._url = own.url.rstrip("/")
        token = own.token.get_secret_value()
        if not token.isascii() or not token.isprintable():
            raise WrongUsage(
                "KEYTURN_TOKEN is not a token: it has characters that no token has."
            )
        self._client = httpx2.Client(
            base_url=f"{self._url}{BASE}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
        )

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._client.close()

    def get(self, path: str, query: Query | None = None) -> Item:
        """Return one object."""
        return self._ask("GET", path, query=query)

    def items(self, path: str, query: Query | None = None, *, most: int) -> list[Item]:
        """Return up to `most` objects of a listing; print a note if there are more."""
        found = list(islice(self.each(path, query, page=min(PAGE, most + 1)), most + 1))
        if len(found) > most:
            sys.stderr.write(
                f"These are the first {most}; there are more. See them with a higher "
                "--limit, if the command has one, or with a narrower filter.\n"
            )
        return found[:most]

    def each(
        self, path: str, query: Query | None = None, *, page: int = PAGE
    ) -> Iterator[Item]:
        """Yield every object of a listing, a page at a time."""
        wanted = {**(query or {}), "limit": page}
        while True:
            answer = self._ask("GET", path, query=wanted)
            yield from items_in(answer, "items")
            cursor = answer.get("next")
            if not isinstance(cursor, str):
                return
            wanted["cursor"] = cursor

    def post(self, path: str, body: Mapping[str, Any]) -> Item:
        """Make a change, once; return the answer."""
        return self._ask("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Item:
        """Set a value; return it."""
        return self._ask("PUT", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Item:
        """Change parts of an object; return it."""
        return self._ask("PATCH", path, body=body)

    def delete(self, path: str, query: Query | None = None) -> Item:
        """Delete an object; return its last state."""
        return self._ask("DELETE", path, query=query)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Item:
        given = {
            name: value for name, value in (query or {}).items() if value is not None
        }
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        try:
            answer = self._client.request(
                method, path, params=given, json=_kept(body), headers=headers
            )
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise WrongUsage(
                f"KEYTURN_URL={self._url} is not an http(s) address."
            ) from None
        except httpx2.HTTPError as error:
            raise Away(
                f"No web server answers at {self._url} ({error}). Start `keyturn "
                "serve`, or set KEYTURN_URL."
            ) from None
        return self._read(answer)

    def _read(self, answer: httpx2.Response) -> Item:
        body = _object(answer.text)
        if answer.is_success:
            return body
        words = str(body.get("detail") or body.get("title") or answer.reason_phrase)
        status = answer.status_code
        if status == NOT_AUTHENTICATED:
            raise Ended(f"{self._url} does not accept KEYTURN_TOKEN: {words}")
        if status >= 500:
            raise Away(f"{self._url} cannot answer now ({status}): {words}")
        raise (WrongUsage if status in MALFORMED else Ended)(words)


# A value that is sent as null; None itself is left out of a body.
NULL: Any = object()


def _kept(body: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if body is None:
        return None
    return {
        name: None if value is NULL else value
        for name, value in body.items()
        if value is not None
    }


def _object(text: str) -> Item:
    try:
        value = canonical.parse(text) if text else {}
    except MalformedJson:
        return {"detail": text[:500]}
    return value if isinstance(value, dict) else {"detail": text[:500]}


def items_in(answer: Item, name: str) -> list[Item]:
    """Return the objects that an answer lists under a name, or an empty list."""
    found = answer.get(name)
    listed = found if isinstance(found, list) else []
    return [one for one in listed if isinstance(one, dict)]
