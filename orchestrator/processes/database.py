"""Commands that work directly on this environment's database, without a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keyturn.orchestrator.processes.exit_status import Ended
from keyturn.orchestrator.rules import settings as rules_settings
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import revision
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher

T = TypeVar("T")


def with_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Return the result of `work` on the record; ends if its schema is not ours."""
    return asyncio.run(_within(rules_settings.read(), work))


def voucher(settings: Settings) -> Voucher | None:
    """Return the voucher that authenticates this process's rows; None without a key."""
    if settings.secret_key is None:
        return None
    before = settings.secret_key_before
    return Voucher(
        settings.secret_key.get_secret_value(),
        before=before.get_secret_value() if before else None,
    )


async def _within(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    remedy = await revision.check(settings.database_url)
    if remedy is not None:
        raise Ended(remedy)
    store = Store(settings.database_url, voucher=voucher(settings))
    try:
        return await work(store)
    finally:
        await store.close()
