"""The keys that Temporal's payloads are sealed with (`payload_codec`)."""

import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn.orchestrator.rules.errors import KeyturnError

KEY_BYTES = 32
LONGEST_NAME = 32
# Written in place of a key: payloads from before there were keys are read, too.
PLAIN = "plain"


class PayloadKeysError(KeyturnError):
    """KEYTURN_PAYLOAD_KEYS is missing or cannot be read."""


class PayloadKeys:
    """The keys by name, in order: the first seals, each opens payloads that name it."""

    def __init__(self, text: str) -> None:
        """Take `name:base64` entries separated by commas; `plain` may be the last."""
        self.reads_plain = False
        self.keys: dict[bytes, AESGCM] = {}
        for entry in text.split(","):
            if entry.strip() == PLAIN:
                self.reads_plain = True
            else:
                name, key = _entry(entry.strip())
                if name in self.keys:
                    raise PayloadKeysError(
                        f"KEYTURN_PAYLOAD_KEYS has the name {name.decode()!r} twice; "
                        "each key needs its own name. `keyturn user key` makes a key."
                    )
                self.keys[name] = AESGCM(key)
        if not self.keys:
            raise PayloadKeysError(
                "KEYTURN_PAYLOAD_KEYS contains no key; `keyturn user key` makes one."
            )
        self.first = next(iter(self.keys))


def new_keys() -> str:
    """Return a new value of KEYTURN_PAYLOAD_KEYS, with one key."""
    name = os.urandom(3).hex()
    return f"{name}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def is_name(name: bytes) -> bool:
    """Return whether a text is a valid key name."""
    return 0 < len(name) <= LONGEST_NAME and name.isascii() and name.isalnum()


def _entry(entry: str) -> tuple[bytes, bytes]:
    name, colon, encoded = entry.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not colon or not is_name(name.encode()) or len(key) != KEY_BYTES:
        # The value is a secret: the message gives its position instead.
        raise PayloadKeysError(
            "KEYTURN_PAYLOAD_KEYS has a malformed entry. Write `name:key`, several "
            f"separated by commas: a name of at most {LONGEST_NAME} letters and digits, "
            f"and a key of {KEY_BYTES} bytes in base64. `keyturn user key` makes one."
        )
    return name.encode(), key
