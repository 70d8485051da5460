"""P1: what was changed in the database after it was signed carries nothing."""

from datetime import timedelta
from typing import Any

import pytest

from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.approvals import decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.approvals.errors import StaleBinding
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    EffectRow,
    ReleaseRow,
)
from tests.orchestrator.store.desk import Desk, person, refund


@pytest.mark.parametrize(
    "changed",
    [
        {"order_id": "o2"},
        {"reason": "other"},
        {"amount": {"amount": 5001, "currency": "USD"}},
        {"amount": {"amount": 5000, "currency": "CAD"}},
    ],
    ids=["subject", "wording", "amount", "currency"],
)
async def test_p01_arguments_changed_in_the_database_are_refused(
    desk: Desk, changed: dict[str, Any]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    call = await desk.call(run)
    arguments = canonical.parse(call.arguments)
    assert isinstance(arguments, dict)
    await desk.tamper(call, arguments=canonical.text({**arguments, **changed}))

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert await desk.rows(EffectRow) == []
    assert (await desk.approval(run)).status == "void"
    assert {"effect.refused", "call.denied"} & set(await desk.audit(run))


@pytest.mark.parametrize("field", ["binding", "effective_binding"])
async def test_p01_a_binding_of_something_else_is_refused(
    desk: Desk, field: str
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.decide(run)
    await desk.tamper(approval, **{field: "0" * 64})

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_a_release_changed_in_the_database_is_not_loaded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(400_00))
    row = (await desk.rows(ReleaseRow))[0]
    rules = [{"tool": "refund", "verdict": "allow"}]
    await desk.tamper(row, content={**row.content, "rules": rules})
    monkeypatch.setattr(releases, "_parsed", type(releases._parsed)())  # pyright: ignore[reportPrivateUsage] as after a restart

    with pytest.raises(Exception, match="changed"):
        await desk.lease(run)

    assert await desk.rows(EffectRow) == []


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": "AAAA"},
        {"person": "bob"},
        {"session": "s-other"},
        {"binding": "0" * 64},
    ],
    ids=["signature", "person", "session", "binding"],
)
async def test_p01_a_decision_changed_in_the_database_is_refused(
    desk: Desk, forged: dict[str, str]
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    await desk.tamper((await desk.rows(DecisionRow))[0], **forged)

    answer = await desk.lease(run)

    assert answer.kind == "refused"
    assert "effect.refused" in await desk.audit(run)


async def test_p01_a_decision_signed_by_another_key_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    desk.signer, desk.is_honest = Signer(new_key()), False
    await desk.decide(run)

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_an_approval_written_into_the_database_is_refused(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    approval = await desk.approval(run)
    await desk.tamper(
        approval, status="approved", usable_until=desk.clock() + timedelta(hours=1)
    )

    assert (await desk.lease(run)).kind == "refused"


async def test_p01_fewer_people_written_into_the_database_are_not_enough(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund(600_00))
    await desk.decide(run, "lea")
    approval = await desk.approval(run)
    await desk.tamper(
        approval,
        needed=1,
        role="agent",
        status="approved",
        usable_until=desk.clock() + timedelta(hours=1),
    )

    assert (await desk.lease(run)).grant is None


async def test_p01_a_binding_shown_for_a_sibling_decides_nothing(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    first, second = sorted(await desk.rows(ApprovalRow), key=lambda one: one.index)
    seen = Answer(decision="approve", binding=str(first.binding))

    with pytest.raises(StaleBinding):
        await decide.decide(desk.store, desk.signer, person("amy"), second.id, seen)

    assert await desk.rows(DecisionRow) == []


async def test_p01_a_decision_copied_to_a_sibling_is_refused(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund(index=0), refund(index=1, order="o2"))
    decided = await desk.decide(run)
    copied = (await desk.rows(DecisionRow, approval=decided.id))[0]
    sibling = await desk.approval(run, "pending")
    fields = copied.model_dump(exclude={"id", "approval"})
    await desk.tamper(DecisionRow(approval=sibling.id, **fields))
    await desk.tamper(
        sibling, status="approved", usable_until=desk.clock() + timedelta(hours=1)
    )

    answer = await desk.lease(run, index=sibling.index)

    assert answer.kind == "refused"
