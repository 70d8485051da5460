"""Every form of the pages: who sends what, and what is refused."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.approvals.pages import form_preparation
from tests.approvals.pages.form_preparation import TOKEN, WHY, Desk, Fields
from tests.approvals.pages.seed import PASSWORD

Prepare = Callable[[Desk], Awaitable[Fields]]


@dataclass(frozen=True)
class Form:
    """Who sends what where; `wrong` is what is refused, with words that must stay."""

    who: str
    path: str
    fields: Fields = field(default_factory=dict[str, "str | list[str]"])
    before: Prepare | None = None
    wrong: Fields | None = None


PAUSE: Fields = {"verb": "pause", "workflow": "support-ticket", "reason": WHY}
ITEM = "/inbox/<item refund_order>"
EFFECT = "/effects/<unknown>"
DONE = "/effects/<done>"
OTHER = "/settings/people/<person other>"
MESSAGE: Fields = {
    "workflow": "support-ticket",
    "v/customer_id": "c-1",
    "v/customer_email": "c-1@example.org",
    "v/subject": "Hello",
    "v/message": "Where is it?",
}
FORMS: dict[str, Form] = {
    "POST /inbox/{approval}/claim": Form("agent", f"{ITEM}/claim"),
    "POST /inbox/{approval}/unclaim": Form(
        "agent", f"{ITEM}/unclaim", before=form_preparation.claimed
    ),
    "POST /inbox/{approval}/assign": Form(
        "lead",
        f"{ITEM}/assign",
        {"reason": WHY},
        form_preparation.given,
        {"to": "p", "reason": WHY},
    ),
    "POST /inbox/{approval}/extend": Form(
        "lead",
        f"{ITEM}/extend",
        {"minutes": "30", "reason": WHY},
        wrong={"minutes": "x", "reason": WHY},
    ),
    "POST /inbox/{approval}/decide": Form(
        "agent",
        f"{ITEM}/decide",
        {"decision": "reject", "reason": WHY},
        form_preparation.binding,
        {"decision": "reject", "reason": WHY, "binding": "0" * 64},
    ),
    "POST /inbox/{approval}/edit": Form(
        "agent", f"{ITEM}/edit", before=form_preparation.edited
    ),
    "POST /inbox/{approval}/discard": Form(
        "agent", f"{ITEM}/discard", before=form_preparation.drafted
    ),
    "POST /inbox/{approval}/undo": Form(
        "agent", f"{ITEM}/undo", before=form_preparation.decided
    ),
    "POST /inbox/several/decide": Form(
        "agent",
        "/inbox/several/decide",
        {"decision": "approve"},
        form_preparation.opened,
        {"decision": "reject", "item": "x", "binding": "y", "reason": WHY},
    ),
    "POST /inbox/several/undo": Form(
        "agent",
        "/inbox/several/undo",
        {"item": "<item refund_order>"},
        form_preparation.decided,
    ),
    "POST /handoffs/{run}/notes": Form(
        "agent",
        "/handoffs/<run handed_off>/notes",
        {"kind": "note", "text": WHY},
        wrong={"kind": "x", "text": WHY},
    ),
    "POST /runs/new": Form(
        "agent",
        "/runs/new",
        MESSAGE,
        form_preparation.once,
        {"workflow": "support-ticket", "once": "x", "v/message": WHY},
    ),
    "POST /runs/{run}/hold": Form(
        "operator",
        "/runs/<run lamp>/hold",
        {"control": "pause", "reason": WHY},
        wrong={"control": "x", "reason": WHY},
    ),
    "POST /runs/{run}/notes": Form("agent", "/runs/<run lamp>/notes", {"text": WHY}),
    "POST /ops/switches": Form(
        "operator",
        "/ops/switches",
        {"tool": "refund_order", "mode": "halt", "reason": WHY, "sure": "yes"},
        wrong={"tool": "refund_order", "mode": "halt", "reason": WHY},
    ),
    "POST /ops/switches/{switch}/clear": Form(
        "operator",
        "/ops/switches/<switch>/clear",
        {"reason": WHY},
        form_preparation.switched,
    ),
    "POST /ops/proposals/{proposal}": Form(
        "operator",
        "/ops/proposals/<proposal>",
        {"answer": "withdraw"},
        form_preparation.proposed,
        {"answer": "x", "reason": WHY},
    ),
    "POST /ops/budgets/raise": Form(
        "operator",
        "/ops/budgets/raise",
        {"tokens": "1500000", "reason": WHY},
        form_preparation.held_by_its_budget,
        {"tokens": "many", "reason": WHY},
    ),
    "POST /ops/bulks": Form(
        "operator", "/ops/bulks", PAUSE, wrong={**PAUSE, "verb": "x"}
    ),
    "POST /ops/bulks/{bulk}/stop": Form(
        "operator", "/ops/bulks/<bulk>/stop", before=form_preparation.paused_all
    ),
    "POST /effects/{key}/record": Form(
        "lead",
        f"{EFFECT}/record",
        {"happened": "yes", "evidence": WHY},
        wrong={"happened": "x", "evidence": WHY},
    ),
    "POST /effects/{key}/reopen": Form(
        "lead",
        f"{DONE}/reopen",
        {"how": "failed", "words": WHY},
        wrong={"how": "x", "words": WHY},
    ),
    "POST /effects/{key}/lookup": Form("lead", f"{EFFECT}/lookup"),
    "POST /effects/{key}/compensate": Form(
        "lead",
        f"{DONE}/compensate",
        {"reason": WHY},
        form_preparation.can_be_taken_back,
    ),
    "POST /notices/{notice}/retry": Form(
        "operator", "/notices/<notice>/retry", before=form_preparation.dead_notice
    ),
    "POST /notices/mail": Form("agent", "/notices/mail", {"kinds": "approval.asked"}),
    "POST /notices/mail/usual": Form("agent", "/notices/mail/usual"),
    "POST /notices/retry": Form("admin", "/notices/retry"),
    "POST /webhooks": Form(
        "admin",
        "/webhooks",
        {"url": "http://127.0.0.1:9/hook"},
        wrong={"url": "ftp://x.example/hook"},
    ),
    "POST /webhooks/{webhook}/rotate": Form(
        "admin", "/webhooks/<webhook>/rotate", before=form_preparation.hooked
    ),
    "POST /webhooks/{webhook}/test": Form(
        "admin", "/webhooks/<webhook>/test", before=form_preparation.hooked
    ),
    "POST /webhooks/{webhook}/enable": Form(
        "admin", "/webhooks/<webhook>/enable", before=form_preparation.hooked
    ),
    "POST /webhooks/{webhook}/remove": Form(
        "admin", "/webhooks/<webhook>/remove", {"sure": "yes"}, form_preparation.hooked
    ),
    "POST /incidents": Form(
        "operator",
        "/incidents",
        {"severity": "high", "title": "A difference", "detail": WHY},
        wrong={"severity": "high", "title": " ", "detail": WHY},
    ),
    "POST /incidents/match": Form("operator", "/incidents/match"),
    "POST /incidents/{incident}/close": Form(
        "admin",
        "/incidents/<incident>/close",
        {"reason": WHY},
        form_preparation.incident,
    ),
    "POST /audit/verify": Form("auditor", "/audit/verify"),
    "POST /settings/password": Form(
        "agent", "/settings/password", {"old": PASSWORD, "new": "another good one"}
    ),
    "POST /settings/sessions/end": Form("agent", "/settings/sessions/end"),
    "POST /settings/sessions/{session}/end": Form(
        "agent",
        "/settings/sessions/<session>/end",
        before=form_preparation.second_session,
    ),
    "POST /settings/confirm": Form("agent", "/settings/confirm"),
    "POST /settings/tokens": Form(
        "agent",
        "/settings/tokens",
        TOKEN,
        wrong={"name": WHY, "days": "0"},
    ),
    "POST /settings/tokens/{token}/revoke": Form(
        "agent", "/settings/tokens/<token>/revoke", before=form_preparation.token
    ),
    "POST /settings/people": Form(
        "admin",
        "/settings/people",
        {"name": "Eve", "email": "eve@example.com", "role": "auditor"},
        wrong={"name": "Eve", "email": "eve", "role": "auditor", "reason": WHY},
    ),
    "POST /settings/tenants": Form(
        "admin",
        "/settings/tenants",
        {"name": "acme", "reason": WHY},
        form_preparation.second_admin,
        {"name": "a b", "reason": WHY},
    ),
    "POST /settings/people/{person}/profile": Form(
        "admin",
        f"{OTHER}/profile",
        {"name": "Otto"},
        wrong={"name": WHY, "teams": "x" * 70},
    ),
    "POST /settings/people/{person}/access": Form(
        "admin",
        f"{OTHER}/access",
        {"role": "developer", "reason": WHY, "sure": "yes"},
        wrong={"role": "developer", "reason": WHY},
    ),
    "POST /settings/people/{person}/password": Form(
        "admin", f"{OTHER}/password", {"sure": "yes"}
    ),
    "POST /settings/people/{person}/open": Form(
        "admin", f"{OTHER}/open", {"wanted": "closed", "sure": "yes"}
    ),
    "POST /settings/people/{person}/items": Form(
        "admin",
        "/settings/people/<person agent>/items",
        {"reason": WHY},
        form_preparation.held,
        {"to": "nobody", "reason": WHY},
    ),
    "POST /settings/people/{person}/tokens": Form(
        "admin",
        "/settings/people/<service>/tokens",
        {"name": "t", "password": PASSWORD},
        form_preparation.service,
    ),
    "POST /settings/people/{person}/tokens/{token}/revoke": Form(
        "admin",
        "/settings/people/<service>/tokens/<token>/revoke",
        before=form_preparation.service_token,
    ),
}
