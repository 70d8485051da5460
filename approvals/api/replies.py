"""The error responses of the API, as OpenAPI describes them."""

from typing import Any

from keyturn.approvals.web.problems import Problem

_DESCRIPTIONS = {
    400: "The body is not a single valid JSON document",
    401: "Nobody is signed in, or the token is not valid",
    403: "The caller may not do this",
    404: "It does not exist, or the caller may not see it",
    408: "The body did not arrive in time; nothing was done",
    409: "Its state does not allow this; the problem names the state",
    412: "It has changed since it was shown; read it again",
    413: "The body is too large",
    422: "A field is not valid; the problem names it",
    429: "Too many requests; `Retry-After` says when to try again",
    503: "The database is not available; the problem says whether anything was done",
}

Replies = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Replies:
    """Return the `responses` of a route for these statuses."""
    return {
        status: {"model": Problem, "description": _DESCRIPTIONS[status]}
        for status in statuses
    }


EVERYWHERE = problems(401, 403, 422, 429, 503)
ONE = problems(404)
BODY = problems(400, 408, 413)
STATE = problems(409)
