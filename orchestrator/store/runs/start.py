"""Starting a run: checked, and added once for its source and external id."""

import asyncio
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from keyturn.orchestrator.rules import ids
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.switch import Target
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.errors import InvalidValue
from keyturn.orchestrator.rules.text import canonical, plain_text, schema
from keyturn.orchestrator.store import outbox
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs.errors import ExternalIdReused, NotStarted
from keyturn.orchestrator.store.switches import active
from keyturn.orchestrator.store.tables import (
    RunRow,
)
from keyturn.orchestrator.store.tenants import sources, tenants
from keyturn.orchestrator.store.tenants.sources import Origin


class NewRun(BaseModel):
    """What starts a run; `started_by` is the person's id from the session."""

    model_config = ConfigDict(frozen=True)

    workflow: str
    input: dict[str, JsonValue]
    tenant: str
    source: str | None = None
    external_id: str | None = None
    started_by: str | None = None
    # The source is a label of ours: its external ids are the account's own.
    is_own_source: bool = False

    def origin(self) -> Origin | None:
        """Return where the run comes from; None without an external id."""
        if self.external_id is None:
            return None
        return sources.of(
            self.source,
            self.external_id,
            by=self.started_by,
            is_own=self.is_own_source,
        )


class Fitted(BaseModel):
    """A stored input, and the release whose schema it was found to fit."""

    model_config = ConfigDict(frozen=True)

    release: str
    text: str


async def start(store: Store, new: NewRun) -> tuple[RunRow, bool]:
    """Return the run and whether it is new.

    The same source and external id, in any spelling, always give the first run. Raises
    `ExternalIdReused` if they named another input, workflow or tenant, `SourceTaken` if
    the source belongs to another account, `UndeclaredTenant`, `NotFound` for an unknown
    workflow, `InvalidValue` for an input that does not fit its schema or size,
    `NotStarted` if a switch holds the workflow.
    """
    plain_text.check(new.model_dump(exclude={"input", "is_own_source"}))
    found = await _earlier(store, new)
    if found is not None:
        return found, False
    fitted = await _fit(store, new)
    try:
        async with store.write() as session:
            return await insert(session, new, fitted), True
    except IntegrityError:
        found = await _earlier(store, new)
        if found is None:
            raise
        return found, False


async def _earlier(store: Store, new: NewRun) -> RunRow | None:
    origin = new.origin()
    if origin is None:
        return None
    async with store.read() as session:
        await sources.check(session, origin)
        query = select(RunRow).where(
            col(RunRow.origin) == origin.space, col(RunRow.external_key) == origin.key
        )
        row = (await session.execute(query)).scalar_one_or_none()
    if row is not None:
        _refuse_another(row, new)
    return row


def _refuse_another(row: RunRow, new: NewRun) -> None:
    """Raise `ExternalIdReused` if the first run is for something else."""
    other = [
        word
        for word, is_other in (
            ("tenant", row.tenant != new.tenant),
            ("workflow", row.workflow != new.workflow),
            ("input", row.input != canonical.text(dict(new.input))),
        )
        if is_other
    ]
    if other:
        which = f" {row.id}" if row.tenant == new.tenant else ""
        raise ExternalIdReused(
            f"The external id {new.external_id!r} of this source started the run{which} "
            f"with another {' and another '.join(other)}; nothing was started. Use a new "
            "external id for a new run, or send a message to that run."
        )


async def _fit(store: Store, new: NewRun) -> Fitted:
    """Check the input before the transaction: a large one takes seconds."""
    async with store.read() as session:
        name, release = await releases.live(session, new.workflow)
    if schema.is_small(new.input):
        return Fitted(release=name, text=_checked(release, new.input))
    text = await asyncio.to_thread(_checked, release, new.input)
    return Fitted(release=name, text=text)


async def insert(session: Tx, new: NewRun, fitted: Fitted) -> RunRow:
    """Add a run to this transaction; raises like `start`.

    It shares the barrier: a switch or bulk pause that is set finds the run, or is
    found. A transaction that has locked rows before has shared it before those.
    """
    now = await session.share_barrier_now()
    name, release = await releases.live(session, new.workflow)
    await tenants.check(session, new.tenant)
    await _refuse_held(session, new)
    if fitted.release != name:
        # Another release went live in between; this is rare, and takes its time.
        _checked(release, new.input)
    customer = _field(new.input, release.customer)
    plain_text.check_id(customer, path=release.customer or "customer")
    origin = new.origin()
    if origin is not None:
        await sources.claim(session, origin)
    row = RunRow(
        id=ids.new_id("run"),
        workflow=new.workflow,
        tenant=new.tenant,
        customer=customer,
        contact=_field(new.input, release.contact) or None,
        source=new.source,
        external_id=new.external_id,
        origin=origin.space if origin else None,
        external_key=origin.key if origin else None,
        release=name,
        code_version=await releases.code_version(session, name),
        input=fitted.text,
        started_by=new.started_by,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    outbox.add(session, "start", row.id, at=now)
    log.record(
        session,
        log.Entry(
            actor=new.started_by or "system",
            kind="run.started",
            tenant=row.tenant,
            run=row.id,
            payload={
                "workflow": row.workflow,
                "release": name,
                "input": canonical.digest_of(fitted.text),
            },
        ),
        at=now,
    )
    return row


async def _refuse_held(session: Tx, new: NewRun) -> None:
    target = Target(tenant=new.tenant, workflow=new.workflow)
    found = hold.disabling(await active.active(session), target)
    if found is not None:
        raise NotStarted(
            f"Workflow {new.workflow!r} takes no new runs: switch {found.id} disables "
            f"{found.scope}: {found.reason}."
        )


def _checked(release: Release, value: Mapping[str, JsonValue]) -> str:
    """Return the input as it is stored, or raise `InvalidValue`."""
    text = canonical.text(dict(value))
    size = len(text.encode())
    if size > release.max_input_bytes:
        raise InvalidValue(
            f"the input has {size} bytes; {release.workflow} takes at most "
            f"{release.max_input_bytes}. Shorten it"
        )
    schema.check(dict(value), release.input_schema)
    plain_text.refuse_control_characters(dict(value))
    return text


def _field(value: Mapping[str, JsonValue], name: str | None) -> str:
    """Return a field as text; a number has one spelling: 1, 1.0 and 1e0 are one id."""
    found = value.get(name) if name else None
    if found is None or isinstance(found, str):
        return found or ""
    return canonical.text(found)
