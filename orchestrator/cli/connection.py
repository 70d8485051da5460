"""The connection to Temporal that every process of ours makes in the same way."""

from pathlib import Path

from temporalio import workflow
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

from orchestrator import scrub
from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings


class _Converter(PydanticPayloadConverter):
    """Leaves out what was not set: a turn costs few bytes of history (P5)."""

    def __init__(self) -> None:
        super().__init__(ToJsonOptions(exclude_unset=True))


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
_TELLABLE = (FailureError, StoreUnavailable, workflow.NondeterminismError)


def _without_words(exception: BaseException) -> ApplicationError:
    kind = type(exception).__name__
    bare = ApplicationError(f"{kind}; its words are in the log", type=kind)
    bare.__cause__ = exception.__cause__
    return bare.with_traceback(exception.__traceback__)


CONVERTER = DataConverter(
    payload_converter_class=_Converter, failure_converter_class=_Failures
)


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """Return a client of the configured Temporal.

    A `lazy` one connects at its first call, so that a process can start while Temporal
    is away. Raises RuntimeError where the server does not answer.
    """
    key = settings.temporal_api_key
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=key.get_secret_value() if key else None,
        tls=_tls(settings),
        data_converter=CONVERTER,
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
