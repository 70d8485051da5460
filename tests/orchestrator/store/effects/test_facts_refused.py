"""A tool's definite no while facts are read ends the call, unless it is under way."""

from keyturn.orchestrator.rules.text import canonical, model_notices
from tests.orchestrator.store.desk import Desk, refund


async def test_refused_facts_end_the_call_and_void_its_approval(desk: Desk) -> None:
    run = await desk.start()
    await desk.draft(run, refund())

    answer = await desk.give_up(run, "All gone.")

    call = await desk.call(run)
    told = model_notices.call_failed(words="All gone.").text
    assert (answer.kind, call.status, call.result) == ("failed", "failed", told)
    assert (await desk.approval(run)).status == "void"


async def test_p02_refused_facts_leave_an_effect_alone_that_is_being_sent(
    desk: Desk,
) -> None:
    run = await desk.start()
    await desk.draft(run, refund())
    await desk.decide(run)
    grant = await desk.send(run)

    answer = await desk.give_up(run, "All gone.")

    assert answer.kind == "busy"
    assert (await desk.call(run)).status == "open"
    assert await desk.record(grant, "done") == "done"
    assert (await desk.call(run)).status == "done"


async def test_p10_a_refusal_of_what_was_drafted_ends_nothing_of_an_edit(
    desk: Desk,
) -> None:
    """A person edits while the facts of the draft are read, and found wanting."""
    run = await desk.start()
    drafted = refund(40_00)
    await desk.draft(run, drafted)
    before = (await desk.call(run)).revision
    edited = canonical.parse(refund(50_00).arguments)
    await desk.decide(run, arguments=edited)

    answer = await desk.give_up(run, revision=before)

    assert answer.kind == "busy"
    assert (await desk.call(run)).status == "open"
