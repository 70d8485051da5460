"""What went wrong, as HTTP says it (RFC 9457): the one place that maps errors."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.exceptions import HTTPException

from keyturn.approvals.notify.errors import BadAddress
from keyturn.approvals.notify.hooks import NoSecretKey
from keyturn.approvals.web.errors import (
    Forged,
    MayNot,
    NotFresh,
    NotSignedIn,
    TooManyAtOnce,
    WrongPassword,
)
from keyturn.orchestrator.rules.errors import (
    InvalidValue,
    KeyturnError,
    MalformedJson,
    NotFound,
    StoreUnavailable,
    in_words,
)
from keyturn.orchestrator.store.approvals.errors import (
    AlreadyDecided,
    Claimed,
    DraftOpen,
    EditRefused,
    MayNotAssign,
    MayNotDecide,
    NobodyElse,
    NoMoreRounds,
    NoMoreTime,
    StaleBinding,
    WaitsForOthers,
)
from keyturn.orchestrator.store.db.errors import (
    AnswerLost,
    ForgedRow,
    KeyInUse,
    KeyReused,
)
from keyturn.orchestrator.store.dual_control.errors import (
    HoldsNothing,
    NeedsSecondPerson,
    NobodyElseConfirms,
    ProposalClosed,
)
from keyturn.orchestrator.store.effects.errors import (
    NeedsAnother,
    NoCompensation,
    NoLookUp,
    NotDone,
    NotSettled,
    NotUnknown,
    TooLate,
)
from keyturn.orchestrator.store.incidents.errors import IncidentClosed, MayNotClose
from keyturn.orchestrator.store.notices.errors import NotDead
from keyturn.orchestrator.store.people.errors import (
    AccountChanged,
    EmailTaken,
    LastAdmin,
    OwnAccess,
    TooManyAttempts,
    WiderThanItsToken,
    WouldWiden,
)
from keyturn.orchestrator.store.runs.errors import (
    BulkEnded,
    ExternalIdReused,
    InOtherHands,
    NotHandedOff,
    NotStarted,
    RunEnded,
)
from keyturn.orchestrator.store.switches.errors import UnknownNames, WouldLoosen
from keyturn.orchestrator.store.tenants.errors import SourceTaken, TenantDeclared

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """A problem document; conditions add members that name what they are about."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(description="Names the condition: `urn:keyturn:problem:NAME`")
    title: str
    status: int
    detail: str = Field(description="What happened, which value, what to do")
    instance: str = Field(description="The path of the request")


class Answer(BaseModel):
    """A problem with the headers that belong to it."""

    model_config = ConfigDict(frozen=True)

    problem: Problem
    headers: dict[str, str] = {}


# In order: the first class that an error is an instance of decides.
STATUS: Mapping[type[KeyturnError], int] = {
    NotSignedIn: 401,
    WrongPassword: 401,
    MayNot: 403,
    Forged: 403,
    NotFresh: 403,
    MayNotDecide: 403,
    OwnAccess: 403,
    WiderThanItsToken: 403,
    MayNotAssign: 403,
    NeedsAnother: 403,
    NeedsSecondPerson: 403,
    SourceTaken: 403,
    MayNotClose: 403,
    NotFound: 404,
    ProposalClosed: 409,
    WouldLoosen: 409,
    WouldWiden: 409,
    NobodyElseConfirms: 409,
    AlreadyDecided: 409,
    WaitsForOthers: 409,
    DraftOpen: 409,
    Claimed: 409,
    NoMoreRounds: 409,
    NoMoreTime: 409,
    NobodyElse: 409,
    RunEnded: 409,
    BulkEnded: 409,
    NotStarted: 409,
    ExternalIdReused: 409,
    TenantDeclared: 409,
    HoldsNothing: 409,
    NotUnknown: 409,
    NotSettled: 409,
    NotDone: 409,
    NoLookUp: 409,
    NoCompensation: 409,
    TooLate: 409,
    NotHandedOff: 409,
    InOtherHands: 409,
    AccountChanged: 409,
    EmailTaken: 409,
    LastAdmin: 409,
    NotDead: 409,
    ForgedRow: 409,
    IncidentClosed: 409,
    NoSecretKey: 409,
    KeyInUse: 409,
    AnswerLost: 409,
    StaleBinding: 412,
    MalformedJson: 400,
    InvalidValue: 422,
    UnknownNames: 422,
    EditRefused: 422,
    BadAddress: 422,
    KeyReused: 422,
    TooManyAttempts: 429,
    TooManyAtOnce: 429,
    StoreUnavailable: 503,
}

RETRY_AFTER_S = 5


def of_error(error: KeyturnError, *, instance: str) -> Answer:
    """Return the answer for a condition that Keyturn names."""
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    problem = _problem(
        _name(type(error).__name__) if status != 500 else "internal",
        status,
        _words(error) if status != 500 else "Something here broke; it is in our log.",
        instance,
        **_members(error),
    )
    return Answer(problem=problem, headers=_headers(error, status))


def of_validation(error: RequestValidationError, *, instance: str) -> Answer:
    """Return the answer for a request whose fields do not fit."""
    faults = [_fault(one) for one in error.errors()[:20]]
    words = "; ".join(f"{one['field']}: {one['message']}" for one in faults[:3])
    listed: list[JsonValue] = [*faults]
    problem = _problem("invalid-request", 422, words, instance, errors=listed)
    return Answer(problem=problem)


def of_http(error: HTTPException, *, instance: str) -> Answer:
    """Return the answer for what the framework itself refuses."""
    phrase = HTTPStatus(error.status_code).phrase
    detail = str(error.detail) if error.detail else phrase
    name = phrase.lower().replace(" ", "-")
    problem = _problem(name, error.status_code, detail, instance)
    return Answer(problem=problem, headers=dict(error.headers or {}))


def of_bug(*, instance: str) -> Answer:
    """Return the answer for a fault of ours; its words stay in our log."""
    words = "Something here broke; it is in our log. Nothing more was done."
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


def _members(  # noqa: PLR0911 one for each condition
    error: KeyturnError,
) -> dict[str, JsonValue]:
    """Return what a program reads of an error, beside its words."""
    match error:
        case AlreadyDecided():
            decided_by: list[JsonValue] = list(error.decided_by)
            return {
                "approval": error.approval,
                "state": error.status,
                "decided_by": decided_by,
            }
        case Claimed():
            return {
                "approval": error.approval,
                "claimed_by": error.claimed_by,
                "claimed_name": error.claimed_name,
                "claim_until": _written(error.until) if error.until else "",
            }
        case WaitsForOthers():
            waits_for: list[JsonValue] = list(error.waits_for)
            return {"approval": error.approval, "waits_for": waits_for}
        case RunEnded():
            return {"run": error.run, "state": error.status}
        case ProposalClosed():
            return {"proposal": error.proposal, "state": error.state}
        case TooManyAtOnce():
            return {"under_way": error.under_way, "most": error.most}
        case NotFound():
            known: list[JsonValue] = list(error.known)
            return {"kind": error.kind, "known": known}
        case _:
            return _of_effect(error)


def _of_effect(error: KeyturnError) -> dict[str, JsonValue]:
    match error:
        case NotUnknown() | NotDone():
            return {"effect": error.key, "state": error.status}
        case NotSettled():
            return {"effect": error.key, "until": _written(error.until)}
        case _:
            return {}


def _written(at: datetime) -> str:
    """Return a time as the bodies of answers write it."""
    return at.isoformat().replace("+00:00", "Z")


def _words(error: KeyturnError) -> str:
    return error.told if isinstance(error, StoreUnavailable) else str(error)


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
