"""A run from its input to its end, through the real engine."""

from typing import Any

from pydantic import JsonValue

from keyturn.activities.llm.simulator import SimRequest, SimStep, call, calls, final
from tests.engine.engine import running_engine

REFUND: dict[str, JsonValue] = {
    "order_id": "o1",
    "amount": {"amount": 5000, "currency": "USD"},
    "reason": "late",
}
MAIL: dict[str, JsonValue] = {"subject": "Refund", "body": "We refunded you."}


def refund_and_mail(request: SimRequest) -> SimStep | None:
    match len(request.results):
        case 0:
            return call("find_order", {"order_id": "o1"})
        case 1:
            return calls([("refund", REFUND), ("write_mail", MAIL)])
        case _:
            return final(
                {
                    "summary": " | ".join(r.text for r in request.results),
                    "confidence": 0.9,
                }
            )


async def test_an_approved_refund_and_mail_come_out(
    temporal_address: str, tables_url: str
) -> None:
    async with running_engine(temporal_address, tables_url, refund_and_mail) as engine:
        run = await engine.start("please refund")

        await engine.decide(await engine.approval(run, "refund"))
        await engine.decide(await engine.approval(run, "write_mail"))
        row = await engine.ended(run)

        assert row.status == "completed"
        assert [(path, key) for path, key, _ in engine.world.posted] == [
            ("/refunds", f"{run}:2.0.0")
        ]
        assert [to for to, _, _ in engine.world.mails] == ["ann@example.com"]
        assert {e.status for e in await engine.effects(run)} == {"done"}


async def test_a_rejected_refund_voids_the_mail_that_announces_it(
    temporal_address: str, sqlite_tables: str
) -> None:
    async with running_engine(
        temporal_address, sqlite_tables, refund_and_mail
    ) as engine:
        run = await engine.start("please refund")

        # The mail waits for the refund: it is not offered before that is done.
        await engine.decide(
            await engine.approval(run, "refund"), decision="reject", reason="too old"
        )
        row = await engine.ended(run)

        assert engine.world.posted == []
        assert engine.world.mails == []
        statuses: dict[str, Any] = {c.tool: c.status for c in await engine.calls(run)}
        assert statuses == {
            "find_order": "done",
            "refund": "rejected",
            "write_mail": "void",
        }
        assert "too old" in str(row.output)
