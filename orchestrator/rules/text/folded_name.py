"""Names in one normal spelling, which the record uses."""

import re
import unicodedata

from keyturn.orchestrator.rules.text import canonical

# An index of PostgreSQL holds 2.7 kB; models and callers choose names of any length.
LONGEST = 200
_KEPT = 130
# Unicode's default-ignorable code points: invisible to people, dropped by services.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def fold(name: str) -> str:
    """Return a name in one spelling, at most `LONGEST` characters long.

    A provider may treat `o-1 `, `O-1` and the same in wide letters as one order; then
    so do we. Where it does not, two such orders count as one, and people are asked.
    """
    before = None
    # Dropping a character may join letters that normalize to one.
    while name != before:
        before, name = name, _folded(name)
    return bounded(name)


def bounded(name: str) -> str:
    """Return a name that fits an index: a long one as its beginning and its hash."""
    if len(name) <= LONGEST:
        return name
    return f"{name[:_KEPT]}~{canonical.digest(name)}"


def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    return "".join(char for char in _UNSEEN.sub("", folded) if _is_seen(char))


def _is_seen(char: str) -> bool:
    return not char.isspace() and unicodedata.category(char) not in ("Cf", "Cc")
