"""Problem documents (RFC 9457): the one place that maps errors to HTTP."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException

from keyturn.approvals.web.errors import (
    TooManyAtOnce,
)
from keyturn.orchestrator.rules.errors import (
    KeyturnError,
    StoreUnavailable,
    in_words,
)
from keyturn.orchestrator.store.db.errors import (
    KeyInUse,
)
from keyturn.orchestrator.store.people.errors import (
    TooManyAttempts,
)

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem document; conditions add members that name what they are about."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="The type of problem: `urn:keyturn:problem:NAME`")
    title: str
    status: int
    detail: str = Field(description="What happened, with which value, and what to do")
    instance: str = Field(description="The path of the request")


class Answer(BaseModel):
    """A problem with the headers that belong to it."""

    model_config = ConfigDict(frozen=True)

    problem: Problem
    headers: dict[str, str] = {}


RETRY_AFTER_S = 5
BROKE = "Keyturn failed unexpectedly; the server's log has the details."


def of_error(error: KeyturnError, *, instance: str) -> Answer:
    """Return the response to an error of Keyturn."""
    status = error.http_status
    problem = _problem(
        _name(type(error).__name__) if status != 500 else "internal",
        status,
        _words(error) if status != 500 else BROKE,
        instance,
        **error.facts(),
    )
    return Answer(problem=problem, headers=_headers(error, status))


def of_validation(error: RequestValidationError, *, instance: str) -> Answer:
    """Return the response to a request with invalid fields."""
    faults = [_fault(one) for one in error.errors()[:20]]
    words = "; ".join(f"{one['field']}: {one['message']}" for one in faults[:3])
    listed: list[JsonValue] = [*faults]
    problem = _problem("invalid-request", 422, words, instance, errors=listed)
    return Answer(problem=problem)


def of_http(error: HTTPException, *, instance: str) -> Answer:
    """Return the response to an error raised by the framework."""
    phrase = HTTPStatus(error.status_code).phrase
    detail = str(error.detail) if error.detail else phrase
    name = phrase.lower().replace(" ", "-")
    problem = _problem(name, error.status_code, detail, instance)
    return Answer(problem=problem, headers=dict(error.headers or {}))


def of_bug(*, instance: str) -> Answer:
    """Return the response to a bug; its message stays in our log."""
    words = f"{BROKE} Check what was done before you send this again."
    return Answer(problem=_problem("internal", 500, words, instance))


def _problem(
    name: str, status: int, detail: str, instance: str, **members: JsonValue
) -> Problem:
    return Problem(
        type=f"urn:keyturn:problem:{name}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        **members,  # pyright: ignore[reportArgumentType] members of any JSON are allowed
    )


def _words(error: KeyturnError) -> str:
    return error.public_message if isinstance(error, StoreUnavailable) else str(error)


def _headers(error: KeyturnError, status: int) -> dict[str, str]:
    if isinstance(error, TooManyAttempts | TooManyAtOnce):
        return {"Retry-After": str(error.retry_after_s)}
    if status == 503 or isinstance(error, KeyInUse):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def _name(condition: str) -> str:
    """Write a class's name as words: `AlreadyDecided` is `already-decided`."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in condition).strip("-")


def _fault(error: Mapping[str, Any]) -> dict[str, JsonValue]:
    place = [str(part) for part in error["loc"] if part not in ("body", "query")]
    return {"field": "/".join(place) or "body", "message": in_words(error)}
