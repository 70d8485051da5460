"""The codes of what Keyturn tells a model; permanent, one for each sentence."""

from enum import StrEnum


class NoticeCode(StrEnum):
    """The meaning of a notice, for programs."""

    HOUSE_RULES = "house.rules"
    TURNS_OMITTED = "turns.omitted"

    CALL_OPEN = "call.open"
    CALL_EDITED = "call.edited"
    CALL_REPEATED = "call.repeated"
    CALL_DENIED = "call.denied"
    CALL_LIMITED = "call.limited"
    CALL_BUSY = "call.busy"
    CALL_REFUSED = "call.refused"
    CALL_RUN_ENDED = "call.run_ended"

    CALL_REJECTED = "call.rejected"
    CALL_CHANGES = "call.changes"
    CALL_EXPIRED = "call.expired"
    CALL_VOID = "call.void"
    CALL_FACTS_CHANGED = "call.facts_changed"
    CALL_NOT_GENUINE = "call.not_genuine"

    CALL_DONE = "call.done"
    CALL_FOUND_DONE = "call.found_done"
    CALL_FOUND_NOT_DONE = "call.found_not_done"
    CALL_ABSENT = "call.absent"
    CALL_FAILED = "call.failed"
    CALL_NOT_SENT = "call.not_sent"
    CALL_NEVER_SENT = "call.never_sent"
    CALL_CRASHED = "call.crashed"
    CALL_FACTS_UNREADABLE = "call.facts_unreadable"

    MESSAGE_VOID = "message.void"
    COMPENSATION_VOID = "compensation.void"

    READ_OFF = "read.off"
    READ_OF_ACTION = "read.of_action"
    READ_CRASHED = "read.crashed"

    TOOL_GONE = "tool.gone"
    TOOL_OUTDATED = "tool.outdated"
    TOOL_ARGUMENTS = "tool.arguments"
    TOOL_FACTS = "tool.facts"
    TOOL_AMOUNT = "tool.amount"
    TOOL_NO_MONEY = "tool.no_money"

    REPLY_CUT = "reply.cut"
    REPLY_LONG = "reply.long"
    REPLY_NO_TOOLS = "reply.no_tools"
    REPLY_MANY_CALLS = "reply.many_calls"
    REPLY_UNKNOWN_TOOL = "reply.unknown_tool"
    REPLY_NO_OBJECT = "reply.no_object"
    REPLY_ARGUMENTS = "reply.arguments"
    REPLY_DOCUMENT = "reply.document"
    REPLY_SIBLING = "reply.sibling"


class Clause(StrEnum):
    """A part of a notice that gives the reason; it has no code, as pages quote it."""

    CUSTOMER_WROTE = "customer_wrote"
    SIBLINGS_NOT_DONE = "siblings_not_done"
    SIBLINGS_EDITED = "siblings_edited"
    EARLIER_ACTION = "earlier_action"
    FAILED_LATER = "failed_later"
    STAYED_DONE = "stayed_done"
    TAKEN_BACK = "taken_back"
    NOT_TAKEN_BACK = "not_taken_back"
    DONE_AFTER_ALL = "done_after_all"


class StandIn(StrEnum):
    """Text in the model's own role, where a history would have a gap."""

    NOTHING_SAID = "nothing_said"
    RESULT_NOTED = "result_noted"
