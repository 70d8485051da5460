"""Routers whose routes carry prefix and dependencies from their declaration on.

FastAPI's `include_router` copies each route, twice for nested routers, and matches a
request's route twice. Complete routes are attached unchanged instead.
"""

from collections.abc import Iterable

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from keyturn.approvals.api.replies import EVERYWHERE
from keyturn.approvals.api.strict_route import StrictRoute
from keyturn.approvals.auth.gate import gate
from keyturn.approvals.web.submission import PageRoute

PREFIX = "/api/v1"


def of_api(*tags: str) -> APIRouter:
    """Return a router under the API's prefix."""
    return APIRouter(
        prefix=PREFIX,
        tags=[*tags],
        route_class=StrictRoute,
        responses=EVERYWHERE,
        dependencies=[Depends(gate)],
    )


def of_pages(*, route_class: type[APIRoute] = PageRoute) -> APIRouter:
    """Return a router of pages, which the OpenAPI document omits."""
    return APIRouter(
        include_in_schema=False,
        route_class=route_class,
        dependencies=[Depends(gate)],
    )


def attach(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Attach the routes of these routers; one without the gate is a `TypeError`."""
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not _has_gate(route):
                raise TypeError(
                    f"{route} has no permission gate; make its router with `of_api` or `of_pages`"
                )
            app.router.routes.append(route)


def _has_gate(route: APIRoute) -> bool:
    return any(one.dependency is gate for one in route.dependencies)
