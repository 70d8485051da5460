"""All of the API in one router."""

from fastapi import APIRouter

from approvals.api import (
    approvals,
    assigning,
    audit,
    batch,
    budgets,
    claims,
    contracts,
    effects,
    extending,
    handoffs,
    incidents,
    matchings,
    notices,
    own,
    people,
    proposals,
    releases,
    run_control,
    run_events,
    run_trace,
    runs,
    switches,
    tenants,
    tokens,
    tools,
    webhooks,
)
from approvals.api.json_route import StrictRoute
from approvals.api.replies import EVERYWHERE

PREFIX = "/api/v1"
NOUNS = (
    runs,
    run_control,
    run_trace,
    run_events,
    handoffs,
    approvals,
    batch,
    claims,
    assigning,
    extending,
    switches,
    proposals,
    effects,
    incidents,
    matchings,
    contracts,
    tools,
    releases,
    budgets,
    audit,
    own,
    people,
    tenants,
    tokens,
    webhooks,
    notices,
)


def build() -> APIRouter:
    """Return the router of every noun, to be included under `PREFIX`."""
    router = APIRouter(route_class=StrictRoute, responses=EVERYWHERE)
    for noun in NOUNS:
        router.include_router(noun.router)
    return router
