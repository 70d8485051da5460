"""The gate before every route: the table of permissions says who comes through."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from approvals.auth import permissions
from approvals.auth.visitor import visitor
from approvals.dependencies import PartsDep

# An endpoint alone is not a route: one function may answer several methods.
Endpoint = tuple[str, Callable[..., Any] | None]


async def gate(request: Request, parts: PartsDep) -> None:
    """Let a request through to its route, or raise `NotSignedIn` or `MayNot`.

    It runs before anything else of the route, so that neither a field's fault nor what
    exists is told to those who may not ask.
    """
    known: Mapping[Endpoint, str] = request.app.state.routes_by_endpoint
    route = known[request.method, request.scope["endpoint"]]
    request.state.unasked = route in permissions.UNASKED
    needed = permissions.needed(route)
    if needed == "public":
        return
    found = await visitor(request, parts)
    if needed != "signed in":
        permissions.check(found.person, needed)


def by_endpoint(routes: Sequence[BaseRoute]) -> dict[Endpoint, str]:
    """Return the name that each route has in the table, by what answers it."""
    return {
        (method, context.endpoint): f"{method} {context.path}"
        for context in iter_route_contexts(routes)
        for method in context.methods or ()
    }
