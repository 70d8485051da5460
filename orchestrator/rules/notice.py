"""What people and programs are told of: the kinds of notices."""

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

# What was done to somebody's own account. They alone are told, by mail and at once,
# whatever they chose: it may not have been them.
AccountKind = Literal[
    "token.created",
    "person.password_set",
    "person.password_reset",
    "person.password_removed",
    "session.ended_everywhere",
]
ACCOUNT_KINDS: tuple[AccountKind, ...] = get_args(AccountKind)

# What a person is mailed about who chose nothing. What merely waits is not among it:
# the inbox shows that, and a mail for each is soon a mail that nobody reads.
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
