"""Notices by mail, through a server that is not the one for effects."""

import hashlib
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import aiosmtplib
from pydantic import BaseModel, ConfigDict

from keyturn.approvals.notify.errors import NotDelivered

TIMEOUT_S = 10.0
REFUSED_FOR_GOOD = 500


class Letter(BaseModel):
    """One mail to one person; `id` is the same in every try."""

    model_config = ConfigDict(frozen=True)

    id: str
    to: str
    subject: str
    body: str


class Mailer:
    """Sends letters through the server of `KEYTURN_NOTICE_SMTP_URL`."""

    def __init__(self, url: str, sender: str) -> None:
        """Take `smtp://` or `smtps://`, and the address that mails come from."""
        self._url = url
        self._sender = sender

    async def send(self, letter: Letter) -> None:
        """Hand a letter to the mail server, or raise `NotDelivered`."""
        smtp = _client(self._url)
        try:
            message = self._message(letter)
            await smtp.connect()
            # Exactly this recipient, however a header would parse the address.
            await smtp.send_message(message, recipients=[letter.to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [one.code for one in error.recipients]
            for_good = all(code >= REFUSED_FOR_GOOD for code in codes)
            words = "the mail server refused the person's address"
            raise NotDelivered(words, for_good=for_good) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(f"the mail server failed: {error}") from None
        finally:
            smtp.close()

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = letter.to
        if [one.addr_spec for one in message["To"].addresses] != [letter.to]:
            words = "the person's address is not a single plain address"
            raise NotDelivered(words, for_good=True)
        message["Subject"] = " ".join(letter.subject.split())
        name = hashlib.sha256(letter.id.encode()).hexdigest()[:32]
        message["Message-ID"] = f"<notice-{name}@{self._sender.rpartition('@')[2]}>"
        message["Date"] = formatdate()
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.body)
        return message


def _client(url: str) -> aiosmtplib.SMTP:
    parts = urlsplit(url)
    return aiosmtplib.SMTP(
        hostname=parts.hostname or "127.0.0.1",
        port=parts.port or (465 if parts.scheme == "smtps" else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=TIMEOUT_S,
    )
