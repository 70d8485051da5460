"""What a form of the pages needs to be there before it is sent."""

from dataclasses import dataclass, field
from secrets import token_urlsafe

from sqlmodel import select

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.bulk import NewBulk
from keyturn.orchestrator.store.runs.listing import Filter
from keyturn.orchestrator.store.tables import (
    ProposalRow,
    SwitchRow,
    TokenRow,
    WebhookRow,
)
from keyturn.orchestrator.store.turns import position
from tests.approvals.notify.receiver import receiving
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import PASSWORD
from tests.approvals.pages.test_notices import dead_letter

WHY = "Because I looked, and wrote it down."

Fields = dict[str, str | list[str]]
TOKEN: Fields = {"name": "ci", "days": "7", "password": PASSWORD}


@dataclass
class Desk:
    """A day's work, and what a form needs to be there before."""

    doors: Doors
    store: Store
    visitor: Visitor
    made: dict[str, str] = field(default_factory=dict[str, str])

    def id(self, what: str) -> str:
        seed = self.doors.seed
        known = {
            **{f"person {name}": row.id for name, row in seed.people.items()},
            **{f"run {name}": one for name, one in seed.runs.items()},
            **{f"item {name}": one for name, one in seed.approvals.items()},
            "unknown": seed.effects["unknown"],
            "done": f"{seed.runs['lamp']}:1.9.0",
            **self.made,
        }
        return known[what]


async def claimed(desk: Desk) -> Fields:
    await desk.visitor.post(f"/inbox/{desk.id('item refund_order')}/claim")
    return {}


async def binding(desk: Desk) -> Fields:
    return {"binding": await desk.visitor.binding(desk.id("item refund_order"))}


async def opened(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    bound = await binding(desk)
    await desk.visitor.post(f"/inbox/{item}/opened", **bound)
    return {**bound, "item": item}


async def decided(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    bound = await binding(desk)
    await desk.visitor.post(f"/inbox/{item}/decide", decision="approve", **bound)
    return {}


async def edited(desk: Desk) -> Fields:
    item = desk.id("item refund_order")
    own: Fields = {
        "v/order_id": "O-24680",
        "v/amount": "80.00",
        "c/amount": "USD",
        "v/reason": "The reading lamp arrived with a cracked shade.",
    }
    shown = (await desk.visitor.post(f"/inbox/{item}/draft", **own)).text
    previewed = shown.split('name="previewed" value="', 1)[1].split('"', 1)[0]
    return {**own, **await binding(desk), "previewed": previewed}


async def drafted(desk: Desk) -> Fields:
    await edited(desk)
    return {}


async def switched(desk: Desk) -> Fields:
    await desk.visitor.post(
        "/ops/switches", tool="refund_order", mode="halt", reason=WHY, sure="yes"
    )
    async with desk.store.read() as session:
        row = (await session.execute(select(SwitchRow))).scalar_one()
    desk.made["switch"] = row.id
    return {}


async def proposed(desk: Desk) -> Fields:
    await switched(desk)
    await desk.visitor.post(f"/ops/switches/{desk.id('switch')}/clear", reason=WHY)
    async with desk.store.read() as session:
        row = (await session.execute(select(ProposalRow))).scalar_one()
    desk.made["proposal"] = row.id
    return {}


async def held_by_its_budget(desk: Desk) -> Fields:
    run = desk.id("run lamp")
    async with desk.store.read() as session:
        turn = (await run_lookup.get(session, run)).turns + 1
    at = await position.load(desk.store, run=run, step=1, turn=turn)
    needs = Needs(scope=f"run {run}", tokens=10**6, microusd=10_000)
    # A call that waits for people keeps the run going; its next turn is what is held.
    assert await position.stop(desk.store, at, hold.by_budget(needs.scope), needs)
    return {"scope": needs.scope}


async def paused_all(desk: Desk) -> Fields:
    new = NewBulk(
        verb="pause", filter=Filter(workflow="support-ticket"), reason=WHY, by="ops"
    )
    desk.made["bulk"] = (await bulk.begin(desk.store, new)).id
    return {}


async def hooked(desk: Desk) -> Fields:
    async with receiving() as receiver:
        await desk.visitor.post("/webhooks", url=f"{receiver.url}/hook")
    async with desk.store.read() as session:
        row = (await session.execute(select(WebhookRow))).scalar_one()
    desk.made["webhook"] = row.id
    return {}


async def incident(desk: Desk) -> Fields:
    answer = await desk.visitor.post(
        "/incidents", severity="high", title="A difference", detail=WHY
    )
    desk.made["incident"] = answer.headers["location"].rsplit("/", 1)[1]
    return {}


async def token(desk: Desk) -> Fields:
    await desk.visitor.post("/settings/tokens", **TOKEN)
    async with desk.store.read() as session:
        row = (await session.execute(select(TokenRow))).scalar_one()
    desk.made["token"] = row.id
    return {}


async def service(desk: Desk) -> Fields:
    answer = await desk.visitor.post(
        "/settings/people",
        name="Help desk",
        email="desk@example.com",
        role="developer",
        kind="service",
    )
    desk.made["service"] = answer.headers["location"].rsplit("/", 1)[1]
    return {}


async def service_token(desk: Desk) -> Fields:
    await service(desk)
    path = f"/settings/people/{desk.id('service')}/tokens"
    await desk.visitor.post(path, name="t", password=PASSWORD)
    async with desk.store.read() as session:
        row = (await session.execute(select(TokenRow))).scalar_one()
    desk.made["token"] = row.id
    return {}


async def held(desk: Desk) -> Fields:
    agent = await desk.doors.visit("agent")
    await agent.post(f"/inbox/{desk.id('item refund_order')}/claim")
    return {"to": desk.id("person other")}


async def given(desk: Desk) -> Fields:
    return {"to": desk.id("person agent")}


async def second_session(desk: Desk) -> Fields:
    await desk.doors.visit("agent")
    page = (await desk.visitor.get("/settings")).text
    desk.made["session"] = page.split("/settings/sessions/", 1)[1].split("/", 1)[0]
    return {}


async def second_admin(desk: Desk) -> Fields:
    new = NewPerson(name="Mia", email="mia@example.com", role="admin")
    row = await accounts.add(desk.store, new, password=PASSWORD)
    await person_accounts.waive_first_day(desk.store, row.id, by="test")
    return {}


async def dead_notice(desk: Desk) -> Fields:
    desk.made["notice"] = str(await dead_letter(desk.store))
    return {}


async def can_be_taken_back(desk: Desk) -> Fields:
    """Let a release go live whose refund names what takes it back."""
    async with desk.store.read() as session:
        _, live = await releases.live(session, "support-ticket")
    tools = tuple(
        one.model_copy(update={"compensate": one.name})
        if one.name == "refund_order"
        else one
        for one in live.tools
    )
    fresh = live.model_copy(update={"tools": tools})
    await releases.publish(
        desk.store, fresh, code_version="2", signer=Signer(new_key())
    )
    return {}


async def once(desk: Desk) -> Fields:
    del desk
    return {"once": token_urlsafe(12)}
