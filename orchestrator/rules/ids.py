"""Ids that sort by time."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str, *, now: float | None = None) -> str:
    """Return an id that sorts by time: kind, 48 bits of milliseconds, 40 random."""
    stamp = int((time.time() if now is None else now) * 1000)
    value, digits = (stamp << 40) | secrets.randbits(40), ""
    for _ in range(18):
        value, digit = divmod(value, 32)
        digits = _ALPHABET[digit] + digits
    return f"{kind}-{digits}"
