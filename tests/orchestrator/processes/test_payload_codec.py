"""Temporal's payloads: who has no key reads none, and makes none that is taken."""

import base64
import os

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    SerializationContext,
    WorkflowSerializationContext,
)

from keyturn.orchestrator.processes.connection import CONVERTER
from keyturn.orchestrator.processes.payload_codec import (
    ENCODING,
    FORGED,
    UNREADABLE,
    ForgedPayload,
    SealedPayloads,
    UnknownPayloadKey,
)
from keyturn.orchestrator.processes.payload_keys import (
    PayloadKeys,
    PayloadKeysError,
    new_keys,
)

KEY = new_keys()
JSON = Payload(metadata={"encoding": b"json/plain"}, data=b'{"run": "run-1"}')
NULL = Payload(metadata={"encoding": b"binary/null"})
OTHER = Payload(metadata={"encoding": b"json/protobuf", "messageType": b"x"}, data=b"y")
KINDS = {"json": JSON, "null": NULL, "other": OTHER, "empty": Payload()}


def workflow(run: str, namespace: str = "default") -> SerializationContext:
    return WorkflowSerializationContext(namespace=namespace, workflow_id=run)


def activity(run: str, kind: str = "think") -> SerializationContext:
    return ActivitySerializationContext(
        namespace="default",
        activity_id=None,
        activity_type=kind,
        activity_task_queue="q",
        workflow_id=run,
        workflow_type="act",
        is_local=False,
    )


def codec(
    keys: str = KEY, context: SerializationContext | None = None
) -> SealedPayloads:
    made = SealedPayloads(PayloadKeys(keys))
    return made.with_context(context or workflow("run-1"))


async def seal(
    payload: Payload, keys: str = KEY, context: SerializationContext | None = None
) -> Payload:
    [sealed] = await codec(keys, context).encode([payload])
    return sealed


async def opened(
    payload: Payload, keys: str = KEY, context: SerializationContext | None = None
) -> Payload:
    [plain] = await codec(keys, context).decode([payload])
    return plain


def encoding(payload: Payload) -> bytes:
    return payload.metadata["encoding"]


def is_forged(payload: Payload) -> bool:
    return payload.metadata["encoding"] == FORGED and payload.data == b""


@pytest.mark.parametrize("payload", KINDS.values(), ids=KINDS)
async def test_what_is_sealed_opens_as_it_was(payload: Payload) -> None:
    sealed = await seal(payload)

    assert await opened(sealed) == payload
    assert await opened(sealed, context=activity("run-1")) == payload
    assert dict(sealed.metadata) == {"encoding": ENCODING}
    assert b"run-1" not in sealed.SerializeToString()
    assert sealed != await seal(payload)


async def test_it_costs_few_bytes() -> None:
    plain, sealed = JSON.SerializeToString(), (await seal(JSON)).SerializeToString()
    assert len(sealed) - len(plain) <= 48


@pytest.mark.parametrize(
    "context",
    [
        workflow("run-2"),
        workflow("run-1/act/1"),
        workflow("run-1", namespace="other"),
        activity("run-2"),
    ],
    ids=["run", "loop", "namespace", "activity"],
)
async def test_one_of_another_place_is_forged(context: SerializationContext) -> None:
    assert is_forged(await opened(await seal(JSON), context=context))


async def test_any_changed_bit_is_forged() -> None:
    sealed = await seal(JSON)
    for place in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[place] ^= 1
        forged = Payload(metadata=sealed.metadata, data=bytes(changed))
        # A changed name is that of a key that nobody has, which is no less refused.
        found = await opened(forged)
        is_name = 1 <= place <= sealed.data[0]
        assert is_forged(found) or (is_name and encoding(found) == UNREADABLE), place
    for length in range(len(sealed.data)):
        short = Payload(metadata=sealed.metadata, data=sealed.data[:length])
        assert is_forged(await opened(short)), length


@pytest.mark.parametrize("payload", KINDS.values(), ids=KINDS)
async def test_what_was_never_sealed_is_forged_but_while_upgrading(
    payload: Payload,
) -> None:
    assert is_forged(await opened(payload))
    assert await opened(payload, f"{KEY},plain") == payload


async def test_another_installations_is_forged() -> None:
    unknown = await opened(await seal(JSON, new_keys()))
    assert unknown.metadata["encoding"] == UNREADABLE
    with pytest.raises(UnknownPayloadKey, match="add the key to this process"):
        CONVERTER.payload_converter.from_payloads([unknown])
    # The same name does not make it the same key.
    name = KEY.partition(":")[0]
    same_name = f"{name}:{base64.b64encode(os.urandom(32)).decode()}"
    assert is_forged(await opened(await seal(JSON, same_name)))


async def test_keys_are_changed_without_a_gap() -> None:
    new = new_keys()
    both = f"{new}, {KEY}"
    before, after = await seal(JSON), await seal(JSON, both)

    assert await opened(before, both) == JSON
    assert await opened(after, new) == JSON
    assert (await opened(before, new)).metadata["encoding"] == UNREADABLE


def test_what_is_forged_is_converted_to_nothing() -> None:
    forged = Payload(metadata={"encoding": FORGED})
    with pytest.raises(ForgedPayload):
        CONVERTER.payload_converter.from_payloads([forged])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "a:",
        ":AAAA",
        "a:not base64",
        f"a:{base64.b64encode(bytes(31)).decode()}",
        base64.b64encode(bytes(32)).decode(),
        f"{'a' * 33}:{base64.b64encode(bytes(32)).decode()}",
        f"a b:{base64.b64encode(bytes(32)).decode()}",
        f"a:{base64.b64encode(bytes(32)).decode()},,",
        f"a:{base64.b64encode(bytes(32)).decode()},a:{base64.b64encode(bytes(32)).decode()}",
    ],
)
def test_keys_that_are_none_are_refused_in_words_without_their_value(text: str) -> None:
    with pytest.raises(PayloadKeysError, match=r"KEYTURN_PAYLOAD_KEYS") as raised:
        PayloadKeys(text)
    assert "`keyturn user key`" in str(raised.value)
    secret = text.partition(":")[2]
    assert not secret or secret not in str(raised.value)
