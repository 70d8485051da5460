"""Each child's environment: its own settings, and no other child's keys."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import URL

from keyturn.orchestrator.cli.dev import keys
from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.cli.dev.keys import Secrets
from keyturn.orchestrator.cli.dev.ports import LOCALHOST, Ports
from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.settings import PREFIX

PROVIDERS = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
)
# The user's own choices, which all our processes must share.
SHARED = ("APPS", "MODELS", "PRICES", "SERVICES")
HIDDEN = ("OPENAI_", "ANTHROPIC_", "GEMINI_", "SHOP_", PREFIX)
SUPPORT_DESK = "keyturn.workflows.support"


@dataclass(frozen=True)
class Environment:
    """Makes each child's environment."""

    data: Data
    ports: Ports
    secrets: Secrets
    outer: Mapping[str, str]

    @property
    def is_scripted(self) -> bool:
        """Return whether no provider is configured, so that the simulator answers."""
        return not any(self.outer.get(name) for name in PROVIDERS)

    @property
    def has_support_desk(self) -> bool:
        """Return whether the shipped support desk is among the applications."""
        return SUPPORT_DESK in self.outer.get(f"{PREFIX}APPS", SUPPORT_DESK).split(",")

    def plain(self, **more: str) -> dict[str, str]:
        """Return the user's environment without any setting or key of ours."""
        kept = {k: v for k, v in self.outer.items() if not k.startswith(HIDDEN)}
        # A log is read while its process runs.
        return {**kept, "PYTHONUNBUFFERED": "1", **more}

    def web(self) -> dict[str, str]:
        """Return the web server's environment: it alone signs decisions."""
        return self._keyturn(
            HOST=LOCALHOST,
            PORT=str(self.ports["web"]),
            PUBLIC_URL=self.ports.url("web"),
            SECRET_KEY=self.secrets.secret_key,
            DECISION_KEY=self.secrets.decision_key,
            TEMPORAL_UI=self.ports.url("temporal_ui"),
            MAILBOX_URL=self.ports.url("mailbox"),
            NOTICE_SMTP_URL=f"smtp://{self.ports.address('smtp')}",
            WEBHOOK_PRIVATE="true",
            # Without one, /metrics is closed here, too.
            METRICS_TOKEN=self.outer.get(f"{PREFIX}METRICS_TOKEN", ""),
        )

    def release(self) -> dict[str, str]:
        """Return the environment of the process that puts signed releases live."""
        return self._keyturn(DECISION_KEY=self.secrets.decision_key)

    def worker(self) -> dict[str, str]:
        """Return the thinking worker's: it alone reaches models and reads the books."""
        books = self._keyturn(
            STATEMENT_URL=f"{self.ports.url('shop')}/statement",
            STATEMENT_KEY=self.secrets.statement_key,
            MAIL_LOG_URL=f"{self.ports.url('mailbox')}/log",
        )
        return {**books, **self.providers()}

    def effects(self) -> dict[str, str]:
        """Return the effect worker's: it alone can write, and cannot sign."""
        return self._keyturn(
            DECISION_KEY=Signer(self.secrets.decision_key).public(),
            SERVICE_KEYS=f'{{"payments": "{self.secrets.payments_key}"}}',
            SMTP_URL=f"smtp://{self.ports.address('smtp')}",
        )

    def providers(self) -> dict[str, str]:
        """Return the settings of the models: the user's own, or the simulator's."""
        if not self.is_scripted:
            given = {name: self.outer.get(name) for name in PROVIDERS}
            return {name: value for name, value in given.items() if value}
        url = self.ports.url("simulator")
        return {
            "OPENAI_API_KEY": "scripted",
            "OPENAI_BASE_URL": f"{url}/v1",
            "ANTHROPIC_API_KEY": "scripted",
            "ANTHROPIC_BASE_URL": url,
        }

    def _keyturn(self, **more: str) -> dict[str, str]:
        settings = {
            "DATABASE_URL": database_url(self.data),
            "DATA_DIR": str(self.data.root),
            "TEMPORAL_ADDRESS": self.ports.address("temporal"),
            "PAYLOAD_KEYS": self.secrets.payload_keys,
            "PAYMENTS_URL": self.ports.url("shop"),
            "SCRIPTED": str(self.is_scripted).lower(),
            **{k: v for k in SHARED if (v := self.outer.get(PREFIX + k))},
            **more,
        }
        return self.plain(**{PREFIX + name: value for name, value in settings.items()})


def of(data: Data, ports: Ports) -> Environment:
    """Return the maker of environments for this data folder and these ports."""
    return Environment(data, ports, keys.of(data), dict(os.environ))


def database_url(data: Data) -> str:
    """Return the store's URL; the path may contain any character."""
    url = URL.create("sqlite+aiosqlite", database=str(data.database))
    return url.render_as_string(hide_password=False)
