"""All pages of operations, router by router."""

from keyturn.approvals.ops import (
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

# `/runs/new` stands before `/runs/{run}`.
ROUTERS = (
    new_run.router,
    runs.router,
    switches.router,
    budgets.router,
    effects.router,
    incidents.router,
    contracts.router,
    audit.router,
    notices.router,
    account.router,
    people.router,
    sent.router,
)
