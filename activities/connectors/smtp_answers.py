"""What a mail server's reply says at each stage: the only table for mail.

`docs/reference/connectors.md` shows the same table.
"""

from enum import StrEnum

from keyturn.orchestrator.rules.contract.connector import Known


class Stage(StrEnum):
    """How far a delivery has come; up to `CONTENT` certainly nothing was sent."""

    CONNECT = "the connection"
    LOGIN = "the login"
    SENDER = "our address as sender"
    RECIPIENT = "the address"
    DATA = "the mail"
    CONTENT = "the mail once it was sent"


# The meaning of a 5yz at each stage; a 4yz always means that a retry is possible.
FOR_GOOD = {
    Stage.CONNECT: Known.NEEDS_REPAIR,
    Stage.LOGIN: Known.NEEDS_REPAIR,
    Stage.SENDER: Known.NEEDS_REPAIR,
    Stage.RECIPIENT: Known.REFUSED,
    Stage.DATA: Known.REFUSED,
    Stage.CONTENT: Known.REFUSED,
}
# Some servers report a mail that is too large already in reply to the sender.
REPLIES = {(Stage.SENDER, 552): Known.REFUSED}


def known_of(stage: Stage, code: int) -> Known:
    """Return what a reply says."""
    if code // 100 == 4:
        return Known.NOT_SENT
    if code // 100 == 5:
        return REPLIES.get((stage, code)) or FOR_GOOD[stage]
    if stage is Stage.CONTENT:
        return Known.ACTED if code // 100 == 2 else Known.NOT_KNOWN
    # An invalid reply: at the stages before the mail is sent, it has not been sent.
    return Known.NOT_SENT


def known_of_cut(stage: Stage) -> Known:
    """Return what a broken connection or a timeout says."""
    return Known.NOT_KNOWN if stage is Stage.CONTENT else Known.NOT_SENT
