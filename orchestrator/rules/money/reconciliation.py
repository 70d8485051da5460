"""Reconciliation: where the ledger and external books differ (P1: detected).

The payment service's statement has a line for each movement of money, with the effect's
key; the mail log an entry for each mail that was really sent. Every effect that moved
money must be in the statement, and every line of the statement in the ledger.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from keyturn.orchestrator.rules.contract.connector import mail_name
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.status import EffectStatus

LineStatus = Literal["paid", "pending", "failed", "reversed"]
Kind = Literal["missing", "stranger", "amount", "tenant", "twice", "unsent", "later"]
Side = Literal["statement", "mail"]

# These say that nothing was done; a line of money moved contradicts them.
_NOT_DONE: frozenset[EffectStatus] = frozenset({"failed", "refused"})


class Line(BaseModel):
    """One movement of money; `at` is when it last changed, `reference` the provider's.

    `words` may say why it failed.
    """

    model_config = ConfigDict(frozen=True)

    reference: str
    key: str
    money: Money
    status: LineStatus
    at: datetime
    tenant: str | None = None
    words: str = ""


class MailEntry(BaseModel):
    """One mail that left."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    at: datetime


class Entry(BaseModel):
    """What the ledger says of an effect; `sent_at`: when it first may have left.

    `is_settled`: nothing that is still on its way can explain a difference.
    `mailed_as` is the Message-ID of its receipt.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    run: str
    tenant: str
    tool: str
    status: EffectStatus
    money: Money | None
    sent_at: datetime | None
    is_settled: bool
    mailed_as: str | None = None


class Difference(BaseModel):
    """One thing that the ledger and the books say differently, in words."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    side: Side
    key: str
    words: str
    tenant: str | None = None
    run: str | None = None
    reference: str | None = None
    line: Line | None = None

    @property
    def source(self) -> str:
        """Return the incident's source: the same each day and for each process."""
        # A second movement under the same key is new, even if the first was examined.
        which = f":{self.reference}" if self.reference else ""
        return f"{self.side}:{self.kind}:{self.key}{which}"


class Statement(Protocol):
    """Reads the payment service's statement, with a read-only key."""

    async def lines(self, since: datetime) -> list[Line]:
        """Return every line that changed since then.

        Raises `BooksAway` or `BooksUnusable`.
        """
        ...


class MailLog(Protocol):
    """Reads which mails left the account that effects are sent from."""

    async def mails(self, since: datetime) -> list[MailEntry]:
        """Return every mail since then; raises like `Statement.lines`."""
        ...


class BooksAway(KeyturnError):
    """The statement or mail log cannot be read now."""


class BooksUnusable(KeyturnError):
    """The statement or mail log has the wrong format; nothing was concluded."""


def match_statement(
    lines: Sequence[Line], known: Mapping[str, Entry], expected: Iterable[Entry]
) -> list[Difference]:
    """Return where statement and ledger differ.

    `known` are the effects of the lines' keys, read after the lines; `expected` the
    effects that were done long enough ago that they must have a line.
    """
    by_key: dict[str, list[Line]] = {}
    for line in _once(lines):
        by_key.setdefault(line.key, []).append(line)
    found = [
        one for key, of_key in by_key.items() for one in _of_key(of_key, known.get(key))
    ]
    missing = [
        _about(
            entry,
            "missing",
            "statement",
            f"The ledger says that {entry.tool} moved {entry.money}; the statement "
            "has no line for it.",
        )
        for entry in expected
        if entry.key not in by_key
    ]
    return found + missing


def match_mails(
    mails: Sequence[MailEntry], entries: Iterable[Entry]
) -> list[Difference]:
    """Return where mail log and ledger differ; `entries` are all that could have sent.

    A mail's name comes from its effect's key; the sender's domain does not matter.
    """
    sent = Counter(_local(mail.message_id) for mail in mails)
    found: list[Difference] = []
    for entry in entries:
        times = sent.pop(mail_name(entry.key), 0)
        words = _mail_words(entry, times)
        if words is not None:
            found.append(_about(entry, words[0], "mail", words[1]))
    found += [
        Difference(
            kind="stranger",
            side="mail",
            key=name,
            words=f"A mail with the id {name} left our account; the ledger has no "
            "effect that sent it. The mail account may have been misused.",
        )
        for name in sent
    ]
    return found


def _mail_words(entry: Entry, times: int) -> tuple[Kind, str] | None:
    if times > 1:
        return "twice", f"The mail of {entry.tool} was sent {times} times."
    if times == 0 and entry.mailed_as is not None and entry.status == "done":
        words = f"The ledger says that {entry.tool} was sent; the mail log has no such"
        return ("missing", f"{words} mail.") if entry.is_settled else None
    if times == 1 and _contradicts(entry):
        words = f"The ledger says that {entry.tool} was not sent ({entry.status}); its"
        return "unsent", f"{words} mail was sent."
    return None


def _of_key(lines: Sequence[Line], entry: Entry | None) -> list[Difference]:
    """Return the differences in the lines of one key."""
    if entry is None:
        return [_stranger(one) for one in lines]
    moved = [one for one in lines if one.status in ("paid", "pending")]
    back = [one for one in lines if one.status == "reversed"]
    found: list[Difference] = []
    if len(moved) - len(back) > 1:
        names = ", ".join(one.reference for one in moved)
        words = f"{entry.tool} was paid {len(moved)} times under one key: {names}."
        last = max(moved, key=lambda one: one.at)
        found.append(_about(entry, "twice", "statement", words, last))
    elif moved and not back and _contradicts(entry):
        words = (
            f"The ledger says that {entry.tool} was not done ({entry.status}); the "
            f"statement says that {moved[0].money} moved."
        )
        found.append(_about(entry, "unsent", "statement", words, moved[0]))
    elif len(moved) <= len(back) and entry.status == "done":
        found.append(_later(entry, lines))
    return found + _misfits(lines, entry)


def _misfits(lines: Sequence[Line], entry: Entry) -> list[Difference]:
    found: list[Difference] = []
    wrong = next((one for one in lines if one.money != entry.money), None)
    if wrong is not None:
        words = (
            f"The ledger says that {entry.tool} moves {entry.money or 'no money'}; the "
            f"statement says {wrong.money}."
        )
        found.append(_about(entry, "amount", "statement", words, wrong))
    other = next((o for o in lines if o.tenant not in (None, entry.tenant)), None)
    if other is not None:
        words = (
            f"{entry.tool} is an effect of the tenant {entry.tenant}; the statement "
            f"has it under {other.tenant}."
        )
        found.append(_about(entry, "tenant", "statement", words, other))
    return found


def _later(entry: Entry, lines: Sequence[Line]) -> Difference:
    # Of several lines, the one that changed last gives the current state.
    last = max(
        (one for one in lines if one.status in ("failed", "reversed")),
        key=lambda one: one.at,
    )
    how = "failed" if last.status == "failed" else "was reversed"
    why = f": {last.words}" if last.words else "."
    words = (
        f"{entry.tool} was done; the statement says that it {how} later "
        f"({last.reference}){why}"
    )
    return _about(entry, "later", "statement", words, last)


def _stranger(one: Line) -> Difference:
    return Difference(
        kind="stranger",
        side="statement",
        key=one.key,
        tenant=one.tenant,
        reference=one.reference,
        line=one,
        words=f"The statement has {one.money} ({one.status}, {one.reference}) under a "
        "key that the ledger does not know. Our credentials may have been misused.",
    )


def _contradicts(entry: Entry) -> bool:
    """Return whether the ledger says for certain that nothing was done."""
    if not entry.is_settled:
        return False
    return entry.status in _NOT_DONE or (
        entry.status == "leased" and entry.sent_at is None
    )


def _about(
    entry: Entry, kind: Kind, side: Side, words: str, line: Line | None = None
) -> Difference:
    return Difference(
        kind=kind,
        side=side,
        key=entry.key,
        tenant=entry.tenant,
        run=entry.run,
        reference=line.reference if line else None,
        line=line,
        words=words,
    )


def _once(lines: Sequence[Line]) -> list[Line]:
    """Return the lines, each reference once: a row may repeat on the next page.

    Raises `BooksUnusable` where one reference names two movements.
    """
    kept: dict[str, Line] = {}
    for line in lines:
        other = kept.setdefault(line.reference, line)
        if (other.key, other.money) != (line.key, line.money):
            raise BooksUnusable(
                f"The statement has {line.reference} twice, with different contents: "
                f"{other.key} {other.money} and {line.key} {line.money}."
            )
        if line.at > other.at:
            kept[line.reference] = line
    return list(kept.values())


def _local(message_id: str) -> str:
    return message_id.strip().removeprefix("<").partition("@")[0]
