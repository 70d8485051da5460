"""What people and programs are told of: the kinds of notices."""

from typing import Literal, get_args

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
