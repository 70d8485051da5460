"""Words for what holds a run: the record has ids, people read names and reasons."""

from collections.abc import Iterable, Mapping

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import SwitchRow


async def words(session: Tx, stops: Iterable[str | None]) -> Mapping[str, str]:
    """Return each stop in words that complete “Stopped by …”."""
    found = {one: hold.parse(one) for one in stops if one}
    held = [one for one in found.values() if one is not None]
    paused = {one.name for one in held if one.kind == "pause"}
    names = await accounts.names(session, paused) if paused else {}
    return {
        stop: await _words(session, one, names) if one else stop
        for stop, one in found.items()
    }


async def _words(session: Tx, one: Hold, names: Mapping[str, str]) -> str:
    match one.kind:
        case "pause":
            return f"a pause that {names.get(one.name, one.name)} set"
        case "switch":
            row = await session.get(SwitchRow, one.name)
            return f"{one}: {row.reason}" if row else str(one)
        case "budget":
            return (
                f"its budget: {one.name} has too little left for another turn; two "
                "people can raise it"
            )
