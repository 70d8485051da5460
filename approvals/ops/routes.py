"""All pages of operations in one router."""

from fastapi import APIRouter

from approvals.ops import (
    account,
    audit,
    budgets,
    contracts,
    effects,
    incidents,
    new_run,
    notices,
    people,
    runs,
    sent,
    switches,
)

router = APIRouter(include_in_schema=False)
# `/runs/new` stands before `/runs/{run}`.
for part in (
    new_run,
    runs,
    switches,
    budgets,
    effects,
    incidents,
    contracts,
    audit,
    notices,
    account,
    people,
    sent,
):
    router.include_router(part.router)
