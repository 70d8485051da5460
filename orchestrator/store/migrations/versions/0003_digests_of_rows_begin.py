"""Digests of rows begin: what is in the log and the tables by now has none."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

VOUCHED = (
    "approvals",
    "calls",
    "customer_messages",
    "decisions",
    "effects",
    "messages",
    "notes",
    "people",
    "proposals",
    "releases",
    "runs",
    "sessions",
    "sources",
    "switches",
    "tenants",
    "tokens",
    "turns",
)


def upgrade() -> None:
    """Say in the log of a database in use from where on entries carry digests.

    A new one needs no such entry, and none is believed that comes after a digest.
    """
    connection = op.get_bind()
    rows = {name: _count(connection, name) for name in VOUCHED}
    if not _count(connection, "audit") and not any(rows.values()):
        return
    audit = sa.table(
        "audit",
        sa.column("at", sa.DateTime(timezone=True)),
        *(sa.column(name, sa.String()) for name in ("actor", "kind", "payload")),
        sa.column("to_notice", sa.Boolean()),
    )
    entry = {
        # SQLite keeps times in UTC, without a zone.
        "at": _now(connection),
        "actor": "system",
        "kind": "audit.digests_begin",
        "payload": json.dumps({"rows_before": rows}, separators=(",", ":")),
        "to_notice": False,
    }
    connection.execute(sa.insert(audit).values(**entry))


def _count(connection: sa.Connection, name: str) -> int:
    count = sa.select(sa.func.count()).select_from(sa.table(name))
    return int(connection.execute(count).scalar_one())


def _now(connection: sa.Connection) -> datetime:
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC).replace(tzinfo=None)
    return connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
