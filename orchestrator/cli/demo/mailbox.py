"""A demo mailbox: accepts every mail over SMTP and shows it on a page.

`python -m keyturn.orchestrator.cli.demo.mailbox --smtp-port N --port N --data-dir D` keeps mails
in a Maildir and forwards none.
"""

import argparse
import asyncio
import html
import mailbox
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import TypedDict

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

HOST = "127.0.0.1"
IDENT = "Keyturn demo mailbox"
MAILS_A_PAGE = 200
# The envelope's addresses, stored beside the mail's own headers.
FROM, TO = "X-Envelope-From", "X-Envelope-To"
# The page shows text that models wrote; it may load and run nothing.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
article{border:1px solid #8886;border-radius:8px;padding:1rem 1.25rem;margin:1rem 0}
h2{font-size:1.05rem;margin:0 0 .25rem}p{margin:0;color:#777}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:.75rem 0 0}
"""


class Mail(TypedDict):
    """One mail, as the page and the JSON show it."""

    id: str
    received: str
    sender: str
    to: str
    subject: str
    message_id: str
    body: str


@dataclass(frozen=True)
class Box:
    """The mails in a folder; each is on the disk before the sender reads "accepted"."""

    folder: Path

    def save(self, envelope: Envelope) -> None:
        """Store a mail."""
        mail = mailbox.MaildirMessage(
            message_from_bytes(envelope.original_content or b"")
        )
        del mail[FROM], mail[TO]
        mail[FROM] = envelope.mail_from or ""
        mail[TO] = ", ".join(str(address) for address in envelope.rcpt_tos)
        self._maildir().add(mail)

    def mails(self) -> list[Mail]:
        """Return every mail, newest first."""
        box = self._maildir()
        found = [_shown(key, box) for key in box.iterkeys()]
        return sorted(found, key=lambda mail: mail["received"], reverse=True)

    def _maildir(self) -> mailbox.Maildir:
        return mailbox.Maildir(self.folder / "box")


class Acceptor:
    """The handler that aiosmtpd calls for each mail."""

    def __init__(self, box: Box) -> None:
        """Take the box that stores mails."""
        self._box = box

    async def handle_DATA(  # noqa: N802 aiosmtpd requires this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store the mail and confirm it."""
        del server, session
        try:
            await asyncio.to_thread(self._box.save, envelope)
        except OSError as error:
            return f"452 Cannot be stored now: {error.strerror}"
        return "250 Stored in the demo mailbox"


def build(box: Box) -> FastAPI:
    """Return the page and its JSON."""
    app = FastAPI(title="Keyturn's demo mailbox", openapi_url=None)

    def page() -> HTMLResponse:
        return HTMLResponse(_page(box.mails()), headers=HEADERS)

    def listing() -> JSONResponse:
        return JSONResponse({"items": box.mails()}, headers=HEADERS)

    def log(since: datetime, cursor: int = 0) -> JSONResponse:
        """Answer with what was taken since then, as a mail server's log does."""
        mails = [m for m in box.mails()[::-1] if _received(m) >= since.timestamp()]
        shown = mails[cursor : cursor + MAILS_A_PAGE]
        is_last = cursor + MAILS_A_PAGE >= len(mails)
        body = {
            "mails": [
                {
                    "message_id": mail["message_id"] or mail["id"],
                    "sender": mail["sender"],
                    "at": mail["received"],
                }
                for mail in shown
            ],
            "next": None if is_last else str(cursor + MAILS_A_PAGE),
        }
        return JSONResponse(body, headers=HEADERS)

    app.add_api_route("/", page, methods=["GET"])
    app.add_api_route("/log", log, methods=["GET"])
    app.add_api_route("/mails", listing, methods=["GET"])
    app.add_api_route("/healthz", lambda: {"status": "ok"}, methods=["GET"])
    return app


async def serve(box: Box, *, smtp_port: int, port: int) -> None:
    """Accept mails and show them until the process is stopped."""
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(
        lambda: SMTP(Acceptor(box), enable_SMTPUTF8=True, ident=IDENT),
        HOST,
        smtp_port,
    )
    async with smtp:
        config = uvicorn.Config(
            build(box),
            host=HOST,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
        await uvicorn.Server(config).serve()


def _received(mail: Mail) -> float:
    return datetime.fromisoformat(mail["received"]).timestamp()


def _shown(key: str, box: mailbox.Maildir) -> Mail:
    content = box.get_bytes(key)
    mail = message_from_bytes(content, policy=policy.default)
    received = datetime.fromtimestamp(box.get_message(key).get_date(), UTC)
    return Mail(
        id=key,
        received=received.isoformat(),
        sender=str(mail[FROM]),
        to=str(mail[TO]),
        subject=str(mail["Subject"] or ""),
        message_id=str(mail["Message-ID"] or ""),
        body=_body(mail),
    )


def _body(mail: EmailMessage) -> str:
    part = mail.get_body(preferencelist=("plain", "html"))
    try:
        return str(part.get_content()) if part else ""
    except (LookupError, ValueError):
        return "(cannot be shown: its encoding is invalid)"


def _page(mails: list[Mail]) -> str:
    shown = "".join(map(_article, mails)) or "<p>No mail yet.</p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>Demo mailbox</title><style>{STYLE}</style>"
        f"<h1>Demo mailbox</h1><p>This mailbox forwards no mail.</p>{shown}</html>"
    )


def _article(mail: Mail) -> str:
    safe = {name: html.escape(str(value)) for name, value in mail.items()}
    received = datetime.fromisoformat(mail["received"])
    return (
        f"<article><h2>{safe['subject'] or '(no subject)'}</h2>"
        f"<p>To {safe['to']} · from {safe['sender']} · "
        f"<time>{received:%Y-%m-%d %H:%M} UTC</time></p><pre>{safe['body']}</pre></article>"
    )


def main() -> None:
    """Run the mailbox as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m keyturn.orchestrator.cli.demo.mailbox"
    )
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    given.data_dir.mkdir(parents=True, exist_ok=True)
    box = Box(given.data_dir)
    asyncio.run(serve(box, smtp_port=given.smtp_port, port=given.port))


if __name__ == "__main__":
    main()
