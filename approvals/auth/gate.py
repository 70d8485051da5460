"""The gate before every route: the table of permissions says who comes through."""

from fastapi import Request

from keyturn.approvals.auth import metrics_token, permissions
from keyturn.approvals.auth.permissions import Needed
from keyturn.approvals.auth.visitor import SAFE, credential, visitor
from keyturn.approvals.web.dependencies import PartsDep
from keyturn.approvals.web.quotas import Kind
from keyturn.orchestrator.store.db.database import ahead


async def gate(request: Request, parts: PartsDep) -> None:
    """Let a request through to its route, or raise `NotSignedIn` or `MayNot`.

    It runs before anything else of the route, so that neither a field's fault nor what
    exists is told to those who may not ask. Who has too much under way waits here, or
    gets `TooManyAtOnce`.
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
    # From here on, who asks is looked up ahead of all else, too.
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
