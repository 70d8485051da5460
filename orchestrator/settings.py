"""Settings, read once from the environment."""

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field, JsonValue, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.errors import KeyturnError, in_words
from orchestrator.model import Price

PREFIX = "KEYTURN_"
# Set by tools around Keyturn, not read by it.
ELSEWHERE = frozenset({"KEYTURN_CHAOS_SEED"})


class SettingsError(KeyturnError):
    """The environment names a setting that is unknown or wrong."""


class Settings(BaseSettings):
    """What a process of Keyturn is told by its environment.

    `services` are named HTTP services that tools read and write; `service_keys` their
    bearer tokens for writing, given to the effect worker alone. `statement_key` and
    `mail_log_key` read the books of others and can do nothing else. `models` overrides the
    targets of aliases; `prices` names those of models that the public list lacks.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    database_url: str = "sqlite+aiosqlite:///.keyturn/keyturn.db"
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls_ca: Path | None = None
    temporal_tls_cert: Path | None = None
    temporal_tls_key: Path | None = None
    task_queue: str = "keyturn"
    secret_key: SecretStr | None = None
    decision_key: SecretStr | None = None
    apps: str = "workflows.support"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    data_dir: Path = Path(".keyturn")
    smtp_url: str | None = None
    mail_from: str = "support@example.com"
    notice_smtp_url: SecretStr | None = None
    notice_from: str = "keyturn@example.com"
    webhook_private: bool = False
    payments_url: str | None = None
    statement_url: str | None = None
    statement_key: SecretStr | None = None
    mail_log_url: str | None = None
    mail_log_key: SecretStr | None = None
    services: dict[str, str] = Field(default_factory=dict)
    service_keys: dict[str, SecretStr] = Field(default_factory=dict)
    models: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    prices: dict[str, Price] = Field(default_factory=dict)
    url: str = "http://127.0.0.1:8080"
    token: SecretStr | None = None
    temporal_ui: str | None = None
    mailbox_url: str | None = None
    scripted: bool = False
    openai_api_key: SecretStr | None = Field(default=None, alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(default=None, alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(default=None, alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(default=None, alias="ANTHROPIC_BASE_URL")

    @property
    def effects_queue(self) -> str:
        """Return the effect worker's own task queue."""
        return f"{self.task_queue}-effects"

    @property
    def app_names(self) -> tuple[str, ...]:
        """Return the import paths of the applications."""
        return tuple(name.strip() for name in self.apps.split(",") if name.strip())

    def service_urls(self) -> dict[str, str]:
        """Return every named service, `payments` among them."""
        payments = {"payments": self.payments_url} if self.payments_url else {}
        return {**self.services, **payments}


def read() -> Settings:
    """Return the settings of this environment, or raise `SettingsError`."""
    _refuse_unknown()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            f"{_variable(first['loc'])}={_shown(first['input'])}: {in_words(first)}. "
            "Correct the environment and start again."
        ) from None


@lru_cache(maxsize=1)
def current() -> Settings:
    """Return this process's settings, read at the first call."""
    return read()


def _refuse_unknown() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known | ELSEWHERE:
            raise SettingsError(
                f"{name} is not a setting of Keyturn. Known: "
                f"{', '.join(sorted(known))}."
            )


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return name if name.isupper() else f"{PREFIX}{name.upper()}"


def _shown(value: JsonValue) -> str:
    return repr(value)[:80]
