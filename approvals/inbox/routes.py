"""All pages of the inbox in one router."""

from fastapi import APIRouter

from approvals.inbox import (
    claims,
    deciding,
    decisions,
    editing,
    entrance,
    handoffs,
    items,
    listing,
    several,
)

router = APIRouter(include_in_schema=False)
for part in (
    entrance,
    listing,
    several,
    items,
    claims,
    deciding,
    editing,
    handoffs,
    decisions,
):
    router.include_router(part.router)
