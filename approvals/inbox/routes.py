"""All pages of the inbox, router by router."""

from keyturn.approvals.auth import pages
from keyturn.approvals.inbox import (
    batch,
    claims,
    decide,
    decisions,
    edit,
    handoffs,
    items,
    listing,
)

ROUTERS = (
    pages.router,
    listing.router,
    batch.router,
    items.router,
    claims.router,
    decide.router,
    edit.router,
    handoffs.router,
    decisions.router,
)
