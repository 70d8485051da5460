"""Reconciliation of the ledger with the statement and the mail log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict

from keyturn.approvals.api.fields import PathId
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import ONE
from keyturn.approvals.auth.visitor import require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.status import ReconciliationStatus
from keyturn.orchestrator.store.incidents import statement as incident_statement
from keyturn.orchestrator.store.incidents.statement import Side
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import MatchingRow

router = routing.of_api("matchings")

READ = [Depends(require("matchings.read"))]


class Matching(BaseModel):
    """One reconciliation; a side is null until it has ended."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: ReconciliationStatus
    asked_by: str
    asked_name: str
    asked_at: datetime
    since: datetime | None
    until: datetime | None
    statement: Side | None
    mail: Side | None
    ended_at: datetime | None


@router.get("/matchings", dependencies=READ)
async def list_matchings(
    store: StoreDep, wanted: Annotated[Paged, Query()]
) -> Page[Matching]:
    """List reconciliations, newest first."""
    async with store.read() as session:
        rows = await incident_statement.listing(
            session, limit=wanted.one_more, before=wanted.cursor
        )
        names = await accounts.names(session, {row.asked_by for row in rows})
    return page([_body(row, names) for row in rows], wanted, lambda one: one.id)


@router.get("/matchings/{id}", dependencies=READ, responses=ONE)
async def show_matching(id: PathId, store: StoreDep) -> Matching:  # noqa: A002 the path's name
    """Show a reconciliation, with its differences."""
    async with store.read() as session:
        row = await incident_statement.get(session, id)
        return _body(row, await accounts.names(session, {row.asked_by}))


@router.post("/matchings", status_code=202, dependencies=ONCE)
async def ask_for_matching(
    person: Annotated[Person, Depends(require("matchings.start"))], store: StoreDep
) -> Matching:
    """Request a reconciliation by a worker; return the pending one if there is one."""
    row = await incident_statement.ask(store, by=person.id)
    async with store.read() as session:
        return _body(row, await accounts.names(session, {row.asked_by}))


def _body(row: MatchingRow, names: Mapping[str, str]) -> Matching:
    return Matching(
        **row.model_dump(exclude={"status", "statement", "mail"}),
        status=row.status,
        asked_name=names.get(row.asked_by, row.asked_by),
        statement=Side.model_validate(row.statement) if row.statement else None,
        mail=Side.model_validate(row.mail) if row.mail else None,
    )
