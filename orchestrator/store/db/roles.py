"""The rights of each kind of process in PostgreSQL: a role for each, with grants.

A worker reads what customers write and runs the tools of applications, so it is assumed
to be compromised: what it cannot write, it cannot forge. The owner of the tables only
migrates. SQLite has no roles; there only the keys protect (`db.row_codes`, `rules.authority.binding`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from keyturn.orchestrator.store.db import role_guards
from keyturn.orchestrator.store.db.role_names import EFFECTS, ROLES, WEB, WORKER
from keyturn.orchestrator.store.db.transaction import Tx

# Every column, if no column is named.
ALL: tuple[str, ...] = ()
Columns = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Grants:
    """A role's rights, by table; `reads` are columns, every other table is read whole.

    A column that is locked (`SELECT … FOR UPDATE`) and never written is still named in
    `updates`: PostgreSQL requires one.
    """

    hidden: tuple[str, ...] = ()
    reads: Columns = field(default_factory=dict[str, tuple[str, ...]])
    inserts: tuple[str, ...] = ()
    updates: Columns = field(default_factory=dict[str, tuple[str, ...]])
    deletes: tuple[str, ...] = ()


# The readable columns of a run's people; the password's hash is not among them.
ACCOUNT = (
    "id",
    "name",
    "email",
    "kind",
    "role",
    "tenant",
    "teams",
    "languages",
    "approves_from",
    "created_at",
    "disabled_at",
)
# Secrets, and what people said and read: hidden from workers.
APART = (
    "sessions",
    "tokens",
    "proposals",
    "idempotency",
    "webhooks",
    "notices",
    "openings",
    "sign_in_attempts",
)
OUTBOX = ("claimed_until", "done_at", "due_at", "last_error", "tries")
METER = ("held_microusd", "held_tokens", "used_microusd", "used_tokens")
CLOSING = ("status", "closed_at", "closed_because", "consumed_by", "stamp")
HELD = ("held_at", "held_by", "held_seen")
# A bulk pause or cancel is written into a run by the first process that looks at it.
MARKED = ("stopped_at", "stopped_by", "paused_by", "pause_reason", "cancel_reason")

GRANTS: Mapping[str, Grants] = {
    WEB: Grants(
        inserts=(
            "approvals",
            "audit",
            "bulks",
            "counters",
            "customer_messages",
            "decisions",
            "drafts",
            "idempotency",
            "incidents",
            "leases",
            "matchings",
            "meters",
            "notes",
            "notices",
            "openings",
            "outbox",
            "people",
            "proposals",
            "releases",
            "runs",
            "sessions",
            "sign_in_attempts",
            "sources",
            "steps",
            "switches",
            "tenants",
            "tokens",
            "webhooks",
        ),
        updates={
            "approvals": ALL,
            "attempts": ALL,
            "audit": ("position", "previous", "hash", "to_notice"),
            "bulks": ALL,
            "calls": ALL,
            "counters": ("value",),
            "drafts": ALL,
            "effects": ALL,
            "idempotency": ALL,
            "incidents": ALL,
            "leases": ALL,
            "matchings": ALL,
            "meters": ALL,
            "notices": ALL,
            "openings": ALL,
            "outbox": OUTBOX,
            "people": ALL,
            "proposals": ALL,
            "releases": ("live_since", "live_by", "signature"),
            "runs": ALL,
            "sessions": ALL,
            "sources": ALL,
            "steps": ALL,
            "switches": ALL,
            "tenants": ALL,
            "tokens": ALL,
            "webhooks": ALL,
        },
        deletes=(
            "drafts",
            "idempotency",
            "notices",
            "sessions",
            "sign_in_attempts",
            "webhooks",
        ),
    ),
    WORKER: Grants(
        hidden=(*APART, "people", "drafts"),
        inserts=(
            "approvals",
            "attempts",
            "audit",
            "calls",
            "counters",
            "incidents",
            "messages",
            "meters",
            "outbox",
            "served",
            "steps",
            "turns",
        ),
        updates={
            "approvals": CLOSING,
            "attempts": (
                "cost_microusd",
                "error",
                "failure",
                "input_tokens",
                "lease_until",
                "output_tokens",
                "reply",
                "settled_at",
                "status",
                "tokens",
            ),
            "calls": (*HELD, "ended_at", "gate", "result", "status", "verdict"),
            "counters": ("value",),
            "customer_messages": ("turn",),
            # A lease that was never sent is released when its run ends (`role_guards`).
            "effects": ("status", "ended_at", "error"),
            "matchings": ("status", "statement", "mail", "ended_at"),
            "meters": METER,
            "outbox": OUTBOX,
            "runs": (
                "cost_microusd",
                "ended_at",
                "failing",
                "failure",
                "handed_off",
                "output",
                "status",
                *MARKED,
                "tokens",
                "turns",
                "use_safer_model",
            ),
            "served": ("priced", "seen_at"),
            "steps": ("held_by", "held_seen", "needs", "output"),
        },
    ),
    EFFECTS: Grants(
        hidden=APART,
        reads={"people": ACCOUNT},
        inserts=(
            "approvals",
            "audit",
            "counters",
            "drafts",
            "effects",
            "incidents",
            "meters",
            "outbox",
        ),
        updates={
            "approvals": (
                *CLOSING,
                "amount",
                "answer_by",
                "assigned_to",
                "binding",
                "claim_until",
                "claimed_by",
                "claimed_name",
                "currency",
                "held_at",
                "level",
                "preview",
                "role",
                "usable_until",
                "warn_at",
                "warned_at",
            ),
            "calls": (
                *HELD,
                "effective",
                "ended_at",
                "gate",
                "result",
                "revision",
                "status",
                "subject",
            ),
            "counters": ("value",),
            "effects": ALL,
            "meters": METER,
            "outbox": OUTBOX,
            "runs": ("failing", "status", *MARKED),
            "steps": ("held_by", "held_seen"),
        },
    ),
}


def as_role(url: str, role: str, *, password: str | None = None) -> str:
    """Return the same database's address for this role; SQLite's is unchanged."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url
    own = parsed.set(username=role, password=password or parsed.password)
    return own.render_as_string(hide_password=False)


def grant(connection: Connection) -> list[str]:
    """Give each role that this server has exactly its rights; return which roles exist.

    Called as the owner of the tables, in the transaction of the migration.
    """
    if connection.dialect.name == "sqlite":
        return []
    found = _there(connection)
    tables = _tables(connection)
    for role in found:
        for statement in _statements(role, tables):
            connection.execute(text(statement))
    if len(found) == len(ROLES):
        for statement in role_guards.statements():
            # Taken literally: neither a colon nor a percent sign in it is a parameter.
            as_it_is = connection.execution_options(no_parameters=True)
            as_it_is.exec_driver_sql(statement)
    return found


async def why_too_wide(session: Tx, role: str) -> str | None:
    """Return what this connection's account may do and `role` may not, or None."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    forbidden = [
        (table, verb)
        for table in (
            "people",
            "tokens",
            "sessions",
            "decisions",
            "proposals",
            "releases",
            "switches",
        )
        for verb in ("INSERT", "UPDATE")
        if not _may(GRANTS[role], table, verb)
    ]
    asked = text("SELECT current_user, has_any_column_privilege(:table, :verb)")
    for table, verb in forbidden:
        found = await session.execute(asked, {"table": table, "verb": verb})
        user, may = found.one()
        if may:
            what = "add rows to" if verb == "INSERT" else "change rows of"
            return f"the database's account {user} may {what} the table {table}"
    return None


def _may(grants: Grants, table: str, verb: str) -> bool:
    return table in (grants.inserts if verb == "INSERT" else grants.updates)


def _statements(role: str, tables: Iterable[str]) -> Iterable[str]:
    grants = GRANTS[role]
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role}"
    yield f"GRANT USAGE ON SCHEMA public TO {role}"
    # Sequences only hand out the next number; they reveal nothing.
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
    for table in tables:
        for privilege in _privileges(grants, table):
            yield f"GRANT {privilege} ON {table} TO {role}"


def _privileges(grants: Grants, table: str) -> Iterable[str]:
    if table in grants.reads:
        yield f"SELECT{_named(grants.reads[table])}"
    elif table not in grants.hidden:
        yield "SELECT"
    if table in grants.inserts:
        yield "INSERT"
    if table in grants.updates:
        yield f"UPDATE{_named(grants.updates[table])}"
    if table in grants.deletes:
        yield "DELETE"


def _named(columns: tuple[str, ...]) -> str:
    return f" ({', '.join(columns)})" if columns else ""


def _there(connection: Connection) -> list[str]:
    names = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)")
    found = set(connection.execute(names, {"names": list(ROLES)}).scalars())
    return [role for role in ROLES if role in found]


def _tables(connection: Connection) -> list[str]:
    query = text(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() "
        "ORDER BY tablename"
    )
    return list(connection.execute(query).scalars())
