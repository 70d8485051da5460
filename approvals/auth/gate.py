"""The gate before every route: the table of permissions says who comes through."""

from fastapi import Request

from approvals.auth import permissions
from approvals.auth.visitor import visitor
from approvals.dependencies import PartsDep


async def gate(request: Request, parts: PartsDep) -> None:
    """Let a request through to its route, or raise `NotSignedIn` or `MayNot`.

    It runs before anything else of the route, so that neither a field's fault nor what
    exists is told to those who may not ask.
    """
    route = f"{request.method} {request.scope['route'].path}"
    request.state.unasked = route in permissions.UNASKED
    needed = permissions.needed(route)
    if needed == "public":
        return
    found = await visitor(request, parts)
    if needed != "signed in":
        permissions.check(found.person, needed)
