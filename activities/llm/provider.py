"""The port to a model."""

from typing import Protocol

from keyturn.orchestrator.rules.text.transcript import ModelReply, ModelRequest


class Provider(Protocol):
    """One provider of models; an adapter for its wire format implements this."""

    @property
    def name(self) -> str:
        """The provider's name as targets write it, e.g. `openai`."""
        ...

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> ModelReply:
        """Return the model's reply, or raise a `ProviderError`.

        Takes at most `timeout_s` in total. Nothing is retried here: each attempt is
        reserved and recorded by the caller.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
