"""Errors between us and a provider, with the facts that a retry needs."""

from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.text import scrub


class ProviderError(KeyturnError):
    """A request that brought no reply.

    `sent` says whether the provider may have worked on it: then the reservation is
    charged at its maximum; otherwise it is released. The message is that of a provider
    or an SDK, which may quote a key: it is scrubbed here, in one place.
    """

    def __init__(self, message: str, *, provider: str, sent: bool) -> None:
        """Keep the provider's name and whether the request may be billed."""
        self.provider = provider
        self.sent = sent
        super().__init__(scrub.text(message))


class RateLimited(ProviderError):
    """The provider refuses for now; `retry_after_s` is None where it gives no time."""

    def __init__(
        self, *, provider: str, words: str, retry_after_s: float | None = None
    ) -> None:
        """Keep the seconds that the provider asks us to wait."""
        self.retry_after_s = retry_after_s
        wait = "later" if retry_after_s is None else f"in {retry_after_s:g} s"
        super().__init__(
            f"Provider {provider!r} limits our rate: {words} Try again {wait}.",
            provider=provider,
            sent=False,
        )


class ProviderUnavailable(ProviderError):
    """The provider did not answer, broke off, took too long or answered 5xx."""

    def __init__(
        self,
        *,
        provider: str,
        words: str,
        sent: bool,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Keep the HTTP status, if there was one."""
        self.status = status
        self.retry_after_s = retry_after_s
        super().__init__(
            f"Provider {provider!r} is unavailable: {words} "
            "Try again or use another target.",
            provider=provider,
            sent=sent,
        )


class ProviderRejected(ProviderError):
    """The provider will not take this request, now or later (4xx)."""

    def __init__(self, *, provider: str, status: int, words: str) -> None:
        """Keep the HTTP status and the provider's message."""
        self.status = status
        self.words = scrub.text(words)
        super().__init__(
            f"Provider {provider!r} rejected the request with HTTP {status}: {words} "
            "Correct the key, the model's name or the request.",
            provider=provider,
            sent=False,
        )


class MalformedReply(ProviderError):
    """The provider answered, and the answer contains no readable reply."""

    def __init__(self, *, provider: str, why: str) -> None:
        """Name the fault; the body itself stays out of the message."""
        super().__init__(
            f"The answer of provider {provider!r} cannot be used: {why} Try again.",
            provider=provider,
            sent=True,
        )


class UnfinishedReply(ProviderError):
    """The provider says, or shows, that its reply broke off: no part of it counts."""

    def __init__(self, *, provider: str, stop: str | None, words: str | None) -> None:
        """Name the provider's stop reason, and its explanation."""
        why = words or f"it ended with {stop!r}" if words or stop else "it has no end."
        super().__init__(
            f"The answer of provider {provider!r} is unfinished: {why} Nothing of it "
            "was carried out. Try again or use another target.",
            provider=provider,
            sent=True,
        )


class UnknownPrice(KeyturnError):
    """A model has no known price, so that no budget can be reserved for it."""

    def __init__(self, *, provider: str, model: str) -> None:
        """Name the provider and the model."""
        self.provider = provider
        self.model = model
        super().__init__(
            f"No price is known for model {model!r} of provider {provider!r}. "
            "Use a listed model or set its price."
        )


class NoTarget(KeyturnError):
    """None of a contract's targets can be tried."""

    def __init__(
        self, *, targets: tuple[str, ...], configured: tuple[str, ...]
    ) -> None:
        """Keep the requested targets and the configured providers."""
        self.targets = targets
        self.configured = configured
        super().__init__(
            f"No provider is configured for any of {', '.join(targets) or 'no targets'}; "
            f"configured: {', '.join(configured) or 'none'}. Set the provider's key "
            "or name another target."
        )


class MalformedTarget(KeyturnError):
    """A target does not have the form provider/model."""

    def __init__(self, *, target: str) -> None:
        """Keep the target as it was written."""
        self.target = target
        super().__init__(
            f"Target {target!r} is not of the form provider/model; "
            "write, for example, 'openai/gpt-5.2'."
        )
