"""A run's whole record in one response (P13)."""

import asyncio
from datetime import datetime

from fastapi import Response
from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.approvals.api import approval_body, record_body, run_body
from keyturn.approvals.api.approval_body import Approval
from keyturn.approvals.api.fields import PathId
from keyturn.approvals.api.record_body import (
    Attempt,
    AuditEntry,
    Call,
    CustomerMessage,
    Effect,
    Message,
    Note,
    Step,
    Turn,
)
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.api.run_body import Run
from keyturn.approvals.auth import permissions
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.approvals.web.tenancy import Reader
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.text import canonical, redaction
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.views import trace
from keyturn.orchestrator.store.views.trace import Trace

router = routing.of_api("runs")


class RunTrace(BaseModel):
    """A run's whole record: input, messages, calls, decisions, effects and cost."""

    model_config = ConfigDict(frozen=True)

    run: Run
    input: JsonValue
    steps: list[Step]
    turns: list[Turn]
    messages: list[Message]
    calls: list[Call]
    approvals: list[Approval]
    attempts: list[Attempt]
    effects: list[Effect]
    customer_messages: list[CustomerMessage]
    notes: list[Note]
    audit: list[AuditEntry]


@router.get("/runs/{id}/trace", responses=ONE, response_model=RunTrace)
async def show_trace(id: PathId, person: Reader, store: StoreDep) -> Response:  # noqa: A002 the path's name
    """Show everything that is recorded about a run."""
    found = await trace.load(store, id, tenant=person.tenant)
    async with store.read() as session:
        release = await releases.load(session, found.run.release)
        [run] = await run_body.bodies(session, [found.run])
        now = await session.read_clock()
    is_operator = permissions.may(person, "audit.read")
    # Off the event loop: a long run's record is megabytes of untrusted text.
    text = await asyncio.to_thread(
        lambda: _for_viewer(
            _body(found, run, release, now=now), found, is_operator=is_operator
        ).model_dump_json()
    )
    return Response(text, media_type="application/json")


def _for_viewer(body: RunTrace, found: Trace, *, is_operator: bool) -> RunTrace:
    """Add the texts that outsiders wrote, as far as this viewer may read them."""
    return body.model_copy(
        update={
            "attempts": [
                record_body.attempt(one, is_operator=is_operator)
                for one in found.attempts
            ],
            "effects": [
                record_body.effect(one, is_operator=is_operator)
                for one in found.effects
            ],
            "audit": [
                record_body.audit_entry(one, is_operator=is_operator)
                for one in found.audit
            ],
        }
    )


def _body(found: Trace, run: Run, release: Release, *, now: datetime) -> RunTrace:
    return RunTrace(
        run=run,
        input=redaction.drop(
            canonical.parse(found.run.input), release.input_schema, release.never_sees
        ),
        steps=[Step.model_validate(one) for one in found.steps],
        turns=[record_body.turn(one) for one in found.turns],
        messages=[Message.model_validate(one) for one in found.messages],
        calls=[record_body.call(one) for one in found.calls],
        approvals=[
            approval_body.body(one, release, found.decisions.get(one.id, ()), now=now)
            for one in found.approvals
        ],
        attempts=[],
        effects=[],
        customer_messages=[
            CustomerMessage.model_validate(one) for one in found.customer_messages
        ],
        notes=[Note.model_validate(one) for one in found.notes],
        audit=[],
    )
