"""Mail over SMTP, to the run's own contact, under a stable Message-ID."""

from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import aiosmtplib

from keyturn.activities.connectors.smtp_delivery import Delivery, Letter
from keyturn.activities.toolbox import Actor
from keyturn.orchestrator.rules.contract.connector import Known, Mail, mail_name
from keyturn.orchestrator.rules.contract.tool import ConnectorNo


@dataclass(frozen=True)
class SmtpMailer:
    """Sends mail for one effect."""

    url: str
    sender: str
    actor: Actor
    key: str

    async def send(self, mail: Mail) -> str:
        """Return the Message-ID, the same for every attempt of one effect.

        Raises `ToolError` where the server refused it or there is no recipient,
        `NotSent` where a retry is possible, `NotKnown` where the answer to the mail
        itself was lost.
        """
        try:
            message = self._message(mail)
        except ValueError as error:
            raise ConnectorNo(
                f"This mail cannot be written, so nothing was sent: {error}"
            ) from error
        # Exactly the contact, even if a header would parse it differently (P14).
        letter = Letter(self.sender, self._contact(), message)
        deed = self.actor.deeds.begin(Known.NOT_SENT)
        await Delivery(_client(self.url), _login(self.url), deed).deliver(letter)
        return str(message["Message-ID"])

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = self._contact()
        if [one.addr_spec for one in message["To"].addresses] != [self._contact()]:
            # `Mira:eve@x.example` is a group that contains another address.
            raise ConnectorNo(
                f"The address known for this customer, {self._contact()!r}, is not one "
                "plain address, so nothing was sent."
            )
        # A line break would let a text add its own headers.
        message["Subject"] = " ".join(mail.subject.split())
        message["Message-ID"] = message_id(self.key, self.sender)
        message["Date"] = formatdate()
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        return message

    def _contact(self) -> str:
        if not self.actor.contact:
            raise ConnectorNo(
                "This run knows no address of the customer, so nothing was sent."
            )
        return self.actor.contact


def message_id(key: str, sender: str) -> str:
    """Return the Message-ID of an effect's mail, the same in every attempt."""
    return f"<{mail_name(key)}@{sender.rpartition('@')[2]}>"


def _client(url: str) -> aiosmtplib.SMTP:
    parts = urlsplit(url)
    return aiosmtplib.SMTP(
        hostname=parts.hostname or "127.0.0.1",
        port=parts.port or (465 if parts.scheme == "smtps" else 25),
        use_tls=parts.scheme == "smtps",
        timeout=8,
    )


def _login(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    if not parts.username:
        return None
    return unquote(parts.username), unquote(parts.password or "")
