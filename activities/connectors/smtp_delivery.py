"""One delivery over SMTP, command by command: each knows what its failure means."""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import NoReturn

import aiosmtplib
from aiosmtplib.email import flatten_message
from aiosmtplib.protocol import normalize_message_line_endings

from keyturn.activities.connectors import smtp_answers, words
from keyturn.activities.connectors.smtp_answers import Stage
from keyturn.orchestrator.rules.contract.connector import Deed, Known, NotKnown, NotSent
from keyturn.orchestrator.rules.contract.tool import ConnectorNo

START_INPUT = 354
_LEADING_PERIOD = re.compile(rb"(?m)^\.")


class _NoLogin(Exception):
    """A login is configured, and the server offers none."""


@dataclass(frozen=True)
class Letter:
    """A mail from one address to another."""

    sender: str
    to: str
    message: EmailMessage

    @property
    def is_international(self) -> bool:
        """Return whether an address requires SMTPUTF8."""
        return not (self.sender + self.to).isascii()


@dataclass
class Delivery:
    """One connection to a mail server, which reports to `deed`.

    `login` is the user's name and password, if there is one.
    """

    smtp: aiosmtplib.SMTP
    login: tuple[str, str] | None
    deed: Deed
    stage: Stage = Stage.CONNECT

    async def deliver(self, letter: Letter) -> None:
        """Return once the server has taken the mail.

        Raises `ToolError`, `NotSent` and `NotKnown` by the table in `smtp_answers`.
        """
        self.deed.known = Known.NOT_SENT
        try:
            await self._greet()
            await self._address(letter)
            await self._hand_over(letter)
        except aiosmtplib.SMTPResponseException as error:
            self.deed.known = smtp_answers.known_of(self.stage, error.code)
            self._fail(f"{error.code} {error.message}", error)
        except (_NoLogin, ssl.SSLCertVerificationError) as error:
            self.deed.known = Known.NEEDS_REPAIR
            self._fail(str(error), error)
        except ValueError as error:
            # No command can carry this address.
            self.deed.known = Known.REFUSED
            self._fail(str(error), error)
        except (aiosmtplib.SMTPException, OSError) as error:
            self.deed.known = smtp_answers.known_of_cut(self.stage)
            self._fail(str(error), error)
        finally:
            self.smtp.close()
        self.deed.known, self.deed.has_document = Known.ACTED, True

    async def _greet(self) -> None:
        await self.smtp.connect()
        if self.smtp.is_ehlo_or_helo_needed:
            try:
                await self.smtp.ehlo()
            except aiosmtplib.SMTPHeloError:
                await self.smtp.helo()
        if self.login is None:
            return
        self.stage = Stage.LOGIN
        if not self.smtp.supported_auth_methods:
            # A password is set for it: without login the mail has another sender.
            raise _NoLogin("it offers none, and a user is set in KEYTURN_SMTP_URL")
        await self.smtp.login(*self.login)

    async def _address(self, letter: Letter) -> None:
        encoding = "utf-8" if letter.is_international else "ascii"
        self.stage = Stage.SENDER
        if letter.is_international and not self.smtp.supports_extension("smtputf8"):
            raise ValueError(
                f"{letter.to!r} takes SMTPUTF8, which the server does not offer"
            )
        await self.smtp.mail(
            letter.sender, options=self._options(letter), encoding=encoding
        )
        self.stage = Stage.RECIPIENT
        await self.smtp.rcpt(letter.to, encoding=encoding)

    def _options(self, letter: Letter) -> Sequence[str]:
        options = ["BODY=8BITMIME"] if self._takes_8bit() else []
        return [*options, "SMTPUTF8"] if letter.is_international else options

    def _takes_8bit(self) -> bool:
        return self.smtp.supports_extension("8bitmime")

    async def _hand_over(self, letter: Letter) -> None:
        self.stage = Stage.DATA
        content = self._content(letter)
        code, text = await self.smtp.execute_command(b"DATA")
        protocol = self.smtp.protocol
        if code != START_INPUT or protocol is None:
            raise aiosmtplib.SMTPDataError(code, text)
        self.stage, self.deed.known = Stage.CONTENT, Known.NOT_KNOWN
        protocol.write(content)
        code, text = await protocol.read_response(timeout=self.smtp.timeout)
        if smtp_answers.known_of(Stage.CONTENT, code) is not Known.ACTED:
            raise aiosmtplib.SMTPDataError(code, text)

    def _content(self, letter: Letter) -> bytes:
        flat = flatten_message(
            letter.message,
            utf8=letter.is_international,
            cte_type="8bit" if self._takes_8bit() else "7bit",
        )
        stuffed = _LEADING_PERIOD.sub(b"..", normalize_message_line_endings(flat))
        return stuffed + b".\r\n"

    def _fail(self, why: str, error: Exception) -> NoReturn:
        told = words.clean(why) or type(error).__name__
        stage = self.stage
        self.deed.words = f"{stage}: {told}"
        match self.deed.known:
            case Known.REFUSED:
                raise ConnectorNo(
                    f"The mail server refused {stage}, so nothing was sent: {told}"
                ) from error
            case Known.NEEDS_REPAIR:
                raise NotSent(
                    f"The mail server refused {stage}: {told}",
                    answered=True,
                    alarm=f"the mail server refuses {stage}",
                ) from error
            case Known.NOT_SENT if isinstance(error, aiosmtplib.SMTPResponseException):
                put_off = f"The mail server put off {stage}: {told}"
                raise NotSent(put_off, answered=True) from error
            case Known.NOT_SENT:
                raise NotSent(
                    f"The mail server gave no answer to {stage}: {told}"
                ) from error
            case _:
                raise NotKnown(
                    f"Nobody knows whether the mail was taken: {told}"
                ) from error
