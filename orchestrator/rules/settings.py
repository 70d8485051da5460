"""Settings, read once from the environment."""

import os
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, JsonValue, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from keyturn.orchestrator.rules.contract.model import AskedTarget, Price
from keyturn.orchestrator.rules.errors import KeyturnError, in_words
from keyturn.orchestrator.rules.text import scrub

PREFIX = "KEYTURN_"
# Set by tools around Keyturn; Keyturn itself does not read it.
ELSEWHERE = frozenset({"KEYTURN_CHAOS_SEED"})


class SettingsError(KeyturnError):
    """The environment has an unknown or a wrong setting."""


# Most secrets are copied from a file or a page; no real secret holds these characters.
_INVISIBLE = {"Cc": "a control character", "Cf": "an invisible character"}
_QUOTES = "\"'"
# Placeholders that examples have for a secret: `<your key>`, `changeme`, `${API_KEY}`.
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\$\{[^{}]*\}|\{\{.*\}\}|change[-_ ]?(?:me|this)|replace[-_ ]?(?:me|this)"
    r"|(?:put|insert|enter|your)[-_ ].*|(?:sk[-_])?(?:\.{3,}|x{3,}|\*{3,})|todo|tbd",
    re.IGNORECASE,
)
# Addresses that may contain a password.
_ADDRESSES = ("smtp_url", "notice_smtp_url", "database_url")


# The text in which pydantic-settings names a setting that it cannot read.
_FIELD = re.compile(r'field "(\w+)"')
_JSON = {
    f"{PREFIX}SERVICES": '{"shop": "https://shop.example"}',
    f"{PREFIX}SERVICE_KEYS": '{"shop": "its key"}',
    f"{PREFIX}MODELS": '{"standard": ["openai/gpt-5.2"]}',
    f"{PREFIX}PRICES": '{"openai/own": {"input_usd_per_million": "1", '
    '"output_usd_per_million": "2"}}',
}


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
    secret_key_before: SecretStr | None = None
    decision_key: SecretStr | None = None
    former_decision_keys: str | None = None
    payload_keys: SecretStr | None = None
    apps: str = "keyturn.workflows.support"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str | None = None
    metrics_token: SecretStr | None = None
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
    models: dict[str, Annotated[tuple[AskedTarget, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
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

    @field_validator("*", mode="before")
    @classmethod
    def _without_last_line_break(cls, value: object) -> object:
        """Remove the one line break with which a mounted file ends."""
        if not isinstance(value, str):
            return value
        return value.removesuffix("\n").removesuffix("\r")

    def secrets(self) -> dict[str, str]:
        """Return every secret of this process by the variable that holds it."""
        found = {
            _variable((name,)): secret.get_secret_value()
            for name in type(self).model_fields
            if isinstance(secret := getattr(self, name), SecretStr)
        }
        if self.payload_keys is not None:
            # Each key separately as well: an error may quote only one.
            entries = self.payload_keys.get_secret_value().split(",")
            found |= {
                f"{PREFIX}PAYLOAD_KEYS[{number}]": entry.partition(":")[2].strip()
                for number, entry in enumerate(entries)
            }
        keys = self.service_keys.items()
        found |= {
            f"{PREFIX}SERVICE_KEYS[{service}]": key.get_secret_value()
            for service, key in keys
        }
        for name in _ADDRESSES:
            found[f"the password in {_variable((name,))}"] = _password(self, name)
        aliases = ("openai_api_key", "anthropic_api_key")
        for name in aliases:
            if value := found.pop(f"{PREFIX}{name.upper()}", None):
                found[name.upper()] = value
        return {name: value for name, value in found.items() if value}

    @property
    def effects_queue(self) -> str:
        """Return the effect worker's own task queue."""
        return f"{self.task_queue}-effects"

    @property
    def app_names(self) -> tuple[str, ...]:
        """Return the import paths of the applications."""
        return tuple(name.strip() for name in self.apps.split(",") if name.strip())

    def service_urls(self) -> dict[str, str]:
        """Return every named service, `payments` included."""
        payments = {"payments": self.payments_url} if self.payments_url else {}
        return {**self.services, **payments}


def read() -> Settings:
    """Return the settings of this environment, or raise `SettingsError`."""
    _refuse_unknown()
    try:
        found = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = _variable(first["loc"]) + "".join(f"[{k}]" for k in first["loc"][1:2])
        shown = "" if _is_secret(name) else f"={_shown(first['input'])}"
        raise SettingsError(
            f"{name}{shown}: {in_words(first)}. Correct the environment and start again."
        ) from None
    except UnreadableSetting as error:
        # Only the field's name is taken from the message; the value may be a secret.
        field = _FIELD.search(str(error))
        name = f"{PREFIX}{field[1].upper()}" if field else "A setting that is JSON"
        raise SettingsError(
            f"{name} is not JSON. Write it like {_JSON.get(name, 'the reference says')}, "
            "and start again."
        ) from None
    for name, secret in found.secrets().items():
        _check_secret(name, secret)
    scrub.know(*found.secrets().values(), *map(unquote, found.secrets().values()))
    return found


@lru_cache(maxsize=1)
def current() -> Settings:
    """Return this process's settings, read at the first call."""
    return read()


def _check_secret(name: str, secret: str) -> None:
    """Refuse a secret that its provider cannot have issued, without showing it."""
    if _PLACEHOLDER.fullmatch(secret):
        raise SettingsError(
            f"{name} holds a placeholder. Set the secret itself. (Its value is not shown.)"
        )
    wrong = _slip(secret)
    if wrong is not None:
        raise SettingsError(
            f"{name} {wrong}, which no secret has; it was probably copied along. Set "
            "the secret without it. (Its value is not shown.)"
        )


def _slip(secret: str) -> str | None:
    for place, one in enumerate(secret, start=1):
        if one in "\r\n":
            return f"has a line break at character {place}"
        if not " " <= one <= "~":
            kind = _INVISIBLE.get(
                unicodedata.category(one), "a character outside ASCII"
            )
            return f"has {kind} (U+{ord(one):04X}) at character {place}"
    if secret != secret.strip():
        return "has a blank at its end"
    if secret[0] in _QUOTES or secret[-1] in _QUOTES:
        return "has a quote at its end"
    return None


def _password(found: Settings, name: str) -> str:
    value = getattr(found, name)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    try:
        return urlsplit(text or "").password or ""
    except ValueError:
        return ""


def _is_secret(variable: str) -> bool:
    return any(word in variable for word in ("KEY", "SECRET", "TOKEN", "URL"))


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
