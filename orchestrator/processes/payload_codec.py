"""Sealed Temporal payloads: without a key nobody can read or forge one.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. Beside its content a
payload authenticates the namespace and the workflow that it belongs to, so that one
copied from another run's history is refused like an invented one. Within a workflow the
record checks what an activity is asked for (`store/order.py`).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Self

from cryptography.exceptions import InvalidTag
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from keyturn.orchestrator.processes.payload_keys import PayloadKeys, is_name
from keyturn.orchestrator.rules.errors import KeyturnError

# By this name Temporal's own tools recognize what they cannot show.
ENCODING = b"binary/encrypted"
# A payload that is not ours is passed on with this encoding (see `ForgedPayload`): the
# SDK drops a signal that carries it; an error here would stop its workflow.
FORGED = b"binary/forged"
# The payload names a key that this process does not hold: another process may have
# received a new key first.
UNREADABLE = b"binary/unreadable"
NONCE_BYTES = 12
# The most frequent form as one byte; any other form unchanged.
WHOLE, PLAIN_JSON = b"\x00", b"\x01"
JSON: Mapping[str, bytes] = {"encoding": b"json/plain"}


class ForgedPayload(KeyturnError):
    """A payload that no process of this installation sealed for this workflow."""


class UnknownPayloadKey(KeyturnError):
    """A payload was sealed with a key that this process does not hold."""


def refuse_forged(payloads: Sequence[Payload]) -> None:
    """Raise `ForgedPayload` or `UnknownPayloadKey` where a payload is unreadable."""
    for one in payloads:
        encoding = one.metadata.get("encoding")
        if encoding == FORGED:
            raise ForgedPayload(
                "a payload that no process of this installation encrypted for this workflow"
            )
        if encoding == UNREADABLE:
            raise UnknownPayloadKey(
                f"encrypted with the key {one.data.decode()!r}, which this process does "
                "not have: add the key to this process's KEYTURN_PAYLOAD_KEYS"
            )


class SealedPayloads(PayloadCodec, WithSerializationContext):
    """Seals and opens payloads of one workflow, or of none."""

    def __init__(self, keys: PayloadKeys, place: str = "") -> None:
        """Take the keys, and the context that payloads are bound to."""
        self._keys = keys
        self._place = place.encode()

    def with_context(self, context: SerializationContext) -> Self:
        """Return the codec for this context's workflow."""
        return type(self)(self._keys, _place(context))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return each payload sealed."""
        return [self._seal(one) for one in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Return each payload opened; one that is not ours is marked as forged."""
        return [self._open(one) for one in payloads]

    def _seal(self, payload: Payload) -> Payload:
        is_json = dict(payload.metadata) == JSON
        kind = PLAIN_JSON if is_json else WHOLE
        content = payload.data if is_json else payload.SerializeToString()
        name, nonce = self._keys.first, os.urandom(NONCE_BYTES)
        head = bytes([len(name)]) + name + kind
        sealed = self._keys.keys[name].encrypt(nonce, content, head + self._place)
        return Payload(metadata={"encoding": ENCODING}, data=head + nonce + sealed)

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload if self._keys.reads_plain else _forged()
        data = payload.data
        end = 1 + data[0] if data else 0
        head, nonce = data[: end + 1], data[end + 1 : end + 1 + NONCE_BYTES]
        name = data[1:end]
        key = self._keys.keys.get(name)
        if len(nonce) < NONCE_BYTES or not is_name(name):
            return _forged()
        if key is None:
            return Payload(metadata={"encoding": UNREADABLE}, data=name)
        sealed = data[end + 1 + NONCE_BYTES :]
        try:
            content = key.decrypt(nonce, sealed, head + self._place)
        except InvalidTag:
            return _forged()
        if head[-1:] == PLAIN_JSON:
            return Payload(metadata=JSON, data=content)
        return Payload.FromString(content)


def _forged() -> Payload:
    return Payload(metadata={"encoding": FORGED})


def _place(context: SerializationContext) -> str:
    match context:
        case WorkflowSerializationContext():
            return f"{context.namespace}\n{context.workflow_id}"
        case ActivitySerializationContext():
            return f"{context.namespace}\n{context.workflow_id or ''}"
        case _:
            return ""
