"""Routers, whose routes have all that stands before them where they are declared.

FastAPI's `include_router` makes each route of a router again, a second time where routers
lie in routers, and looks for a request's route twice. What is complete is taken as it is.
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
    """Return a router of the API, under its prefix."""
    return APIRouter(
        prefix=PREFIX,
        tags=[*tags],
        route_class=StrictRoute,
        responses=EVERYWHERE,
        dependencies=[Depends(gate)],
    )


def of_pages(*, route_class: type[APIRoute] = PageRoute) -> APIRouter:
    """Return a router of pages, which the OpenAPI document leaves out."""
    return APIRouter(
        include_in_schema=False,
        route_class=route_class,
        dependencies=[Depends(gate)],
    )


def attach(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Add the routes of routers from here; one without the gate is a `TypeError`."""
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not _has_gate(route):
                raise TypeError(f"{route} has no gate; its router is made here")
            app.router.routes.append(route)


def _has_gate(route: APIRoute) -> bool:
    return any(one.dependency is gate for one in route.dependencies)
