"""What an approval is bound to, and the signature that proves who gave it."""

import base64
from datetime import datetime
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from pydantic import BaseModel, ConfigDict, JsonValue

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.text import canonical

DecisionKind = Literal["approve", "reject", "change"]

PUBLIC_PREFIX = "public:"


class Binding(BaseModel):
    """All that an approver relied on; a change in any of it needs a new approval.

    `call` carries the run, turn, index and revision: the effect key.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    call: str
    tool: str
    arguments: JsonValue
    contract: str
    policy: str
    preview: JsonValue

    def digest(self) -> str:
        """Return the SHA-256 over the canonical form, in hex."""
        return canonical.digest(self.model_dump(mode="json"))


class Signed(Protocol):
    """A statement with one byte form, over which a signature is made."""

    def encode(self) -> bytes:
        """Return the bytes that are signed."""
        ...


class Grounds(BaseModel):
    """What a decision rested on besides what was asked: who may not give it, and who did.

    Whoever acts on it compares it with the record, where all of it can be rewritten.
    """

    model_config = ConfigDict(frozen=True)

    started_by: str | None
    not_by: tuple[str, ...]
    assigned_to: str | None
    revision: int
    role: str
    tenant: str | None


class Statement(BaseModel):
    """What the web process signs: who decided what about which binding, and when.

    `binding` is that of what the person saw; `effective` that of what may be done,
    which differs where the person edited. Decisions of before `grounds` were signed
    name none.
    """

    model_config = ConfigDict(frozen=True)

    approval: str
    binding: str
    effective: str
    person: str
    session: str
    decision: DecisionKind
    at: datetime
    grounds: Grounds | None = None

    def encode(self) -> bytes:
        """Return the bytes that are signed."""
        without = {"grounds"} if self.grounds is None else None
        return canonical.encode(self.model_dump(mode="json", exclude=without))


class Live(BaseModel):
    """What is signed when a release goes live: which, of which workflow, when, by whom."""

    model_config = ConfigDict(frozen=True)

    workflow: str
    release: str
    code_version: str
    live_since: datetime
    live_by: str

    def encode(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical.encode({"live": self.model_dump(mode="json")})


class DecisionKeyError(KeyturnError):
    """The decision key is missing, or of a kind that this process cannot use."""


class Signer:
    """Signs decisions; only the web process holds one."""

    def __init__(self, key: str) -> None:
        """Take the private key: 32 bytes in base64."""
        self._key = _private(key)

    def sign(self, statement: Signed) -> str:
        """Return the Ed25519 signature in base64."""
        return base64.b64encode(self._key.sign(statement.encode())).decode()

    def public(self) -> str:
        """Return the public half, for the effect worker's `KEYTURN_DECISION_KEY`."""
        raw = self._key.public_key().public_bytes_raw()
        return PUBLIC_PREFIX + base64.b64encode(raw).decode()


class Verifier:
    """Checks signatures; takes public keys, or a private key for its public half."""

    def __init__(self, keys: str) -> None:
        """Take `public:` and 32 bytes in base64, several separated by commas.

        A private key is accepted, too. During a key change, signatures by either key
        are genuine.
        """
        self._keys = [_public(one.strip()) for one in keys.split(",")]

    @property
    def count(self) -> int:
        """Return the number of keys whose signatures are accepted."""
        return len(self._keys)

    def is_genuine(self, statement: Signed, signature: str) -> bool:
        """Return whether the web process signed exactly this statement."""
        signed = statement.encode()
        try:
            raw = base64.b64decode(signature)
        except ValueError:
            return False
        return any(_has_signed(key, raw, signed) for key in self._keys)


def new_key() -> str:
    """Return a fresh private decision key."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def _has_signed(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _public(key: str) -> Ed25519PublicKey:
    if key.startswith(PUBLIC_PREFIX):
        return Ed25519PublicKey.from_public_bytes(
            _decode(key.removeprefix(PUBLIC_PREFIX))
        )
    return _private(key).public_key()


def _private(key: str) -> Ed25519PrivateKey:
    if key.startswith(PUBLIC_PREFIX):
        raise DecisionKeyError(
            "KEYTURN_DECISION_KEY holds a public key, but this process signs decisions; "
            "give it the private key."
        )
    return Ed25519PrivateKey.from_private_bytes(_decode(key))


def _decode(key: str) -> bytes:
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise DecisionKeyError(
            "KEYTURN_DECISION_KEY must be 32 bytes in base64; make one with "
            "`keyturn user key`."
        )
    return raw
