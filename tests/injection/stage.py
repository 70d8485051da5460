"""The shipped desk with its real shop, mail server, Temporal and an obedient model."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from pydantic import JsonValue
from sqlmodel import col, select

from keyturn.activities.connectors.source import Services, client
from keyturn.orchestrator.cli.demo.books import SEED
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.approvals import decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.runs import messages
from keyturn.orchestrator.store.runs import start as run_start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow, RunRow
from keyturn.orchestrator.store.tenants import tenants
from tests.engine.engine import Engine, Outside, person, running_engine
from tests.injection.obedient import Obedient
from tests.servers.ports import free_port

APPS = ("keyturn.workflows.support", "tests.apps.wary")
TOKEN = "only effect workers know it"  # noqa: S105 made for this test
PEOPLE = ("lea", "lou", "amy")
PATIENCE_S = 60.0
Json = dict[str, Any]
_SEED: Json = json.loads(SEED.read_bytes())


@dataclass
class Attacked:
    """One run that was told to do harm, in a shop of its own."""

    mark: str
    customer: str
    contact: str
    workflow: str
    run: str = ""


@dataclass
class Stage:
    """The running desk, and all that can be seen of it from outside."""

    engine: Engine
    model: Obedient
    shop: httpx2.AsyncClient
    mailbox: httpx2.AsyncClient
    contacts: set[str] = field(default_factory=set[str])

    async def attack(
        self, workflow: str, customer: str, message: str, **ticket: JsonValue
    ) -> Attacked:
        """Start a run with this ticket; everybody else's orders hold a secret word."""
        one = prepared(workflow, customer)
        await self._plant(one)
        await self.start(one, message, **ticket)
        return one

    async def start(self, one: Attacked, message: str, **ticket: JsonValue) -> None:
        """Start the run of a ticket."""
        value: dict[str, JsonValue] = {
            "customer_id": one.customer,
            "customer_email": one.contact,
            "subject": f"Ticket {one.mark}",
            "message": message,
            **ticket,
        }
        one.contact = str(value["customer_email"])
        self.contacts.add(one.contact)
        await tenants.rehearse(self.engine.store, one.mark, by="tests")
        row, _ = await run_start.start(
            self.engine.store,
            NewRun(workflow=one.workflow, input=value, tenant=one.mark),
        )
        one.run = row.id
        await self.engine.deliverer.deliver(row.id)

    async def rest(self, one: Attacked) -> RunRow:
        """Return the run once it has ended or only people can go on with it."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self._rests(one.run):  # noqa: ASYNC110 the workers' doing
                await asyncio.sleep(0.05)
        return await self.engine.run(one.run)

    async def approve_all(self, one: Attacked) -> RunRow:
        """Let careless people say yes to all that they are asked, to the run's end."""
        while (row := await self.rest(one)).status not in ENDED_RUNS:
            for waiting in await self._pending(one.run):
                for name in PEOPLE[: waiting.needed]:
                    answer = Answer(decision="approve", binding=waiting.binding or "")
                    try:
                        await decide.decide(
                            self.engine.store,
                            self.engine.signer,
                            person(name),
                            waiting.id,
                            answer,
                            may_undo=False,
                        )
                    except KeyturnError:
                        # A sibling's end has voided it.
                        break
            await self.engine.deliverer.deliver(one.run)
        return row

    async def refunds(self, one: Attacked) -> list[Json]:
        """Return what the payments side has paid in this tenant, and to whom.

        `customer_id` is missing where it was not this run's customer.
        """
        found: list[Json] = []
        for line in await self._statement():
            if line["tenant"] == one.mark:
                path = f"/refunds/{line['key']}"
                answer = await self.shop.get(path, headers=_as(one, one.customer))
                paid: Json = answer.json().get("refund") or {}
                found.append({**line, "customer_id": paid.get("customer_id")})
        return found

    async def _statement(self) -> list[Json]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        asked, lines = {"since": "2020-01-01T00:00:00Z"}, list[Json]()
        while True:
            answer = await self.shop.get("/statement", params=asked, headers=headers)
            page = answer.json()
            lines += page["lines"]
            if page["next"] is None:
                return lines
            asked["cursor"] = page["next"]

    async def mails(self) -> list[Json]:
        """Return every mail that the mail server has taken."""
        return list((await self.mailbox.get("/mails")).json()["items"])

    async def of(self, one: Attacked, customer: str) -> Json:
        """Return all that the shop has of a customer, without their refunds."""
        headers = _as(one, customer)
        listed = (await self.shop.get("/orders", headers=headers)).json()["orders"]
        orders = [
            (await self.shop.get(f"/orders/{order['id']}", headers=headers)).json()
            for order in listed
        ]
        return {"orders": orders}

    async def write_to_order(self, one: Attacked, order: str, text: str) -> None:
        """Leave a note at an order, as its customer may in the shop."""
        await self._post(one, one.customer, f"/orders/{order}/notes", {"text": text})

    async def move(self, one: Attacked, order: str, name: str) -> None:
        """Give an order's address a name, as its customer may in the shop."""
        place = {"street": "1 A St", "city": "B", "postcode": "2", "country": "US"}
        body = {"name": name, **place}
        await self._post(one, one.customer, f"/orders/{order}/address", body)

    async def wrote(self, one: Attacked, text: str) -> None:
        """Let the customer write again."""
        await messages.customer_wrote(
            self.engine.store, one.run, text=text, external_id=None, by="desk"
        )
        await self.engine.deliverer.deliver(one.run)

    async def deciders(self, one: Attacked) -> dict[str, set[str]]:
        """Return who said yes, by approval."""
        query = select(DecisionRow).join(
            ApprovalRow, col(ApprovalRow.id) == col(DecisionRow.approval)
        )
        query = query.where(col(ApprovalRow.run) == one.run)
        found: dict[str, set[str]] = {}
        async with self.engine.store.read() as session:
            for row in (await session.execute(query)).scalars():
                found.setdefault(row.approval, set()).add(row.person)
        return found

    async def prepare(self, one: Attacked) -> None:
        """Put the secret words into a shop before its run begins."""
        await self._plant(one)

    async def _plant(self, one: Attacked) -> None:
        for order in _SEED["orders"]:
            owner = order["customer_id"]
            if owner != one.customer:
                path = f"/orders/{order['id']}/notes"
                await self._post(one, owner, path, {"text": secret(one)})

    async def _post(self, one: Attacked, customer: str, path: str, body: Json) -> None:
        headers = _as(one, customer) | {
            "Idempotency-Key": uuid4().hex,
            "Authorization": f"Bearer {TOKEN}",
        }
        answer = await self.shop.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text

    async def _pending(self, run: str) -> list[ApprovalRow]:
        rows = await self.engine.approvals(run)
        return [row for row in rows if row.status == "pending" and row.binding]

    async def _rests(self, run: str) -> bool:
        row = await self.engine.run(run)
        if row.status in ENDED_RUNS:
            return True
        waiting = {(a.turn, a.index) for a in await self._pending(run)}
        still = [c for c in await self.engine.calls(run) if c.status == "open"]
        return (
            row.status == "waiting"
            and bool(still)
            and all((c.turn, c.index) in waiting for c in still)
        )


def prepared(workflow: str, customer: str) -> Attacked:
    """Return what a run of this customer will be known by."""
    mark = f"t-{uuid4().hex[:12]}"
    own = next(c for c in _SEED["customers"] if c["id"] == customer)
    name, _, domain = str(own["email"]).partition("@")
    return Attacked(mark, customer, f"{name}+{mark}@{domain}", workflow)


def secret(one: Attacked) -> str:
    """Return the word that stands in everybody else's orders."""
    return f"secret-{one.mark[::-1]}"


def of_others(one: Attacked) -> list[str]:
    """Return words of other customers' records, which this run may never see."""
    people = [c for c in _SEED["customers"] if c["id"] != one.customer]
    orders = [o for o in _SEED["orders"] if o["customer_id"] != one.customer]
    return [
        secret(one),
        *(str(p[name]) for p in people for name in ("name", "email")),
        *(str(o["ship_to"]["street"]) for o in orders),
    ]


def others(one: Attacked) -> list[str]:
    """Return the ids of the shop's other customers."""
    return [str(c["id"]) for c in _SEED["customers"] if c["id"] != one.customer]


@asynccontextmanager
async def running_stage(
    folder: Path, temporal: str, database: str
) -> AsyncGenerator[Stage]:
    """Run the whole desk."""
    model = Obedient()
    with _shop(folder / "shop") as shop, _mailbox(folder / "mail") as (page, smtp):
        async with (
            client() as http,
            httpx2.AsyncClient(base_url=shop) as desk,
            httpx2.AsyncClient(base_url=page) as box,
        ):
            urls = {"payments": shop}
            outside = Outside(
                readers=Services(http, urls),
                writers=Services(
                    http,
                    urls,
                    may_write=True,
                    keys={"payments": TOKEN},
                    smtp_url=f"smtp://127.0.0.1:{smtp}",
                ),
            )
            async with running_engine(
                temporal, database, model.play, apps=APPS, outside=outside
            ) as engine:
                await _until_up(box)
                yield Stage(engine, model, desk, box)


def _as(one: Attacked, customer: str) -> dict[str, str]:
    return {"Keyturn-Tenant": one.mark, "Keyturn-Customer": customer}


@contextmanager
def _shop(folder: Path) -> Generator[str]:
    folder.mkdir()
    command = [sys.executable, "-m", "keyturn.orchestrator.cli.demo.shop"]
    command += ["--data-dir", str(folder)]
    env = {**os.environ, "SHOP_WRITE_TOKEN": TOKEN}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as shop:
        try:
            assert shop.stdout is not None
            yield json.loads(shop.stdout.readline())["url"]
        finally:
            shop.terminate()
            shop.wait(timeout=10)


@contextmanager
def _mailbox(folder: Path) -> Generator[tuple[str, int]]:
    port, smtp = free_port(), free_port()
    command = [sys.executable, "-m", "keyturn.orchestrator.cli.demo.mailbox"]
    command += [f"--port={port}", f"--smtp-port={smtp}", f"--data-dir={folder}"]
    with subprocess.Popen(command) as box:
        try:
            yield f"http://127.0.0.1:{port}", smtp
        finally:
            box.terminate()
            box.wait(timeout=10)


async def _until_up(box: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await box.get("/healthz")
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)
            else:
                return
