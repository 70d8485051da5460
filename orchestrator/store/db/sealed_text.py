"""Texts sealed with a key that is stored elsewhere."""

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Sealed:
    """Seals and opens texts with one key, which may be any text hard to guess."""

    def __init__(self, key: str) -> None:
        """Take the key."""
        digest = hashlib.sha256(b"keyturn sealed\n" + key.encode(errors="replace"))
        self._cipher = AESGCM(digest.digest())

    @staticmethod
    def new_key() -> str:
        """Return a new random key."""
        return secrets.token_urlsafe(24)

    def seal(self, text: str) -> str:
        """Return the text sealed, as text."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str) -> str | None:
        """Return the text, or None if another key sealed it or it was changed."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            plain = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError, binascii.Error):
            return None
        return plain.decode()
