"""What holds a run, in words: the record has ids, people know names and reasons."""

from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from keyturn.orchestrator.rules.authority.hold import BUDGET, PAUSE, SWITCH
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import SwitchRow


async def words(
    session: AsyncSession, stops: Iterable[str | None]
) -> Mapping[str, str]:
    """Return each stop in words, as what follows on “Stopped by”."""
    found = {one for one in stops if one}
    paused = {one.removeprefix(PAUSE) for one in found if one.startswith(PAUSE)}
    names = await accounts.names(session, paused) if paused else {}
    return {one: await _words(session, one, names) for one in found}


async def _words(session: AsyncSession, stop: str, names: Mapping[str, str]) -> str:
    if stop.startswith(PAUSE):
        person = stop.removeprefix(PAUSE)
        return f"a pause of {names.get(person, person)}"
    if stop.startswith(SWITCH):
        row = await session.get(SwitchRow, stop.removeprefix(SWITCH))
        return f"{stop}: {row.reason}" if row else stop
    if stop.startswith(BUDGET):
        scope = stop.removeprefix(BUDGET)
        return f"its budget: {scope} has no room for another turn, until two people raise it"
    return stop
