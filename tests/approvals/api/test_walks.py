"""Every list is walked page by page, while rows come in between, and nothing is missed."""

from datetime import datetime
from typing import Any

import httpx2
import pytest
from sqlmodel import SQLModel

from keyturn.approvals.web.app import build
from keyturn.orchestrator.rules.ids import new_id
from keyturn.orchestrator.store.tables import (
    AuditRow,
    BulkRow,
    IncidentRow,
    MatchingRow,
    MeterRow,
    NoticeRow,
    PersonRow,
    ProposalRow,
    ReleaseRow,
    SessionRow,
    SwitchRow,
    TenantRow,
    TokenRow,
    WebhookRow,
)
from tests.approvals.desk import RELEASE, Desk
from tests.approvals.people import People

API = "/api/v1"
COUNT, PAGE = 5, 2
# Read from the code or from releases, of which a test desk has one each.
SHORT = frozenset({f"{API}/contracts", f"{API}/tools"})
NAMES = {
    "/effects": "key",
    "/budgets": "scope",
    "/releases": "hash",
    "/tenants": "name",
}
LISTS = (
    "/runs",
    "/runs?status=waiting",
    "/runs?customer=c-1",
    "/approvals",
    "/approvals?status=pending",
    "/approvals?own=true&claim=unclaimed",
    "/effects",
    "/effects?status=unknown",
    "/effects?tool=refund_order",
    "/audit?actor=walker",
    "/audit?kind=walked",
    "/people",
    "/me/tokens",
    "/me/sessions",
    "/webhooks",
    "/proposals",
    "/incidents",
    "/incidents?status=open",
    "/matchings",
    "/notices",
    "/notices?state=dead",
    "/releases",
    "/budgets",
    "/budgets?kind=tenant",
    "/switches",
    "/bulks",
    "/tenants",
)


@pytest.mark.parametrize("path", LISTS)
async def test_pages_together_are_the_whole(
    path: str, http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    admin = await people.token("ada", role="admin")
    me = (await people.named("ada")).id
    for number in range(COUNT):
        await _add(desk, me, f"a{number}")
    whole = await _names(http, path, admin, limit=200)

    walked: list[str] = []
    cursor: str | None = None
    while True:
        page = await _page(http, path, admin, limit=PAGE, cursor=cursor)
        walked += [str(one[_key(path)]) for one in page["items"]]
        await _add(desk, me, f"b{len(walked)}")
        cursor = page["next"]
        if cursor is None:
            break

    assert len(whole) >= COUNT
    assert [one for one in walked if one in set(whole)] == whole
    assert len(walked) == len(set(walked))


def test_every_list_of_the_api_is_walked() -> None:
    paths = build().openapi()["paths"]
    lists = {
        path for path, routes in paths.items() if "{" not in path and _is_list(routes)
    }

    walked = {f"{API}{path.partition('?')[0]}" for path in LISTS}

    assert lists - SHORT == walked


def _is_list(routes: dict[str, Any]) -> bool:
    answer = routes.get("get", {}).get("responses", {}).get("200", {})
    shown = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return "/Page_" in str(shown.get("$ref", ""))


def _key(path: str) -> str:
    return NAMES.get(path.partition("?")[0], "id")


async def _names(
    http: httpx2.AsyncClient, path: str, by: dict[str, str], *, limit: int
) -> list[str]:
    page = await _page(http, path, by, limit=limit, cursor=None)
    assert page["next"] is None
    return [str(one[_key(path)]) for one in page["items"]]


async def _page(
    http: httpx2.AsyncClient,
    path: str,
    by: dict[str, str],
    *,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    sign = "&" if "?" in path else "?"
    asked = f"{API}{path}{sign}limit={limit}"
    if cursor is not None:
        asked = str(httpx2.URL(asked).copy_add_param("cursor", cursor))
    answer = await http.get(asked, headers=by)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _add(desk: Desk, me: str, name: str) -> None:
    """Add one row of each kind that is listed."""
    run = await desk.run(customer="c-1")
    await desk.approval(run, order=f"O-{name}")
    await desk.effect(run)
    async with desk.store.write() as session:
        now = await session.read_clock()
        session.add_all(_rows(me, name, now))


def _rows(me: str, name: str, now: datetime) -> list[SQLModel]:
    return [
        AuditRow(at=now, actor="walker", kind="walked", payload="{}"),
        BulkRow(id=new_id("bulk"), verb="pause", reason="r", by=me, total=0,
                created_at=now, ended_at=now),
        IncidentRow(id=new_id("in"), severity="low", title="t", source=f"s{name}",
                    detail={}, opened_by=me, created_at=now),
        MatchingRow(id=new_id("ma"), status="failed", asked_by=me, asked_at=now,
                    ended_at=now),
        MeterRow(scope=f"tenant {name} on 2026-01-01"),
        NoticeRow(event=name, kind="approval.asked", channel="mail", target=me,
                  payload={}, created_at=now, due_at=now, dead_at=now),
        PersonRow(id=new_id("person"), name=name, email=f"{name}@walk.example",
                  role="viewer", created_at=now),
        ProposalRow(id=new_id("proposal"), kind="switch.clear", target={"switch": "x"},
                    reason="r", proposed_by=me, proposed_name="Ada", created_at=now,
                    ends_at=now.replace(year=now.year + 1)),
        ReleaseRow(hash=f"{name:0>64}", workflow=f"w{name}", content=RELEASE.data(),
                   code_version="1", created_at=now),
        SessionRow(id=new_id("session"), person=me, hash=name, rotated_at=now, csrf="",
                   created_at=now, seen_at=now, ends_at=now.replace(year=now.year + 1)),
        SwitchRow(id=f"sw-{name}", scope={"tool": "none"}, mode="require_approval",
                  reason="r", author=me, created_at=now),
        TenantRow(key=name, name=name, declared_by=me, created_at=now),
        TokenRow(id=new_id("token"), person=me, name=name, hash=name, scopes=["read"],
                 created_at=now),
        WebhookRow(id=new_id("hook"), url="https://x.example", seed="s",
                   created_by=me, created_at=now),
    ]  # fmt: skip
