"""The names in a switch's scope, held against what the live releases have."""

from sqlalchemy.ext.asyncio import AsyncSession

from orchestrator.store import releases
from orchestrator.switch import Scope


async def unknown_names(session: AsyncSession, scope: Scope) -> list[str]:
    """Return a sentence for each workflow or tool that no live release has.

    A name that is wrong by a letter holds nothing, and it is found out too late. It is
    no error: the switch may be meant for a release to come.
    """
    live = [release for _, release in await releases.all_live(session)]
    known = {
        "workflow": sorted({one.workflow for one in live}),
        "tool": sorted({tool.name for one in live for tool in one.tools}),
    }
    asked = {"workflow": scope.workflow, "tool": scope.tool}
    return [
        f"No live release has the {kind} {name!r}, so this may hold nothing. Known: "
        f"{', '.join(known[kind]) or 'none'}."
        for kind, name in asked.items()
        if name is not None and name not in known[kind]
    ]
