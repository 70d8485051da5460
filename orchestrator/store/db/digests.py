"""Digests of rows: what the audit log says that the tables hold.

Each transaction that writes one of the rows named here puts a digest of the row, as it
is at the commit, into an audit entry of the same transaction. `integrity.verification`
compares them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Integer, Select, event, inspect, select, tuple_
from sqlalchemy.orm import Mapper, Session, UOWTransaction
from sqlmodel import SQLModel

from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store import tables
from keyturn.orchestrator.store.tables.types import Json, Scrubbed, ScrubbedJson

# The rows that a transaction wrote, in its session's `info`.
WRITTEN = "rows written"
# For an effect under way, the log has an entry only for its lease: the change from
# leased to sending happens right before the request, when nothing unnecessary is
# written.
UNDER_WAY = {"leased": "under way", "sending": "under way"}

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Kept:
    """A table that the log vouches for: its digested columns, and the time since when.

    Entries whose kind begins with `kind` describe its rows. `run` names the column with
    the run that a row belongs to; `since` the one with the time at which it was first
    written. Rows of a table that `ends` are deleted without an entry, such as expired
    sessions.
    """

    kind: str
    row: type[SQLModel]
    columns: tuple[str, ...]
    run: str | None = "run"
    since: str = "created_at"
    ends: bool = False

    @property
    def table(self) -> str:
        """Return the table's name."""
        return str(inspect(self.row).local_table)

    @property
    def key(self) -> tuple[str, ...]:
        """Return the names of its primary key's columns."""
        return tuple(one.name for one in inspect(self.row).primary_key)

    @property
    def key_types(self) -> tuple[type, ...]:
        """Return the Python types of its primary key's columns."""
        columns = inspect(self.row).primary_key
        return tuple(int if isinstance(one.type, Integer) else str for one in columns)

    def name(self, key: Sequence[object]) -> str:
        """Return the log's name of a row: its table and its key."""
        return "/".join([self.table, *map(str, key)])

    def select(self) -> Select[*tuple[Any, ...]]:
        """Return the query for keys, times, and the columns that are digested."""
        names = (*self.key, self.since, *self.columns)
        columns: list[Any] = [getattr(self.row, name) for name in names]
        return select(*columns)

    def among(self, keys: Iterable[Key]) -> ColumnElement[bool]:
        """Match rows with one of these keys."""
        columns = [getattr(self.row, name) for name in self.key]
        if len(columns) == 1:
            return columns[0].in_([key[0] for key in keys])
        return tuple_(*columns).in_(list(keys))

    def read(self, found: Sequence[Any]) -> "Digested":
        """Return what the log should say of a row that `select` found."""
        width = len(self.key)
        values = dict(zip(self.columns, found[width + 1 :], strict=True))
        return Digested(tuple(found[:width]), found[width], digest(values))


@dataclass(frozen=True)
class Digested:
    """A row's key, the time since when it exists, and its digest."""

    key: Key
    since: datetime
    digest: str


@dataclass(frozen=True)
class Written:
    """A row that a transaction wrote: its run, and its digest, None if deleted."""

    kept: Kept
    key: Key
    run: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Return the log's name of the row."""
        return self.kept.name(self.key)


def _kept(
    kind: str,
    row: type[SQLModel],
    columns: str,
    **more: Any,  # noqa: ANN401 fields of Kept
) -> Kept:
    return Kept(kind, row, tuple(columns.split()), **more)


KEPT: dict[type[SQLModel], Kept] = {
    one.row: one
    for one in (
        _kept(
            "release.",
            tables.ReleaseRow,
            "workflow content code_version created_at live_since live_by signature",
            run=None,
        ),
        _kept(
            "run.",
            tables.RunRow,
            "workflow tenant customer contact source external_id release input "
            "started_by compensates created_at",
            run="id",
        ),
        _kept(
            "turn",
            tables.TurnRow,
            "step result model provider tokens cost_microusd created_at",
        ),
        _kept("turn", tables.MessageRow, "role text created_at"),
        _kept(
            "customer.", tables.CustomerMessageRow, "run text by external_id created_at"
        ),
        _kept(
            "call.",
            tables.CallRow,
            "tool authority arguments effective revision gate verdict subject status "
            "result created_at",
        ),
        _kept(
            "approval.",
            tables.ApprovalRow,
            "run turn index revision tenant workflow customer tool subject status "
            "arguments effective preview amount currency verdict rule needed role "
            "release policy binding effective_binding reason not_by barred edited_by "
            "consumed_by created_at",
        ),
        _kept(
            "decision.",
            tables.DecisionRow,
            "approval person person_name session decision arguments reason binding "
            "effective grounds signature at",
            run=None,
            since="at",
        ),
        _kept(
            "effect.",
            tables.EffectRow,
            "run turn index revision tenant workflow customer tool subject service "
            "within_tenant customer_key subject_key status attempt arguments preview "
            "binding approval approvers amount currency compensates receipt evidence "
            "recorded_by later created_at",
        ),
        _kept(
            "handoff.", tables.NoteRow, "run person person_name kind text created_at"
        ),
        _kept(
            "person.",
            tables.PersonRow,
            "name email kind role tenant teams languages password_hash oidc_issuer "
            "oidc_subject approves_from created_at disabled_at",
            run=None,
        ),
        _kept(
            "token.",
            tables.TokenRow,
            "person name hash scopes tenants parent created_at ends_at revoked_at",
            run=None,
        ),
        _kept(
            "session.",
            tables.SessionRow,
            "person method created_at",
            run=None,
            ends=True,
        ),
        _kept(
            "switch.",
            tables.SwitchRow,
            "scope mode value reason author created_at until cleared_at cleared_by "
            "clear_reason",
            run=None,
        ),
        _kept(
            "proposal.",
            tables.ProposalRow,
            "kind target tenant reason status proposed_by proposed_name created_at "
            "ends_at decided_by decided_name decided_at",
            run=None,
        ),
        _kept(
            "tenant.",
            tables.TenantRow,
            "name is_rehearsal declared_by created_at",
            run=None,
        ),
        _kept("source.", tables.SourceRow, "name owner created_at", run=None),
    )
}
BY_TABLE = {one.table: one for one in KEPT.values()}


class Watched(Session):
    """A session that records in its `info` which of these rows it wrote."""


@event.listens_for(Watched, "after_flush")
def _note(session: Session, _: UOWTransaction) -> None:
    written = session.info.setdefault(WRITTEN, {})
    for row in session.new:
        if type(row) in KEPT:
            written[_place(row)] = row
    for row in session.dirty:
        if _is_changed(row):
            # A row of this transaction is as it is in memory.
            written.setdefault(_place(row), None)
    for row in session.deleted:
        kept = _kept_of(row)
        if kept is not None and not kept.ends:
            written[_place(row)] = None


def changed(session: Any, row: type[SQLModel], *keys: Key) -> None:  # noqa: ANN401 a session of either kind
    """Record rows that a statement changed without the session's objects."""
    written = session.info.setdefault(WRITTEN, {})
    for key in keys:
        written[row, key] = None


def of_written(session: Session) -> list[Written]:
    """Return the digests of the rows that the session wrote and flushed.

    None for a deleted row. Rows that others may have changed since they were read are
    read again: they are locked at this point.
    """
    written: dict[tuple[type[SQLModel], Key], SQLModel | None]
    written = session.info.pop(WRITTEN, {})
    found: list[Written] = []
    unread: dict[type[SQLModel], list[Key]] = {}
    for (kind, key), row in written.items():
        if row is None:
            unread.setdefault(kind, []).append(key)
            continue
        kept = KEPT[kind]
        run = getattr(row, kept.run) if kept.run else None
        values = {name: _as_stored(row, name) for name in kept.columns}
        found.append(Written(kept, key, run, digest(values)))
    for kind, keys in unread.items():
        found += _read_again(session, KEPT[kind], keys)
    return found


def digest(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 over the canonical form of a row's columns, in hex."""
    said = {name: _plain(name, value) for name, value in values.items()}
    try:
        return canonical.digest(said)
    except MalformedJson:
        # Numbers that databases hold and JSON does not.
        return canonical.digest(canonical.repair(said))


def _plain(name: str, value: Any) -> JsonValue:  # noqa: ANN401 a column of any type
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if name == "status":
        return UNDER_WAY.get(value, value)
    return value


def _kept_of(row: object) -> Kept | None:
    return KEPT.get(type(row)) if isinstance(row, SQLModel) else None


def _place(row: SQLModel) -> tuple[type[SQLModel], Key]:
    kind = type(row)
    mapper: Mapper[Any] = inspect(kind)
    return kind, tuple(mapper.primary_key_from_instance(row))


def _is_changed(row: object) -> bool:
    kept = _kept_of(row)
    if kept is None:
        return False
    attributes = inspect(row).attrs
    return any(
        _differs(name, attributes[name].history)
        for name in kept.columns
        if attributes[name].history.has_changes()
    )


def _differs(name: str, history: Any) -> bool:  # noqa: ANN401 SQLAlchemy's History
    if name != "status" or not history.deleted:
        return True
    return _plain(name, history.deleted[0]) != _plain(name, history.added[0])


_NORMAL: dict[type, Callable[[Any], Any]] = {
    type(Json): lambda value: json.loads(json.dumps(value)),
    Scrubbed: lambda value: Scrubbed().process_bind_param(value, None),
    ScrubbedJson: lambda value: json.loads(
        json.dumps(ScrubbedJson().process_bind_param(value, None))
    ),
}


def _as_stored(row: SQLModel, name: str) -> Any:  # noqa: ANN401 a column of any type
    """Return a value as it will be read from the database."""
    value = getattr(row, name)
    kind = type(inspect(type(row)).columns[name].type)
    normal = _NORMAL.get(kind)
    return value if normal is None or value is None else normal(value)


def _read_again(session: Session, kept: Kept, keys: list[Key]) -> Iterable[Written]:
    runs: list[Any] = [getattr(kept.row, kept.run)] if kept.run else []
    query = kept.select().add_columns(*runs).where(kept.among(keys))
    gone = set(keys)
    for found in session.execute(query):
        values = list(found)
        run = values.pop() if runs else None
        read = kept.read(values)
        gone.discard(read.key)
        yield Written(kept, read.key, run, read.digest)
    for key in gone:
        run = key[0] if kept.run == kept.key[0] else None
        yield Written(kept, key, run, None)
