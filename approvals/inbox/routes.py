"""All pages of the inbox, router by router."""

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

ROUTERS = (
    entrance.router,
    listing.router,
    several.router,
    items.router,
    claims.router,
    deciding.router,
    editing.router,
    handoffs.router,
    decisions.router,
)
