"""The kinds of notices that people and programs receive."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

NoticeKind = Literal[
    "approval.asked",
    "approval.assigned",
    "approval.warned",
    "approval.escalated",
    "approval.expired",
    "run.handed_off",
    "effect.unknown",
    "incident.opened",
    "proposal.opened",
]
KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)

# What was done to somebody's own account. Only its owner is notified, by mail and at
# once, regardless of their settings: somebody else may have done it.
AccountKind = Literal[
    "token.created",
    "person.password_set",
    "person.password_reset",
    "person.password_removed",
    "session.ended_everywhere",
]
Channel = Literal["mail", "webhook"]

ACCOUNT_KINDS: tuple[AccountKind, ...] = get_args(AccountKind)

# What a person without settings is mailed about. Items that merely wait are not
# included: the inbox shows them, and one mail for each would soon go unread.
MAILED_BY_DEFAULT: frozenset[NoticeKind] = frozenset(
    {
        "approval.assigned",
        "approval.warned",
        "approval.escalated",
        "effect.unknown",
        "incident.opened",
        "proposal.opened",
    }
)


class Origin(BaseModel):
    """From where a request came, as the owner of an account is told."""

    model_config = ConfigDict(frozen=True)

    address: str = ""
    browser: str = ""
