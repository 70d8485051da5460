"""The gate before every route, which applies the table of permissions."""

from fastapi import Request

from keyturn.approvals.auth import metrics_token, permissions
from keyturn.approvals.auth.permissions import Needed
from keyturn.approvals.auth.visitor import SAFE, credential, visitor
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.approvals.web.quotas import Kind
from keyturn.orchestrator.store.db.database import ahead


async def gate(request: Request, parts: PartsDep) -> None:
    """Admit a request to its route, or raise `NotSignedIn` or `MayNot`.

    Runs before anything else of the route, so that people without permission learn
    neither validation errors nor what exists. A person with too many requests under
    way waits here, or gets `TooManyAtOnce`.
    """
    route = f"{request.method} {request.scope['route'].path}"
    request.state.unasked = route in permissions.UNASKED
    needed = permissions.needed(route)
    if needed == "public":
        return
    if needed == "metrics token":
        metrics_token.check(request, parts)
        return
    kind = _kind(route, needed)
    if sent := credential(request, parts):
        await parts.quotas.of_credential(request, kind, sent)
    # From here on the lookup of the person has priority, too.
    ahead.set(needed in permissions.AHEAD)
    found = await visitor(request, parts)
    if needed != "signed in":
        permissions.check(found.person, needed)
    await parts.quotas.of_person(request, kind, found.person.id)


def _kind(route: str, needed: Needed) -> Kind:
    if route in permissions.STREAMS:
        return "stream"
    if needed in permissions.AHEAD:
        return "control"
    return "read" if route.partition(" ")[0] in SAFE else "write"
