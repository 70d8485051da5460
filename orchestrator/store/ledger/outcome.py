"""What an attempt's outcome means for its effect: settled, tried again, unknown (P2).

Once an attempt may have reached the provider, no answer to a later one settles the
effect except a receipt: a refusal says that this attempt did nothing, and nothing about
the earlier one.
"""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.text import model_notices
from keyturn.orchestrator.rules.text.model_notices import (
    ModelNotice,
    Told,
    ToolData,
)
from keyturn.orchestrator.store.ledger.effects import Grant, Outcome, is_honoured
from keyturn.orchestrator.store.tables import EffectRow

# How long an unsendable effect is tried; a mail server may defer mail for a while.
TRY_FOR = timedelta(hours=1)
# How long a lost answer is requested again, within the provider's window.
REPEAT_FOR = timedelta(minutes=2)
# The pause between two tries is as long as the time since the first one.
SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)


class Meaning(BaseModel):
    """What the effect's record says next; `again`: not before `until`.

    `is_unsent`: nothing of this effect has ever reached the provider. `words` are for
    people; `notice` as an outcome's.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["done", "failed", "unknown", "again"]
    words: str
    receipt: dict[str, JsonValue] | None = None
    until: datetime | None = None
    is_unsent: bool = False
    notice: ModelNotice | None = None

    def answer(self) -> Told:
        """Return what the model reads once the effect is done or failed."""
        if self.notice is not None:
            return self.notice
        if self.kind == "done" and self.receipt is not None:
            return ToolData(self.words)
        if self.kind == "done":
            return model_notices.call_done(words=self.words)
        return model_notices.call_failed(words=self.words)


def settled(outcome: Outcome) -> Meaning:
    """Return the meaning of the result of a look-up or a person, without retries."""
    kind = "unknown" if outcome.kind == "not_sent" else outcome.kind
    return Meaning(
        kind=kind, words=outcome.words, receipt=outcome.receipt, notice=outcome.notice
    )


def meaning(
    effect: EffectRow, grant: Grant, outcome: Outcome, *, is_over: bool, now: datetime
) -> Meaning:
    """Return what an attempt's outcome means; `is_over`: its run has ended."""
    match outcome.kind:
        case "done":
            return settled(outcome)
        case "failed":
            return _refused_again(outcome) if grant.again else settled(outcome)
        case "unknown":
            return _lost(effect, outcome, is_over=is_over, now=now)
        case "not_sent" if grant.again:
            return _not_sent_again(effect, outcome, is_over=is_over, now=now)
        case "not_sent":
            return _not_sent(effect, outcome, is_over=is_over, now=now)


def _refused_again(outcome: Outcome) -> Meaning:
    return Meaning(
        kind="unknown",
        words=f"a later attempt under the same key was refused ({outcome.words}), "
        "which says nothing about the outcome of the earlier one",
    )


def _lost(
    effect: EffectRow, outcome: Outcome, *, is_over: bool, now: datetime
) -> Meaning:
    if not outcome.may_repeat or not _may_try(effect, is_over=is_over, now=now):
        return settled(outcome)
    since = effect.sending_at or now
    if now - since >= REPEAT_FOR:
        return settled(outcome)
    return _again(outcome, since=since, now=now)


def _not_sent_again(
    effect: EffectRow, outcome: Outcome, *, is_over: bool, now: datetime
) -> Meaning:
    """Return the meaning of a later attempt that did nothing: the first is open."""
    if outcome.answered:
        return _refused_again(outcome)
    since = effect.put_off_since or now
    if now - since >= TRY_FOR or not _may_try(effect, is_over=is_over, now=now):
        return settled(outcome)
    return _again(outcome, since=since, now=now)


def _not_sent(
    effect: EffectRow, outcome: Outcome, *, is_over: bool, now: datetime
) -> Meaning:
    since = effect.put_off_since or now
    if not is_over and now - since < TRY_FOR:
        again = _again(outcome, since=since, now=now)
        return again.model_copy(update={"is_unsent": True})
    hours = TRY_FOR // timedelta(hours=1)
    notice = (
        model_notices.call_not_sent(why=outcome.words)
        if is_over
        else model_notices.call_never_sent(why=outcome.words, hours=hours)
    )
    return Meaning(kind="failed", words=notice.words, notice=notice, is_unsent=True)


def _may_try(effect: EffectRow, *, is_over: bool, now: datetime) -> bool:
    """Tell whether another attempt may follow one that may have been sent."""
    return effect.status == "sending" and not is_over and is_honoured(effect, now=now)


def _again(outcome: Outcome, *, since: datetime, now: datetime) -> Meaning:
    pause = min(max(now - since, SHORTEST_PAUSE), LONGEST_PAUSE)
    return Meaning(kind="again", words=outcome.words, until=now + pause)
