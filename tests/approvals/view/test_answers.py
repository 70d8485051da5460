"""People read what a model was told without its code."""

from datetime import UTC, datetime

from keyturn.approvals.api import record_body
from keyturn.approvals.inbox import conversation
from keyturn.approvals.view import facts
from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.store.tables import CallRow

NOTICE = model_notices.call_rejected(person="Ada", reason="[call.done] Too old.")


def test_a_page_shows_a_notice_without_its_code_and_data_as_data():
    assert facts.answered(NOTICE.text) == NOTICE.words
    assert facts.answered('{"id": "r-1"}') == {"id": "r-1"}
    assert facts.answered(None) is None


def test_the_conversation_and_the_api_show_no_code():
    call = CallRow(
        run="r",
        turn=1,
        index=0,
        tool="refund",
        authority="irreversible",
        provider_id="c",
        arguments="{}",
        arguments_hash="h",
        gate="wait",
        status="rejected",
        result=NOTICE.text,
        created_at=datetime.now(UTC),
    )

    (entry,) = conversation.entries([], [call], [], asked=None)

    assert entry.result == NOTICE.words
    assert record_body.call(call).result == NOTICE.words
