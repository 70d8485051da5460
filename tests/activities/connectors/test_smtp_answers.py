"""What a mail server's reply says at which stage, before a server that says each line."""

import asyncio
from collections.abc import Mapping
from email import message_from_string, policy

import pytest

from keyturn.activities.connectors.smtp import SmtpMailer
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import Known, Mail, NotKnown, NotSent
from keyturn.orchestrator.rules.contract.tool import ConnectorNo
from tests.activities.connectors.servers import CUT, SILENCE, smtp_server

MAIL = Mail(subject="Your refund", body="Dear Ann,\n.hidden\n\nRegards")
LOGIN = "250-server\r\n250 AUTH PLAIN LOGIN"
USER = "user:secret@"


def mailer(port: int, to: str = "ann@example.com", user: str = "") -> SmtpMailer:
    actor = Actor(
        run="run-1", call="run-1:1.0", tenant="north", customer="C-1", contact=to
    )
    url = f"smtp://{user}127.0.0.1:{port}"
    return SmtpMailer(url, "desk@example.com", actor, "run-1:1.0.0")


async def known(asked: SmtpMailer) -> tuple[Exception | None, Known]:
    """What sending raised, and what is known after it."""
    error: Exception | None = None
    try:
        await asked.send(MAIL)
    except (ConnectorNo, NotSent, NotKnown) as raised:
        error = raised
    [deed] = asked.actor.deeds.all
    return error, deed.known


TABLE: list[tuple[str, Mapping[str, str], Known]] = [
    ("greeting 421", {"greeting": "421 busy"}, Known.NOT_SENT),
    ("greeting 554", {"greeting": "554 no service"}, Known.NEEDS_REPAIR),
    ("greeting cut", {"greeting": CUT}, Known.NOT_SENT),
    ("EHLO cut", {"EHLO": CUT}, Known.NOT_SENT),
    ("EHLO 421", {"EHLO": "421 busy", "HELO": "421 busy"}, Known.NOT_SENT),
    ("AUTH 535", {"EHLO": LOGIN, "AUTH": "535 5.7.8 bad"}, Known.NEEDS_REPAIR),
    ("AUTH 534", {"EHLO": LOGIN, "AUTH": "534 5.7.9 too weak"}, Known.NEEDS_REPAIR),
    ("AUTH 454", {"EHLO": LOGIN, "AUTH": "454 4.7.0 too many"}, Known.NOT_SENT),
    ("AUTH cut", {"EHLO": LOGIN, "AUTH": CUT}, Known.NOT_SENT),
    ("no AUTH offered", {"EHLO": "250 server"}, Known.NEEDS_REPAIR),
    ("MAIL 451", {"MAIL": "451 later"}, Known.NOT_SENT),
    ("MAIL 530", {"MAIL": "530 5.7.0 log in first"}, Known.NEEDS_REPAIR),
    ("MAIL 550", {"MAIL": "550 not yours"}, Known.NEEDS_REPAIR),
    ("MAIL 552", {"MAIL": "552 too large"}, Known.REFUSED),
    ("MAIL cut", {"MAIL": CUT}, Known.NOT_SENT),
    ("RCPT 450", {"RCPT": "450 4.2.0 greylisted"}, Known.NOT_SENT),
    ("RCPT 421", {"RCPT": "421 closing"}, Known.NOT_SENT),
    ("RCPT 452", {"RCPT": "452 4.2.2 full"}, Known.NOT_SENT),
    ("RCPT 550", {"RCPT": "550 5.1.1 nobody"}, Known.REFUSED),
    ("RCPT 553", {"RCPT": "553 no address"}, Known.REFUSED),
    ("RCPT cut", {"RCPT": CUT}, Known.NOT_SENT),
    ("RCPT nonsense", {"RCPT": "999 what"}, Known.NOT_SENT),
    ("DATA 451", {"DATA": "451 later"}, Known.NOT_SENT),
    ("DATA 554", {"DATA": "554 no"}, Known.REFUSED),
    ("DATA cut", {"DATA": CUT}, Known.NOT_SENT),
    ("content 250", {}, Known.ACTED),
    ("content 451", {"content": "451 later"}, Known.NOT_SENT),
    ("content 552", {"content": "552 too large"}, Known.REFUSED),
    ("content 554", {"content": "554 spam"}, Known.REFUSED),
    ("content cut", {"content": CUT}, Known.NOT_KNOWN),
    ("content nonsense", {"content": "354 what"}, Known.NOT_KNOWN),
]
RAISED = {
    Known.ACTED: type(None),
    Known.REFUSED: ConnectorNo,
    Known.NOT_SENT: NotSent,
    Known.NEEDS_REPAIR: NotSent,
    Known.NOT_KNOWN: NotKnown,
}


@pytest.mark.parametrize(
    ("name", "said", "expected"), TABLE, ids=[name for name, *_ in TABLE]
)
async def test_p02_every_reply_at_every_stage_says_one_of_three_facts(
    name: str, said: Mapping[str, str], expected: Known
) -> None:
    user = USER if "AUTH" in name else ""
    async with smtp_server(said) as heard:
        error, found = await known(mailer(heard.port, user=user))

    assert (found, type(error)) == (expected, RAISED[expected])
    alarm = getattr(error, "alarm", None)
    assert (alarm is not None) == (expected is Known.NEEDS_REPAIR)
    assert "secret" not in f"{error} {alarm}"


async def test_p02_nobody_there_was_not_sent_to() -> None:
    error, found = await known(mailer(1))

    assert (type(error), found) == (NotSent, Known.NOT_SENT)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [("RCPT", Known.NOT_SENT), ("content", Known.NOT_KNOWN)],
)
async def test_p02_time_out_is_known_by_how_far_it_came(
    stage: str, expected: Known
) -> None:
    async with smtp_server({stage: SILENCE}) as heard:
        asked = mailer(heard.port)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked.send(MAIL), timeout=0.5)

    assert asked.actor.deeds.all[0].known is expected


@pytest.mark.parametrize("to", ["müller@example.com", "ann@müller.example"])
async def test_p02_address_that_the_server_cannot_take_was_not_sent_to(to: str) -> None:
    async with smtp_server({"EHLO": "250 server"}) as heard:
        error, found = await known(mailer(heard.port, to))

    assert (type(error), found) == (ConnectorNo, Known.REFUSED)
    assert "SMTPUTF8" in str(error)
    assert not [line for line in heard.all if line.startswith(("MAIL", "RCPT"))]


async def test_address_beyond_ascii_is_written_to_where_the_server_takes_it() -> None:
    async with smtp_server({}) as heard:
        assert (await known(mailer(heard.port, "müller@example.com")))[0] is None

    [rcpt] = [line for line in heard.all if line.startswith("RCPT")]
    [sender] = [line for line in heard.all if line.startswith("MAIL")]
    assert (rcpt, "SMTPUTF8" in sender) == ("RCPT TO:<müller@example.com>", True)


@pytest.mark.parametrize("ehlo", ["250 server", "250-server\r\n250 8BITMIME"])
async def test_mail_arrives_as_it_was_written(ehlo: str) -> None:
    mail = MAIL.model_copy(update={"body": f"{MAIL.body} from Jürgen\n." + "x" * 2_000})
    async with smtp_server({"EHLO": ehlo}) as heard:
        asked = mailer(heard.port)
        name = await asked.send(mail)

    raw = heard.all[-1].removesuffix("\r\n.\r\n").replace("\r\n..", "\r\n.")
    received = message_from_string(raw, policy=policy.default)
    assert received["Message-ID"] == name
    assert received.get_content().split() == mail.body.split()
