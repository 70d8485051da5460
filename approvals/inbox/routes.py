"""All pages of the inbox in one router."""

from fastapi import APIRouter

from approvals.inbox import deciding, decisions, entrance, handoffs, items, listing

router = APIRouter(include_in_schema=False)
for part in (entrance, listing, items, deciding, handoffs, decisions):
    router.include_router(part.router)
