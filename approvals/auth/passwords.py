"""Passwords, hashed with Argon2; never stored, logged or compared as text."""

import asyncio
from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

SHORTEST = 8
# OWASP's password storage cheat sheet, Argon2id: 19 MiB, 2 passes, 1 lane. More memory
# would let a burst of sign-ins starve the process that also serves decisions.
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1


async def hash_password(plain: str) -> str:
    """Return the hash to store; computed off the event loop."""
    return await asyncio.to_thread(_hasher().hash, plain)


async def is_right(plain: str, kept: str | None) -> bool:
    """Tell whether this is the password.

    Takes the same time without a stored hash, so that timing does not reveal whether
    an address has an account.
    """
    found = await asyncio.to_thread(_hasher().verify, plain, kept or _nobodys())
    return found and kept is not None


@cache
def _hasher() -> PasswordHash:
    hasher = Argon2Hasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
    return PasswordHash((hasher,))


@cache
def _nobodys() -> str:
    return _hasher().hash("nobody has this password")
