"""The connection to Temporal that every process of ours makes in the same way."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter, ToJsonOptions
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    PayloadConverter,
)
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.service import TLSConfig

from keyturn.orchestrator.processes.payload_codec import (
    ForgedPayload,
    SealedPayloads,
    UnknownPayloadKey,
    refuse_forged,
)
from keyturn.orchestrator.processes.payload_keys import PayloadKeys, PayloadKeysError
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.rules.text import scrub


class _Converter(PydanticPayloadConverter):
    """Leaves out what was not set: a turn costs few bytes of history (P5).

    What was never sealed by us it names by that, where the SDK knows no such encoding.
    """

    def __init__(self) -> None:
        super().__init__(ToJsonOptions(exclude_unset=True))

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Return what the payloads hold; raises what `refuse_forged` does."""
        refuse_forged(payloads)
        return super().from_payloads(payloads, type_hints)


class _Failures(DefaultFailureConverter):
    """Keeps the words of exceptions out of histories: they hold what was read (P5).

    What a failure says there is its kind and where it happened; its words are in the
    log of the process. Temporal's own failures, and ours that are made for it, pass.
    """

    def to_failure(
        self,
        exception: BaseException,
        payload_converter: PayloadConverter,
        failure: Failure,
    ) -> None:
        """Write the exception as it may stand in a history."""
        if not isinstance(exception, _TELLABLE):
            exception = _without_words(exception)
        super().to_failure(exception, payload_converter, failure)
        # Whatever an author wrote into an error for Temporal, and a store's own words.
        failure.message = scrub.text(failure.message)
        failure.stack_trace = scrub.text(failure.stack_trace)


# A store that is away is named by address and fault; nondeterminism by its commands.
_TELLABLE = (
    FailureError,
    ForgedPayload,
    UnknownPayloadKey,
    StoreUnavailable,
    workflow.NondeterminismError,
)


def _without_words(exception: BaseException) -> ApplicationError:
    kind = type(exception).__name__
    bare = ApplicationError(f"{kind}; its words are in the log", type=kind)
    bare.__cause__ = exception.__cause__
    return bare.with_traceback(exception.__traceback__)


# What payloads are before they are sealed.
CONVERTER = DataConverter(
    payload_converter_class=_Converter, failure_converter_class=_Failures
)


def sealing(settings: Settings) -> DataConverter:
    """Return the converter that seals with the settings' keys.

    Raises `PayloadKeysError` where they are missing or no keys.
    """
    if settings.payload_keys is None:
        raise PayloadKeysError(
            "KEYTURN_PAYLOAD_KEYS is not set; `keyturn user key` makes one. The web "
            "server and all workers hold the same."
        )
    keys = PayloadKeys(settings.payload_keys.get_secret_value())
    return dataclasses.replace(CONVERTER, payload_codec=SealedPayloads(keys))


async def connect(
    settings: Settings, *, lazy: bool = False, is_looking: bool = False
) -> Client:
    """Return a client of the configured Temporal.

    One that `is_looking` asks who works on which queue, and needs no key for that. A
    `lazy` one connects at its first call, so that a process can start while Temporal
    is away. Raises RuntimeError where the server does not answer, or
    `PayloadKeysError`.
    """
    key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=key.get_secret_value() if key else None,
        tls=_tls(settings),
        data_converter=CONVERTER if is_looking else sealing(settings),
        lazy=lazy,
    )


def _tls(settings: Settings) -> TLSConfig | bool:
    """Return the certificates; an API key alone (Temporal Cloud) needs TLS too."""
    files = (
        settings.temporal_tls_ca,
        settings.temporal_tls_cert,
        settings.temporal_tls_key,
    )
    if not any(files):
        return settings.temporal_api_key is not None
    ca, cert, key = (_read(file) for file in files)
    return TLSConfig(server_root_ca_cert=ca, client_cert=cert, client_private_key=key)


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None
