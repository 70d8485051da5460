"""The permission table: what each role may do and what each route requires."""

from collections.abc import Mapping
from typing import Literal, get_args

from keyturn.approvals.web.errors import MayNot
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK, Role

Action = Literal[
    "read",
    "runs.start",
    "runs.message",
    "runs.hold",
    "runs.hold_many",
    "approvals.decide",
    "approvals.assign",
    "approvals.extend",
    "handoffs.work",
    "notes.write",
    "switches.set",
    "effects.record",
    "effects.report",
    "effects.compensate",
    "incidents.read",
    "incidents.manage",
    "matchings.read",
    "matchings.start",
    "audit.read",
    "audit.verify",
    "people.manage",
    "tenants.declare",
    "budgets.raise",
    "webhooks.manage",
    "notices.manage",
    "proposals.read",
    "proposals.answer",
    "account.own",
]
# `signed in`: any person with any token. `metrics token`: no person at all.
Needed = Action | Literal["public", "signed in", "metrics token"]

_EVERYONE: frozenset[str] = frozenset(get_args(Role))

ALLOWED: Mapping[Action, frozenset[str]] = {
    "read": _EVERYONE,
    "runs.start": _EVERYONE - {"auditor"},
    "runs.message": _EVERYONE - {"auditor"},
    "runs.hold": frozenset({"lead", "operator", "admin"}),
    "runs.hold_many": frozenset({"operator", "admin"}),
    # For these, each approval names the lowest role that may decide it.
    "approvals.decide": frozenset(APPROVER_RANK),
    "approvals.assign": frozenset({"lead", "admin"}),
    "approvals.extend": frozenset({"lead", "admin"}),
    "handoffs.work": frozenset({"agent", "lead", "operator", "admin"}),
    "notes.write": _EVERYONE - {"auditor"},
    "switches.set": frozenset({"operator", "admin"}),
    "effects.record": frozenset({"lead", "operator", "admin"}),
    # It only creates work for people: it releases nothing.
    "effects.report": frozenset({"lead", "operator", "admin"}),
    "effects.compensate": frozenset({"lead", "operator", "admin"}),
    "incidents.read": frozenset({"auditor", "operator", "admin"}),
    "incidents.manage": frozenset({"operator", "admin"}),
    "matchings.read": frozenset({"auditor", "operator", "admin"}),
    "matchings.start": frozenset({"operator", "admin"}),
    "audit.read": frozenset({"auditor", "operator", "admin"}),
    "audit.verify": frozenset({"auditor", "operator", "admin"}),
    "people.manage": frozenset({"admin"}),
    "tenants.declare": frozenset({"admin"}),
    "budgets.raise": frozenset({"operator", "admin"}),
    # A webhook sends events to the outside.
    "webhooks.manage": frozenset({"admin"}),
    "notices.manage": frozenset({"operator", "admin"}),
    "proposals.read": frozenset({"auditor", "operator", "admin"}),
    # Answering also requires the permission for the proposed action itself.
    "proposals.answer": frozenset({"operator", "admin"}),
    # One's own password, sessions and tokens.
    "account.own": _EVERYONE,
}

# Every route, by method and template. The gate lets nobody through to one without a
# line here. A tenant's people never see another tenant's objects.
ROUTES: Mapping[str, Needed] = {
    "GET /healthz": "public",
    "GET /readyz": "public",
    "GET /metrics": "metrics token",
    "GET /static/{path}": "public",
    "GET /api/v1/openapi.json": "public",
    "GET /": "public",
    "GET /sign-in": "public",
    "POST /sign-in": "public",
    "GET /sign-in/oidc": "public",
    "GET /sign-in/oidc/callback": "public",
    # A read-only token must not sign anybody out.
    "POST /sign-out": "account.own",
    # The API.
    "GET /api/v1/me": "signed in",
    "GET /api/v1/me/notices": "account.own",
    "PUT /api/v1/me/notices": "account.own",
    "GET /api/v1/me/sessions": "account.own",
    "POST /api/v1/me/sessions:end": "account.own",
    "DELETE /api/v1/me/sessions/{id}": "account.own",
    "POST /api/v1/me:password": "account.own",
    "GET /api/v1/me/tokens": "account.own",
    "POST /api/v1/me/tokens": "account.own",
    "DELETE /api/v1/me/tokens/{id}": "account.own",
    "GET /api/v1/tenants": "read",
    "POST /api/v1/tenants": "tenants.declare",
    "GET /api/v1/people": "people.manage",
    "POST /api/v1/people": "people.manage",
    "GET /api/v1/people/{id}": "people.manage",
    "PATCH /api/v1/people/{id}": "people.manage",
    "PUT /api/v1/people/{id}/access": "people.manage",
    "POST /api/v1/people/{id}:disable": "people.manage",
    "POST /api/v1/people/{id}:enable": "people.manage",
    "POST /api/v1/people/{id}:password": "people.manage",
    "GET /api/v1/people/{id}/tokens": "people.manage",
    "POST /api/v1/people/{id}/tokens": "people.manage",
    "DELETE /api/v1/people/{id}/tokens/{token}": "people.manage",
    "GET /api/v1/runs": "read",
    "POST /api/v1/runs": "runs.start",
    "POST /api/v1/runs:pause": "runs.hold_many",
    "POST /api/v1/runs:resume": "runs.hold_many",
    "POST /api/v1/runs:cancel": "runs.hold_many",
    "GET /api/v1/bulks": "read",
    "GET /api/v1/bulks/{id}": "read",
    "POST /api/v1/bulks/{id}:stop": "runs.hold_many",
    "GET /api/v1/runs/{id}": "read",
    "GET /api/v1/runs/{id}/trace": "read",
    "GET /api/v1/runs/{id}/events": "read",
    "POST /api/v1/runs/{id}/messages": "runs.message",
    "POST /api/v1/runs/{id}/notes": "notes.write",
    "POST /api/v1/runs/{id}:pause": "runs.hold",
    "POST /api/v1/runs/{id}:resume": "runs.hold",
    "POST /api/v1/runs/{id}:cancel": "runs.hold",
    "POST /api/v1/runs/{id}:take": "handoffs.work",
    "POST /api/v1/runs/{id}:done-outside": "handoffs.work",
    "GET /api/v1/approvals": "read",
    "POST /api/v1/approvals:decide": "approvals.decide",
    "GET /api/v1/approvals/{id}": "read",
    "POST /api/v1/approvals/{id}:decide": "approvals.decide",
    "POST /api/v1/approvals:assign": "approvals.assign",
    "POST /api/v1/approvals/{id}:claim": "approvals.decide",
    "POST /api/v1/approvals/{id}:unclaim": "approvals.decide",
    "POST /api/v1/approvals/{id}:extend": "approvals.extend",
    "POST /api/v1/approvals/{id}:undo": "approvals.decide",
    "GET /api/v1/switches": "read",
    "POST /api/v1/switches:impact": "read",
    "GET /api/v1/switches/{id}": "read",
    "PUT /api/v1/switches/{id}": "switches.set",
    "DELETE /api/v1/switches/{id}": "switches.set",
    "GET /api/v1/proposals": "proposals.read",
    "GET /api/v1/proposals/{id}": "proposals.read",
    "POST /api/v1/proposals/{id}:confirm": "proposals.answer",
    "POST /api/v1/proposals/{id}:decline": "proposals.answer",
    "POST /api/v1/proposals/{id}:withdraw": "proposals.answer",
    "GET /api/v1/effects": "read",
    "GET /api/v1/effects/{key}": "read",
    "POST /api/v1/effects/{key}:record": "effects.record",
    "POST /api/v1/effects/{key}:lookup": "effects.record",
    "POST /api/v1/effects/{key}:reopen": "effects.report",
    "POST /api/v1/effects/{key}:compensate": "effects.compensate",
    "GET /api/v1/contracts": "read",
    "GET /api/v1/contracts/{name}": "read",
    "GET /api/v1/tools": "read",
    "GET /api/v1/tools/{name}": "read",
    "GET /api/v1/releases": "read",
    "GET /api/v1/releases/{hash}": "read",
    "GET /api/v1/budgets": "read",
    "POST /api/v1/budgets:raise": "budgets.raise",
    "GET /api/v1/audit": "audit.read",
    "GET /api/v1/audit:verify": "audit.verify",
    "GET /api/v1/webhooks": "notices.manage",
    "POST /api/v1/webhooks": "webhooks.manage",
    "GET /api/v1/webhooks/{id}": "notices.manage",
    "DELETE /api/v1/webhooks/{id}": "webhooks.manage",
    "POST /api/v1/webhooks/{id}:rotate": "webhooks.manage",
    "POST /api/v1/webhooks/{id}:enable": "webhooks.manage",
    "POST /api/v1/webhooks/{id}:test": "webhooks.manage",
    "GET /api/v1/notices": "notices.manage",
    "POST /api/v1/notices:retry": "notices.manage",
    "GET /api/v1/notices/{id}": "notices.manage",
    "POST /api/v1/notices/{id}:retry": "notices.manage",
    "GET /api/v1/incidents": "incidents.read",
    "POST /api/v1/incidents": "incidents.manage",
    "GET /api/v1/incidents/{id}": "incidents.read",
    "POST /api/v1/incidents/{id}:close": "incidents.manage",
    "GET /api/v1/matchings": "matchings.read",
    "POST /api/v1/matchings": "matchings.start",
    "GET /api/v1/matchings/{id}": "matchings.read",
    # Pages.
    "GET /inbox": "read",
    "GET /inbox/queue": "read",
    "GET /inbox/live": "read",
    "GET /inbox/several": "approvals.decide",
    "GET /inbox/several/confirm": "approvals.decide",
    "POST /inbox/several/decide": "approvals.decide",
    "GET /inbox/several/done": "approvals.decide",
    "GET /inbox/{approval}": "read",
    "POST /inbox/{approval}/opened": "approvals.decide",
    "GET /inbox/{approval}/news": "read",
    "GET /inbox/{approval}/live": "read",
    "GET /inbox/{approval}/claim": "read",
    "POST /inbox/{approval}/discard": "approvals.decide",
    "POST /inbox/{approval}/claim": "approvals.decide",
    "POST /inbox/{approval}/keep": "approvals.decide",
    "POST /inbox/{approval}/unclaim": "approvals.decide",
    "POST /inbox/{approval}/assign": "approvals.assign",
    "POST /inbox/{approval}/extend": "approvals.extend",
    "POST /inbox/{approval}/draft": "approvals.decide",
    "POST /inbox/{approval}/decide": "approvals.decide",
    "POST /inbox/{approval}/edit": "approvals.decide",
    "POST /inbox/{approval}/undo": "approvals.decide",
    "POST /inbox/several/undo": "approvals.decide",
    "GET /decisions": "read",
    "GET /handoffs": "read",
    "GET /handoffs/rows": "read",
    "GET /handoffs/live": "read",
    "GET /handoffs/{run}": "read",
    "POST /handoffs/{run}/notes": "handoffs.work",
    "GET /runs": "read",
    "GET /runs/new": "runs.start",
    "POST /runs/new": "runs.start",
    "GET /runs/{run}": "read",
    "GET /runs/{run}/timeline": "read",
    "GET /runs/{run}/live": "read",
    "POST /runs/{run}/hold": "runs.hold",
    "POST /runs/{run}/notes": "notes.write",
    "GET /ops": "read",
    "GET /ops/bulks": "read",
    "POST /ops/impact": "switches.set",
    "POST /ops/switches": "switches.set",
    "GET /ops/set": "switches.set",
    "POST /ops/switches/{switch}/clear": "switches.set",
    "POST /ops/budgets/raise": "budgets.raise",
    "POST /ops/proposals/{proposal}": "proposals.answer",
    "POST /ops/bulks": "runs.hold_many",
    "POST /ops/bulks/{bulk}/stop": "runs.hold_many",
    "GET /effects": "read",
    "GET /effects/{key}": "read",
    "POST /effects/{key}/record": "effects.record",
    "POST /effects/{key}/lookup": "effects.record",
    "POST /effects/{key}/reopen": "effects.report",
    "POST /effects/{key}/compensate": "effects.compensate",
    "GET /notices": "account.own",
    "POST /notices/mail": "account.own",
    "POST /notices/mail/usual": "account.own",
    "POST /notices/retry": "notices.manage",
    "POST /notices/{notice}/retry": "notices.manage",
    "POST /webhooks": "webhooks.manage",
    "POST /webhooks/{webhook}/rotate": "webhooks.manage",
    "POST /webhooks/{webhook}/test": "webhooks.manage",
    "POST /webhooks/{webhook}/enable": "webhooks.manage",
    "POST /webhooks/{webhook}/remove": "webhooks.manage",
    "GET /incidents": "incidents.read",
    "POST /incidents": "incidents.manage",
    "POST /incidents/match": "matchings.start",
    "GET /incidents/{incident}": "incidents.read",
    "POST /incidents/{incident}/close": "incidents.manage",
    "GET /contracts": "read",
    "GET /contracts/{name}": "read",
    "GET /tools": "read",
    "GET /tools/{name}": "read",
    "GET /audit": "audit.read",
    "POST /audit/verify": "audit.verify",
    "GET /sent": "account.own",
    "GET /settings": "account.own",
    "POST /settings/confirm": "account.own",
    "POST /settings/password": "account.own",
    "POST /settings/sessions/end": "account.own",
    "POST /settings/sessions/{session}/end": "account.own",
    "POST /settings/tokens": "account.own",
    "POST /settings/tokens/{token}/revoke": "account.own",
    "GET /settings/people": "people.manage",
    "POST /settings/people": "people.manage",
    "POST /settings/tenants": "tenants.declare",
    "GET /settings/people/{person}": "people.manage",
    "POST /settings/people/{person}/profile": "people.manage",
    "POST /settings/people/{person}/access": "people.manage",
    "POST /settings/people/{person}/password": "people.manage",
    "POST /settings/people/{person}/open": "people.manage",
    "POST /settings/people/{person}/items": "people.manage",
    "POST /settings/people/{person}/tokens": "people.manage",
    "POST /settings/people/{person}/tokens/{token}/revoke": "people.manage",
}

# Requests that an open page sends by itself. They do not keep a session alive: the
# session of a person who has left still becomes idle.
UNASKED: frozenset[str] = frozenset(
    {
        "GET /inbox/queue",
        "GET /inbox/live",
        "GET /inbox/{approval}/news",
        "GET /inbox/{approval}/live",
        "GET /inbox/{approval}/claim",
        "POST /inbox/{approval}/keep",
        "GET /handoffs/rows",
        "GET /handoffs/live",
        "GET /runs/{run}/timeline",
        "GET /runs/{run}/live",
        "GET /api/v1/runs/{id}/events",
    }
)

# Event streams, which have a count of their own.
STREAMS: frozenset[str] = frozenset(
    {
        "GET /inbox/live",
        "GET /inbox/{approval}/live",
        "GET /handoffs/live",
        "GET /runs/{run}/live",
        "GET /api/v1/runs/{id}/events",
    }
)

# Routes that stop or resume something: they have priority.
AHEAD: frozenset[Needed] = frozenset(
    {"switches.set", "runs.hold", "runs.hold_many", "proposals.answer"}
)

# A service starts runs, passes on messages of customers and providers, and reads; it
# cannot decide anything.
SERVICE: frozenset[Action] = frozenset(
    {"read", "runs.start", "runs.message", "effects.report"}
)

# Actions on every tenant's rows: only for people of the whole installation.
WHOLE: frozenset[Action] = frozenset(
    {"audit.verify", "matchings.read", "matchings.start", "tenants.declare"}
)


def may(person: Person, action: Action) -> bool:
    """Tell whether this person's role, kind and token permit an action."""
    if person.scopes is not None and action not in person.scopes:
        return False
    if person.kind != "person" and action not in SERVICE:
        return False
    if action in WHOLE and person.tenant is not None:
        return False
    return person.role in ALLOWED[action]


def check(person: Person, action: Action) -> None:
    """Raise `MayNot`, naming the permitted roles, if this person may not."""
    if may(person, action):
        return
    is_short = person.scopes is not None and action not in person.scopes
    # Another token helps only if the role may do it.
    if is_short and person.role in ALLOWED[action]:
        raise MayNot(
            f"This token may not do {action}: it was made for "
            f"{', '.join(person.scopes or ()) or 'nothing'}. Use one with the scope {action}."
        )
    if person.kind != "person":
        raise MayNot(
            f"{person.name} is a service: it starts runs and reads, and may not do "
            f"{action}. Use a person's token."
        )
    if person.role in ALLOWED[action]:
        raise MayNot(
            f"{action} affects all tenants, and you belong to the "
            f"tenant {person.tenant!r}. Ask an admin of all tenants."
        )
    raise MayNot(
        f"Your role {person.role} may not do {action}; "
        f"{', '.join(sorted(ALLOWED[action]))} may."
    )


def needed(route: str) -> Needed:
    """Return what a route requires, or raise `MayNot` if the table lacks it."""
    if route not in ROUTES:
        raise MayNot(
            f"{route} is not in ROUTES, so nobody may call it. Add a line to "
            f'approvals/auth/permissions.py, with the action it needs or "public": '
            f'"{route}": "read",'
        )
    return ROUTES[route]


def granted(person: Person) -> list[Action]:
    """Return all actions that this person may do."""
    return [action for action in ALLOWED if may(person, action)]
