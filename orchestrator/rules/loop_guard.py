"""A guard against a model that repeats the same call."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

# The third identical call is answered with a warning, the sixth ends the loop: a model
# that polls gets two honest repeats, one that is stuck costs at most five turns.
WARN_AT = 3
END_AT = 6


class Fingerprint(BaseModel):
    """What makes two calls the same: the tool and the hash of canonical arguments."""

    model_config = ConfigDict(frozen=True)

    tool: str
    arguments: str


def repeats(past: Iterable[Fingerprint], call: Fingerprint) -> int:
    """Return how many times `call` will have been requested, this one included."""
    return Counter(past)[call] + 1


def judge_repeat(count: int) -> Literal["go", "warn", "end"]:
    """Return what to do at the n-th identical call."""
    if count >= END_AT:
        return "end"
    return "warn" if count >= WARN_AT else "go"
