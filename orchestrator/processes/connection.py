"""The connection to Temporal, the same for every process."""

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
    """Omits unset fields: a turn costs few bytes of history (P5).

    Reports payloads that we never sealed as such; the SDK does not know their encoding.
    """

    def __init__(self) -> None:
        super().__init__(ToJsonOptions(exclude_unset=True))

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """Return the payloads' values; raises the errors of `refuse_forged`."""
        refuse_forged(payloads)
        return super().from_payloads(payloads, type_hints)


class _Failures(DefaultFailureConverter):
    """Keeps exceptions' messages out of histories: they hold data that was read (P5).

    A failure there has only its kind and where it happened; its message is in the log
    of the process. Temporal's own failures, and ours that are made for it, pass.
    """

    def to_failure(
        self,
        exception: BaseException,
        payload_converter: PayloadConverter,
        failure: Failure,
    ) -> None:
        """Write the exception in the form that a history may contain."""
        if not isinstance(exception, _TELLABLE):
            exception = _without_words(exception)
        super().to_failure(exception, payload_converter, failure)
        # This text may be an author's, in an error for Temporal, or a store's.
        failure.message = scrub.text(failure.message)
        failure.stack_trace = scrub.text(failure.stack_trace)


# An unavailable store is named by address and fault; nondeterminism by its commands.
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


# Converts values to payloads before they are sealed.
CONVERTER = DataConverter(
    payload_converter_class=_Converter, failure_converter_class=_Failures
)


def sealing(settings: Settings) -> DataConverter:
    """Return the converter that seals with the settings' keys.

    Raises `PayloadKeysError` where they are missing or invalid.
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

    With `is_looking` it only asks who works on which queue, and needs no key. A `lazy`
    client connects at its first call, so that a process can start while Temporal
    is unavailable. Raises RuntimeError where the server does not answer, or
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
