"""What pages say after something was done, and with which names."""

import pytest

from keyturn.approvals.view.wording import browser
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.approvals import lookup as approval_lookup
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.dual_control import requests
from keyturn.orchestrator.store.effects import late_failure
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.people.access import Change
from keyturn.orchestrator.store.tables import EffectRow, RunRow
from tests.approvals.pages.conftest import Doors, Visitor
from tests.approvals.pages.seed import Seed

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (MAC, "Safari on macOS"),
        (EDGE, "Edge on Windows"),
        (PHONE, "Chrome on Android"),
        ("curl/8.9", "curl/8.9"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_browser_is_named_as_people_call_it(agent: str | None, words: str) -> None:
    assert browser(agent) == words


async def test_undoing_says_that_it_is_asked_anew(doors: Doors, seed: Seed) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    await _approve(visitor, item)

    approved = (await visitor.get(f"/inbox?done={item}")).text
    undone = await visitor.post(f"/inbox/{item}/undo")
    page = (await visitor.get(undone.headers["location"])).text

    assert "It can be undone for a few seconds." in approved
    assert "<strong>Undone</strong>" in page
    assert "Nothing was sent; it waits for a decision again." in page


async def test_an_approved_item_says_what_holds_it(
    doors: Doors, seed: Seed, store: Store
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]
    await _approve(visitor, item)
    async with store.write() as session:
        run = await session.get(RunRow, seed.runs["lamp"])
        assert run is not None
        run.status, run.stopped_by = "stopped", "pause"

    page = (await visitor.get(f"/inbox/{item}")).text

    assert "Approved, and stopped by" in page
    assert "Nothing was sent yet" in page


async def test_a_missing_reason_is_asked_for_in_a_sentence(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    page = await visitor.post(
        f"/inbox/{item}/decide",
        decision="reject",
        binding=await visitor.binding(item),
    )

    assert "A rejection needs a reason" in page.text
    assert "reason: a rejection" not in page.text


async def test_a_text_that_is_emptied_is_asked_for_at_its_field(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["email_customer"]
    fields = {"v/subject": "", "v/body": "Hello."}

    page = await visitor.post(
        f"/inbox/{item}/edit", binding=await visitor.binding(item), **fields
    )

    assert page.status_code == 422
    assert 'id="f-subject-error" role="alert">Fill in this field.' in page.text


async def test_undoing_too_late_names_the_item_as_it_is_written(
    doors: Doors, seed: Seed
) -> None:
    visitor = await doors.visit("agent")
    item = seed.approvals["refund_order"]

    page = await visitor.post(f"/inbox/{item}/undo")

    assert "Ap-" not in page.text


async def test_recording_and_settling_say_that_it_is_done(
    doors: Doors, seed: Seed
) -> None:
    lead, agent = await doors.visit("lead"), await doors.visit("agent")
    key, run = seed.effects["unknown"], seed.runs["handed_off"]

    recorded = await lead.post(
        f"/effects/{key}/record", happened="yes", evidence="Refund 77"
    )
    settled = await agent.post(
        f"/handoffs/{run}/notes", kind="done_outside", text="Called them."
    )
    listed = (await agent.get(settled.headers["location"])).text
    other = (await lead.get(settled.headers["location"])).text

    page = (await lead.get(recorded.headers["location"])).text
    assert "The run continues with the outcome that you recorded." in page
    assert "<strong>Done outside</strong>" in listed
    assert "<strong>Done outside</strong>" not in other


async def test_a_webhook_is_removed_on_the_page(doors: Doors, store: Store) -> None:
    admin, operator = await doors.visit("admin"), await doors.visit("operator")
    new = webhooks.NewWebhook(url="https://hooks.example.com/x")
    hook = await webhooks.add(store, new, by="system")

    refused = await operator.post(f"/webhooks/{hook.id}/remove")
    shown = (await admin.get("/notices")).text
    removed = await admin.post(f"/webhooks/{hook.id}/remove", sure="yes")
    page = (await admin.get(removed.headers["location"])).text

    assert refused.status_code == 403
    assert f"/webhooks/{hook.id}/remove" in shown
    assert "The webhook is removed" in page
    async with store.read() as session:
        assert await webhooks.listing(session) == []


async def test_the_audit_log_names_who_it_is_about(doors: Doors, seed: Seed) -> None:
    admin, auditor = await doors.visit("admin"), await doors.visit("auditor")
    other = seed.people["other"]

    await admin.post(f"/settings/people/{other.id}/profile", name=other.name, teams="A")
    page = (await auditor.get("/audit?kind=person")).text

    assert f'title="{other.id}">{other.name}</span>' in page


async def test_a_proposal_says_in_words_what_it_does(
    doors: Doors, seed: Seed, store: Store
) -> None:
    admin = await doors.visit("admin")
    other = seed.people["other"]
    asker = seed.people["operator"]
    await admin.post(f"/settings/people/{other.id}/open", wanted="closed", sure="yes")
    await requests.to_grant(
        store,
        other.id,
        Change(is_open=True),
        Person(id=asker.id, name=asker.name, role="admin", kind="person", session=""),
        reason="Back from leave.",
    )
    await admin.post(
        "/ops/switches",
        tool="refund_order",
        mode="halt",
        reason="It is down.",
        sure="yes",
    )
    shown = (await admin.get("/ops")).text
    switch = shown.split("/ops/switches/", 1)[1].split("/", 1)[0]
    await admin.post(f"/ops/switches/{switch}/clear", reason="It is up.")

    ops = (await admin.get("/ops")).text
    people = (await admin.get("/settings/people")).text

    assert f"Reopen the account of {other.name}:" in people
    assert f"Lift the switch {switch}: halt for tool refund_order" in ops


async def test_all_that_somebody_holds_is_given_away_on_their_page(
    doors: Doors, seed: Seed, store: Store
) -> None:
    agent, admin = await doors.visit("agent"), await doors.visit("admin")
    item, other = seed.approvals["refund_order"], seed.people["other"]
    base = f"/settings/people/{seed.people['agent'].id}"
    await agent.post(f"/inbox/{item}/claim")

    before = (await admin.get(base)).text
    bare = await admin.post(f"{base}/items", to=other.id)
    given = (await admin.send(f"{base}/items", to=other.id, reason="On leave.")).text
    refused = await agent.post(f"{base}/items", to=other.id, reason="Mine.")

    assert "1 inbox item," in before
    assert bare.status_code == 422
    assert "1 item reassigned" in given
    assert "claimed by or assigned to them" not in given
    assert refused.status_code == 403
    async with store.read() as session:
        row = await approval_lookup.get(session, item)
    assert (row.assigned_to, row.claimed_by) == (other.id, None)


async def _approve(visitor: Visitor, item: str) -> None:
    await visitor.post(
        f"/inbox/{item}/decide",
        decision="approve",
        binding=await visitor.binding(item),
    )


LURE = "Approved by Lea Lead. Pay 900 USD by hand, now."


@pytest.mark.parametrize(
    ("path", "ended"),
    [
        ("/handoffs", {"handed_off": {"reason": f"refusal: {LURE}", "detail": None}}),
        ("/runs/{}", {"handed_off": {"reason": f"refusal: {LURE}", "detail": None}}),
        ("/runs/{}", {"failure": f"refusal: {LURE}"}),
    ],
    ids=["queue", "run", "failed"],
)
async def test_what_a_model_refused_with_is_never_read_as_ours(
    doors: Doors, seed: Seed, store: Store, path: str, ended: dict[str, object]
) -> None:
    visitor = await doors.visit("agent")
    run = seed.runs["handed_off"]
    async with store.write() as session:
        row = await session.get(RunRow, run)
        assert row is not None
        for name, value in ended.items():
            setattr(row, name, value)

    page = (await visitor.get(path.format(run))).text

    assert f'The model refused: <span class="foreign">{LURE}</span>' in page


async def test_a_customers_name_is_framed_in_an_incident(
    doors: Doors, seed: Seed, store: Store
) -> None:
    name = "c-1” closed by Otto; “ignore it"
    async with store.write() as session:
        effect = await session.get(EffectRow, seed.effects["unknown"])
        assert effect is not None
        effect.status, effect.customer = "done", name
    later = Later(how="failed", words="It bounced.", by="system", by_name="the bank")
    found = await late_failure.reopen(store, seed.effects["unknown"], later)
    assert found is not None

    page = (await (await doors.visit("operator")).get(f"/incidents/{found.id}")).text

    framed = '<span class="foreign">c-1&#39; closed by Otto; &#39;ignore it</span>'
    assert f"for customer {framed}</h1>" in page
