"""Times, money and states in words for people."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from keyturn.approvals.view import amounts
from keyturn.approvals.view.form.shape import label
from keyturn.orchestrator.rules.clock import system_clock

# State: the text and style of its badge.
RUN = {
    "queued": ("Queued", "calm"),
    "running": ("Working", "live"),
    "waiting": ("Waiting for people", "ask"),
    "stopped": ("Stopped", "warn"),
    "completed": ("Completed", "good"),
    "handed_off": ("Handed off", "ask"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Cancelled", "calm"),
}
APPROVAL = {
    "waiting": ("Waiting for another action", "calm"),
    "pending": ("Waiting", "ask"),
    "approved": ("Approved", "good"),
    "rejected": ("Rejected", "bad"),
    "changes": ("Changes requested", "warn"),
    "expired": ("Expired", "calm"),
    "void": ("Void", "calm"),
    "cancelled": ("Cancelled", "calm"),
}
EFFECT = {
    "leased": ("About to be sent", "live"),
    "sending": ("Being sent", "live"),
    "done": ("Done", "good"),
    "failed": ("Failed, nothing changed", "bad"),
    "unknown": ("Unknown: investigate", "warn"),
    "refused": ("Refused, not sent", "calm"),
}
CALL = {
    "open": ("Open", "ask"),
    "done": ("Done", "good"),
    "failed": ("Failed", "bad"),
    "crashed": ("Crashed", "bad"),
    "denied": ("Denied by policy", "calm"),
    "rejected": ("Rejected", "bad"),
    "refused": ("Refused by a guard", "calm"),
    "expired": ("Expired", "calm"),
    "void": ("Void", "calm"),
}
DECISION = {
    "approve": ("Approved", "good"),
    "reject": ("Rejected", "bad"),
    "change": ("Requested changes", "warn"),
}
SEVERITY = {
    "low": ("Low", "calm"),
    "high": ("High", "warn"),
    "critical": ("Critical", "bad"),
}
INCIDENT = {
    "open": ("Open", "ask"),
    "closed": ("Closed", "calm"),
}
MATCHING = {
    "asked": ("Requested", "ask"),
    "running": ("Running", "live"),
    "matched": ("Matched", "good"),
    "failed": ("Could not be read", "bad"),
}
KINDS = {
    "run": RUN,
    "approval": APPROVAL,
    "effect": EFFECT,
    "call": CALL,
    "decision": DECISION,
    "severity": SEVERITY,
    "incident": INCIDENT,
    "matching": MATCHING,
}


def badge(state: str, kind: str) -> Markup:
    """Return a state as a badge."""
    words, look = KINDS[kind].get(state, (state, "calm"))
    return Markup('<span class="state {}">{}</span>').format(look, words)


def when(at: datetime | None) -> Markup:
    """Return a moment; the page's script puts it into the viewer's zone."""
    if at is None:
        return Markup("—")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-when>{:%Y-%m-%d %H:%M} UTC</time>').format(
        at.isoformat(timespec="seconds"), at
    )


def clock(at: datetime | None) -> Markup:
    """Return the time of day of a moment near now: `14:05`, in the viewer's zone."""
    if at is None:
        return Markup("—")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-clock>{:%H:%M} UTC</time>').format(
        at.isoformat(timespec="seconds"), at
    )


def relative(at: datetime | None) -> Markup:
    """Return a moment as the time from now: `3 min ago`, `in 2 h`; kept current."""
    if at is None:
        return Markup("—")
    left = at - system_clock()
    words = span(abs(left))
    words = f"in {words}" if left > timedelta(0) else f"{words} ago"
    return Markup('<time datetime="{}" data-relative>{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="seconds"), words
    )


def span(length: timedelta) -> str:
    """Return a length of time in one or two units."""
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            rest = seconds % size
            lower = {"d": (3_600, "h"), "h": (60, "min"), "min": (0, "")}[unit]
            more = rest // lower[0] if lower[0] else 0
            tail = f" {more} {lower[1]}" if more else ""
            return f"{seconds // size} {unit}{tail}"
    return f"{seconds} s"


def money(amount: int | None, currency: str | None) -> str:
    """Return an amount in major units with its currency, or nothing."""
    return "" if amount is None or currency is None else amounts.text(amount, currency)


def usd(microusd: int) -> str:
    """Return what models cost, to a tenth of a cent."""
    return f"${microusd / 1_000_000:,.4f}"


def people(count: int, role: str) -> str:
    """Return how many people of which role: `2 leads`."""
    return f"{count} {role}{'' if count == 1 else 's'}"


def subject(text: str | None) -> str:
    """Return what a call acts on: `order_id=O-1` is `Order id O-1`."""
    name, _, value = (text or "").partition("=")
    return f"{label(name)} {value}".strip()


# The first match in the user agent counts: each browser also names those below it.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def browser(agent: str | None) -> str:
    """Return a browser's user agent in short: `Firefox on Windows`."""
    text = agent or ""
    name = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if mark in text), None)
    if name is None:
        return text[:60] or "unknown"
    return f"{name} on {system}" if system else name


def sentence(error: Exception) -> str:
    """Return an error's words for a page, without the leading field name."""
    text = str(error)
    field, colon, rest = text.partition(": ")
    words = rest if colon and field.isidentifier() else text
    # Names, such as an approval's id, keep their spelling.
    start = words[:1].upper() if words.split(" ", 1)[0].isalpha() else words[:1]
    return f"{start}{words[1:].rstrip('.')}."


def actor(text: str, names: Mapping[str, str]) -> str:
    """Return who did something: a person's name, `the run` or `the system`."""
    if text.startswith("run:"):
        return "the run"
    return "the system" if text == "system" else names.get(text, text)
