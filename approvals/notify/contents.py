"""The contents of a notice: ids, tool, workflow, role, time, and a link.

A notice has no arguments, money, customer or free text, unless its webhook was set to
carry arguments. Its link opens a page; opening it decides nothing.
"""

from datetime import datetime

from pydantic import JsonValue

from keyturn.approvals.auth import dual_control
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.text import canonical, redaction
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices.fan_out import Event
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, NoticeRow, RunRow

Payload = dict[str, JsonValue]

WORDS = {
    "approval.asked": "waits for a decision",
    "approval.assigned": "is assigned to you",
    "approval.warned": "is about to expire",
    "approval.escalated": "was not answered in time and now waits for others",
    "approval.expired": "expired without a decision",
    "run.handed_off": "was handed off to people",
    "effect.unknown": "has an unknown outcome: somebody has to investigate",
    "incident.opened": "was opened",
    "proposal.opened": "waits for a second person",
}


async def of(session: Tx, event: Event) -> Payload:
    """Return the contents of a notice about an event, for any recipient."""
    if event.kind.startswith("approval."):
        row = await session.get(ApprovalRow, event.subject)
        return _common(event) | (_approval(row) if row is not None else {})
    if event.kind in ("run.handed_off", "effect.unknown"):
        run = await session.get(RunRow, event.run) if event.run else None
        return _common(event) | _run(event, run)
    if event.kind == "proposal.opened":
        path = dual_control.PAGES[str(event.payload.get("kind"))]
        return _common(event) | {"proposal": event.subject, "path": path}
    noun = event.kind.partition(".")[0]
    return _common(event) | {noun: event.subject, "path": f"/{noun}s/{event.subject}"}


def body(row: NoticeRow, settings: Settings, more: Payload) -> str:
    """Return the body of a webhook request, as JSON."""
    data = {name: value for name, value in row.payload.items() if name != "path"}
    at = data.pop("at", None)
    data["url"] = link(settings, row.payload)
    return canonical.text({"type": row.kind, "timestamp": at, "data": data | more})


async def arguments(session: Tx, approval: str | None) -> Payload:
    """Return an approval's arguments without the hidden fields (P12)."""
    row = await session.get(ApprovalRow, approval) if approval else None
    if row is None:
        return {}
    release = await releases.load(session, row.release)
    spec = release.tool(row.tool)
    value = canonical.parse(row.effective or row.arguments)
    kept = redaction.drop(value, spec.parameters, release.never_sees)
    return {"arguments": kept}


def link(settings: Settings, payload: Payload) -> str:
    """Return the link to the page that shows the event's subject."""
    return f"{base(settings)}{payload.get('path', '/inbox')}"


def base(settings: Settings) -> str:
    """Return the base URL of the pages."""
    known = settings.public_url or f"http://{settings.host}:{settings.port}"
    return known.rstrip("/")


def headline(payload: Payload, kind: str) -> str:
    """Return the event and its subject in a few words."""
    what = payload.get("tool") or payload.get("workflow") or kind.partition(".")[0]
    where = payload.get("workflow") if payload.get("tool") else None
    named = str(what).replace("_", " ").capitalize()
    return f"{named}{f' ({where})' if where else ''} {WORDS[kind]}"


def line(payload: Payload, kind: str) -> str:
    """Return one line for a person: event, subject and time to act by."""
    until = payload.get("answer_by")
    if not until:
        return headline(payload, kind)
    at = datetime.fromisoformat(str(until))
    return f"{headline(payload, kind)}, by {at:%Y-%m-%d %H:%M} UTC"


def _common(event: Event) -> Payload:
    return {"at": event.at.isoformat(), "tenant": event.tenant, "run": event.run}


def _approval(row: ApprovalRow) -> Payload:
    return {
        "approval": row.id,
        "tool": row.tool,
        "workflow": row.workflow,
        "role": row.role,
        "needed": row.needed,
        "answer_by": row.answer_by.isoformat(),
        "path": f"/inbox/{row.id}",
    }


def _run(event: Event, run: RunRow | None) -> Payload:
    workflow: Payload = {"workflow": run.workflow if run is not None else None}
    if event.kind == "run.handed_off":
        return workflow | {"path": f"/handoffs/{event.run}"}
    tool = event.payload.get("tool")
    path = f"/effects/{event.subject}"
    return workflow | {"effect": event.subject, "tool": tool, "path": path}
