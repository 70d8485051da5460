"""Connectors for one call: readers for `run_tool`, writers for `perform`."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from keyturn.activities import http_client
from keyturn.activities.connectors.http_service import HttpReader, HttpWriter
from keyturn.activities.connectors.smtp import SmtpMailer
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import Mailer, Reader, Writer
from keyturn.orchestrator.rules.contract.tool import ConnectorNo


@dataclass(frozen=True)
class Services:
    """The addresses of named services, and the credentials of an effect worker.

    Without `may_write` there are only readers, regardless of the other settings.
    """

    client: httpx2.AsyncClient
    urls: Mapping[str, str]
    may_write: bool = False
    keys: Mapping[str, str] | None = None
    smtp_url: str | None = None
    mail_from: str = "support@example.com"

    def __call__(self, actor: Actor) -> "CallConnectors":
        """Return connectors that act for `actor` alone."""
        return CallConnectors(self, actor)


@dataclass(frozen=True)
class CallConnectors:
    """The connectors of one call."""

    services: Services
    actor: Actor

    def reader(self, service: str) -> Reader:
        """Return the reader of a configured service."""
        return HttpReader(self.services.client, self._url(service), self.actor)

    def writer(self, service: str) -> Writer:
        """Return the writer; refused outside `perform`."""
        url = self._url(service)
        return HttpWriter(
            self.services.client,
            url,
            self.actor,
            self._key(),
            (self.services.keys or {}).get(service),
        )

    def mailer(self) -> Mailer:
        """Return the mailer; refused outside `perform`."""
        key = self._key()
        if self.services.smtp_url is None:
            raise ConnectorNo("No mail server is configured; set KEYTURN_SMTP_URL.")
        return SmtpMailer(
            self.services.smtp_url, self.services.mail_from, self.actor, key
        )

    def _url(self, service: str) -> str:
        urls = self.services.urls
        if service not in urls:
            raise ConnectorNo(
                f"No service {service!r} is configured; configured: "
                f"{', '.join(sorted(urls)) or 'none'}. Set KEYTURN_SERVICES."
            )
        return urls[service].rstrip("/")

    def _key(self) -> str:
        if not self.services.may_write or self.actor.effect_key is None:
            raise ConnectorNo(
                "Writing is possible in an effect alone; nothing was sent."
            )
        return self.actor.effect_key


def client() -> httpx2.AsyncClient:
    """Return the client that a process shares among its calls."""
    timeout = httpx2.Timeout(9.0, connect=3.0)
    return http_client.client(timeout=timeout, follow_redirects=False)
