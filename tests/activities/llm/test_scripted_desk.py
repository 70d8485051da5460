"""The scripted support desk writes only what was done."""

import json

from pydantic import JsonValue

from keyturn.activities.llm.simulator.openai_wire import OpenAIReader
from keyturn.activities.llm.simulator.request import Json, SimRequest
from keyturn.activities.llm.simulator.step import Answer
from keyturn.activities.llm.simulator.support import play
from keyturn.orchestrator.rules.text import model_notices

ORDER: Json = {
    "id": "O-1003",
    "total": 32900,
    "refunded": 0,
    "currency": "USD",
    "status": "processing",
    "items": [{"name": "Desk chair, ash", "price": 32900}],
    "ship_to": {"name": "Jonas Okafor"},
}
DRAFTED: Json = {
    "order_id": "O-1003",
    "amount": {"amount": 32900, "currency": "USD"},
    "reason": "The leg is cracked.",
}
MAIL: Json = {"subject": "Your refund for O-1003", "body": "We refunded 329.00 USD."}
SENT_BACK = model_notices.call_changes(person="Ada", reason="Kinder.").text


def test_a_mail_after_an_edited_refund_tells_the_amount_that_was_paid():
    edited: Json = {**DRAFTED, "amount": {"amount": 15000, "currency": "USD"}}
    told = model_notices.call_edited(arguments=json.dumps(edited), result="{}").text
    unsent = model_notices.message_void(because="it was changed").text

    letter = _mail_after(
        "The desk chair is broken, please refund it.",
        ("refund_order", DRAFTED, told),
        ("email_customer", MAIL, unsent),
    )

    assert "150.00 USD" in letter
    assert "329.00 USD" not in letter
    assert "second message" not in letter


def test_a_mail_about_a_new_address_is_drafted_again_when_it_is_sent_back():
    moved: Json = {"order_id": "O-1003", "address": {"street": "4 Hill Lane"}}

    letter = _mail_after(
        "We have moved house! The new address: 4 Hill Lane, Ostrava, 70200, Czechia",
        ("change_address", moved, '{"order_id": "O-1003"}'),
        ("email_customer", MAIL, SENT_BACK),
    )

    assert "it now goes to 4 Hill Lane" in letter


def _mail_after(message: str, *calls: tuple[str, Json, str]) -> str:
    ticket = {"customer_id": "C-1002", "message": message, "order_id": "O-1003"}
    messages: list[JsonValue] = [
        {"role": "user", "content": f"<input>{json.dumps(ticket)}</input>"}
    ]
    found = ("find_order", {"order_id": "O-1003"}, json.dumps(ORDER))
    for number, (tool, arguments, told) in enumerate((found, *calls)):
        function: Json = {"name": tool, "arguments": json.dumps(arguments)}
        asked: Json = {"id": f"c{number}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "", "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": told})
    tools: list[JsonValue] = [
        {"type": "function", "function": {"name": name, "parameters": {}}}
        for name in ("refund_order", "email_customer")
    ]
    body: Json = {"messages": messages, "tools": tools}
    step = play(SimRequest(body, {}, OpenAIReader()))
    assert isinstance(step, Answer)
    [call] = step.calls
    assert call.name == "email_customer"
    return str(json.loads(call.arguments)["body"])
