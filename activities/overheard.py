"""Messages of workflows' exceptions, kept in this process for the activity that asks.

A workflow reaches no store, and Temporal's history takes no foreign text (P5): the
messages are left here and collected by the activity, which most often runs in the same
worker. Where it does not, they are in the log.
"""

from collections import OrderedDict
from typing import Final

# More runs than fail at once; the oldest uncollected message is dropped.
MOST: Final = 500

_words: "OrderedDict[str, str]" = OrderedDict()


def leave(run: str, words: str) -> None:
    """Keep the message of a run's latest exception."""
    _words[run] = words
    _words.move_to_end(run)
    while len(_words) > MOST:
        _words.popitem(last=False)


def pick_up(run: str) -> str | None:
    """Return a run's message, once."""
    return _words.pop(run, None)
