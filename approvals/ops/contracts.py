"""Contracts and tools of the live releases."""

from fastapi.responses import HTMLResponse

from keyturn.approvals.web import routing
from keyturn.approvals.web.page import PageDep
from keyturn.orchestrator.rules.contract.release import Release, ToolSpec
from keyturn.orchestrator.rules.errors import NotFound
from keyturn.orchestrator.rules.policy import table as policy_table
from keyturn.orchestrator.store.releases import releases

router = routing.of_pages()


@router.get("/contracts")
async def contracts(page: PageDep) -> HTMLResponse:
    """Show every workflow's contract."""
    async with page.parts.store.read() as session:
        found = await releases.all_live(session)
    return await page.show("ops/contracts.html", contracts=found)


@router.get("/contracts/{name}")
async def contract(page: PageDep, name: str) -> HTMLResponse:
    """Show one contract: its rules as a table, limits, budget, hidden data."""
    async with page.parts.store.read() as session:
        hash_, release = await releases.live(session, name)
    tables = policy_table.of_release(release)
    return await page.show(
        "ops/contract.html", release=release, hash=hash_, tables=tables
    )


@router.get("/tools")
async def tools(page: PageDep) -> HTMLResponse:
    """Show every tool that a live contract grants."""
    return await page.show("ops/tools.html", tools=await _tools(page))


@router.get("/tools/{name}")
async def tool(page: PageDep, name: str) -> HTMLResponse:
    """Show one tool, and the contracts and rules that grant it."""
    known = await _tools(page)
    if name not in known:
        raise NotFound(kind="tool", name=name, known=tuple(known))
    spec, granted = known[name]
    return await page.show("ops/tool.html", spec=spec, granted=granted)


async def _tools(page: PageDep) -> dict[str, tuple[ToolSpec, list[Release]]]:
    """Return each tool with the releases that grant it, by name."""
    async with page.parts.store.read() as session:
        found = await releases.all_live(session)
    known: dict[str, tuple[ToolSpec, list[Release]]] = {}
    for _, release in found:
        for spec in release.tools:
            known.setdefault(spec.name, (spec, []))[1].append(release)
    return dict(sorted(known.items()))
