"""Mail over SMTP, to the run's own contact, under a stable Message-ID."""

from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import aiosmtplib

from activities.toolbox import Actor
from orchestrator.connector import Mail, NotSent, mail_name
from orchestrator.tool import ToolError

_REFUSED_FOR_GOOD = 500


@dataclass(frozen=True)
class SmtpMailer:
    """Sends mail for one effect."""

    url: str
    sender: str
    actor: Actor
    key: str

    async def send(self, mail: Mail) -> str:
        """Return the Message-ID, the same for every attempt of one effect.

        Raises `ToolError` where the server refused it or there is nobody to write to,
        `NotSent` where the server was never reached; else the outcome is unknown.
        """
        try:
            message = self._message(mail)
        except ValueError as error:
            raise ToolError(
                f"This mail cannot be written, so nothing was sent: {error}"
            ) from error
        smtp = _client(self.url)
        try:
            await smtp.connect()
        except (aiosmtplib.SMTPConnectError, OSError) as error:
            raise NotSent(f"The mail server cannot be reached: {error}") from error
        try:
            # Exactly the contact, whatever a header's syntax makes of it (P14).
            await smtp.send_message(message, recipients=[self._contact()])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise ToolError(f"The mail server refused the address: {error}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error) from error
        finally:
            smtp.close()
        return str(message["Message-ID"])

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self.sender
        message["To"] = self._contact()
        if [one.addr_spec for one in message["To"].addresses] != [self._contact()]:
            # `Mira:eve@x.example` is a group, with another's address in it.
            raise ToolError(
                f"The address known for this customer, {self._contact()!r}, is not one "
                "plain address, so nothing was sent."
            )
        # A line break would let a text write headers of its own.
        message["Subject"] = " ".join(mail.subject.split())
        message["Message-ID"] = message_id(self.key, self.sender)
        message["Date"] = formatdate()
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        return message

    def _contact(self) -> str:
        if not self.actor.contact:
            raise ToolError(
                "This run knows no address of the customer, so nothing was sent."
            )
        return self.actor.contact


def message_id(key: str, sender: str) -> str:
    """Return the Message-ID that an effect's mail has, in every attempt."""
    return f"<{mail_name(key)}@{sender.rpartition('@')[2]}>"


def _refusal(error: aiosmtplib.SMTPResponseException) -> Exception:
    """Tell a definite no from an answer that leaves the outcome open."""
    if error.code >= _REFUSED_FOR_GOOD:
        return ToolError(f"The mail server refused it: {error.code} {error.message}")
    return NotSent(f"The mail server put it off: {error.code} {error.message}")


def _client(url: str) -> aiosmtplib.SMTP:
    parts = urlsplit(url)
    return aiosmtplib.SMTP(
        hostname=parts.hostname or "127.0.0.1",
        port=parts.port or (465 if parts.scheme == "smtps" else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=8,
    )
