"""Ends connections that block others for longer than any of ours does.

A transaction of ours lasts two seconds at most. A longer one, or an advisory lock that
is held between transactions, belongs to a process that hangs or was compromised, and
keeps switches, pauses and the sealer waiting.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.store.db.database import TRANSACTION_TIMEOUT, Store
from keyturn.orchestrator.store.db.role_names import WEB

# Five times the limit of a transaction of ours.
LONGEST = timedelta(seconds=10)
log = structlog.get_logger()
T = TypeVar("T")

# Connections to this database by workers' accounts that are not the web process's, too:
# migrations are the owner's, and may take as long as they need.
_OVERSTAYED = text(
    f"""
    SELECT a.pid, a.usename, pg_terminate_backend(a.pid)
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database()
    AND a.usename IN (SELECT rolname FROM pg_roles WHERE (
        pg_has_role(oid, 'keyturn_worker', 'USAGE')
        OR pg_has_role(oid, 'keyturn_effects', 'USAGE')
    ) AND NOT pg_has_role(oid, '{WEB}', 'USAGE'))
    AND (
        a.xact_start < clock_timestamp() - :longest
        OR a.state = 'idle' AND a.state_change < clock_timestamp() - :longest
        AND EXISTS (
            SELECT FROM pg_locks AS l
            WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
        )
    )
    AND pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
    """  # noqa: S608 names of ours
)


async def end(store: Store, *, longest: timedelta = LONGEST) -> int:
    """End overstayed connections on PostgreSQL; return how many.

    It needs the rights of `pg_signal_backend` and `pg_read_all_stats`; without them,
    and without our roles, nothing is ended. It cannot see a lock that is held while
    other statements run: `deploy/postgres/roles.sh` allows nobody to take one outside
    of a transaction.
    """
    if store.is_sqlite:
        return 0
    try:
        async with store.read() as session:
            found = (await session.execute(_OVERSTAYED, {"longest": longest})).all()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _MAY_NOT:
            return 0
        raise
    for pid, account, _ in found:
        log.warning("connection.ended", pid=pid, account=account, why="it overstayed")
    return len(found)


async def with_way_made(store: Store, do: Callable[[], Awaitable[T]]) -> T:
    """Run an action that stops something; end what blocks it and repeat it once."""
    try:
        return await do()
    except StoreUnavailable:
        if not await end(store, longest=TRANSACTION_TIMEOUT):
            raise
    return await do()


# A missing role, or a missing right.
_MAY_NOT = ("42704", "42501")
