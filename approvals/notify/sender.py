"""The sender: delivers notices to people and programs in the background.

Delivery is at least once: if a sender dies after sending and before recording it, its
claim expires and the notice is sent again under the same id.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

import structlog

from keyturn.approvals.notify import contents, own_account
from keyturn.approvals.notify.errors import Gone, NotDelivered
from keyturn.approvals.notify.mail import Letter, Mailer
from keyturn.approvals.notify.recipients import Planner
from keyturn.approvals.notify.webhook import Message, Poster
from keyturn.orchestrator.rules import pace
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.notice import ACCOUNT_KINDS
from keyturn.orchestrator.rules.pace import Every, Pace
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices import fan_out, queue, webhooks
from keyturn.orchestrator.store.notices.queue import Batch
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    NoticeRow,
    PersonRow,
    WebhookRow,
)

LOOK_S = 1.0
# Notices that workers commit are found at this interval.
LOOKS = Pace(busy_s=LOOK_S, idle_s=2.0)
TIDY_EVERY_S = 600.0
AT_ONCE = 20
LARGEST_LIST = 20
log = structlog.get_logger()


@dataclass
class Sender:
    """Sends due notices; any web process may run it and may die while it does."""

    store: Store
    settings: Settings
    poster: Poster
    mailer: Mailer | None
    _sending: dict[str, asyncio.Task[None]] = field(
        default_factory=dict[str, "asyncio.Task[None]"]
    )
    _tidying: Every = field(default_factory=lambda: Every(TIDY_EVERY_S))

    @classmethod
    def of(cls, settings: Settings, store: Store) -> Self:
        """Return the sender that the settings describe."""
        smtp = settings.notice_smtp_url
        mailer = Mailer(smtp.get_secret_value(), settings.notice_from) if smtp else None
        return cls(store, settings, Poster(private=settings.webhook_private), mailer)

    async def forever(self) -> None:
        """Send notices when they fall due, for ever."""
        try:
            await pace.repeat(self._look, pace=LOOKS, bell=self.store.audited)
        finally:
            for task in self._sending.values():
                task.cancel()

    async def start_due(self) -> int:
        """Begin to send due notices; return the number of recipients."""
        while await fan_out.fan_out(self.store, Planner(mails=self.mailer is not None)):
            pass
        batches = await queue.claim(
            self.store, busy=set(self._sending), limit=AT_ONCE - len(self._sending)
        )
        for batch in batches:
            task = asyncio.create_task(self._send(batch))
            self._sending[batch.target] = task
            task.add_done_callback(lambda _, to=batch.target: self._sending.pop(to))
        return len(batches)

    async def send_due(self) -> None:
        """Try all notices that are due now, and return when that is finished."""
        while await self.start_due():
            await asyncio.gather(*self._sending.values())

    async def close(self) -> None:
        """Close the connections."""
        await self.poster.close()

    async def _look(self) -> bool:
        """Send until nothing is due or under way; return whether anything was due."""
        found = False
        try:
            while await self.start_due() or self._sending:
                found = True
                await self._await_place()
            if self._tidying.is_due():
                await queue.forget(self.store)
        except StoreUnavailable as error:
            log.warning("notices.store_away", error=str(error))
        return found

    async def _await_place(self) -> None:
        """Wait until another notice may be sent, at most one second."""
        if tasks := list(self._sending.values()):
            await asyncio.wait(
                tasks, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
            )

    async def _send(self, batch: Batch) -> None:
        try:
            await self._try(batch)
        except StoreUnavailable as error:
            # Its claim expires, and it is sent again.
            log.warning("notices.store_away", error=str(error))

    async def _try(self, batch: Batch) -> None:
        try:
            if batch.channel == "webhook":
                await self._post(batch)
            else:
                await self._mail(batch)
        except StoreUnavailable:
            raise
        except Gone as error:
            await webhooks.disable(self.store, batch.target, because=str(error))
        except NotDelivered as error:
            await queue.failed(
                self.store, batch.ids, error=str(error), for_good=error.for_good
            )
        except Exception as error:
            # Any error: the other recipients still get their notices.
            log.exception("notices.failed", target=batch.target)
            words = f"an internal error: {type(error).__name__}"
            await queue.failed(self.store, batch.ids, error=words)

    async def _post(self, batch: Batch) -> None:
        [row] = batch.rows
        key = self.settings.secret_key
        async with self.store.read() as session:
            hook = await session.get(WebhookRow, batch.target)
            if hook is None or hook.disabled_at is not None or key is None:
                raise NotDelivered(_why_no_post(hook), for_good=True)
            more = (
                await contents.arguments(session, row.approval)
                if hook.with_arguments
                else {}
            )
            now = await session.read_clock()
        message = Message(
            id=f"msg_{row.id}",
            url=hook.url,
            body=contents.body(row, self.settings, more),
            secrets=tuple(webhooks.secrets_of(key.get_secret_value(), hook, now=now)),
        )
        await self.poster.post(message)
        await queue.sent(self.store, batch.ids)

    async def _mail(self, batch: Batch) -> None:
        async with self.store.read() as session:
            person = await session.get(PersonRow, batch.target)
            current = [
                row for row in batch.rows if await _is_current(session, person, row)
            ]
        if person is None or person.disabled_at is not None or self.mailer is None:
            await self._settle(
                batch.ids, why="the person no longer gets mail about this"
            )
            return
        kept = {row.id for row in current}
        await self._settle(
            [one for one in batch.ids if one not in kept],
            why="it no longer needs attention",
        )
        if current:
            is_own = current[0].kind in ACCOUNT_KINDS
            write = own_account.letter if is_own else _letter
            await self.mailer.send(write(person, current, self.settings))
            await queue.sent(self.store, [one for one in batch.ids if one in kept])

    async def _settle(self, ids: Collection[int], *, why: str) -> None:
        if ids:
            await queue.sent(self.store, ids, why=why)


def _why_no_post(hook: WebhookRow | None) -> str:
    if hook is None:
        return "the webhook was removed"
    if hook.disabled_at is not None:
        return "the webhook is disabled; enable it, then send this again"
    return "KEYTURN_SECRET_KEY is not set, so nothing can be signed"


async def _is_current(session: Tx, person: PersonRow | None, row: NoticeRow) -> bool:
    """Tell whether the person can still act on the event."""
    if person is None or person.tenant not in (None, row.tenant):
        return False
    if row.approval is None or row.kind == "approval.expired":
        return True
    approval = await session.get(ApprovalRow, row.approval)
    return approval is not None and approval.status == "pending"


def _letter(person: PersonRow, rows: list[NoticeRow], settings: Settings) -> Letter:
    lines = [
        f"{contents.line(row.payload, row.kind)}\n{contents.link(settings, row.payload)}"
        for row in rows[:LARGEST_LIST]
    ]
    left = len(rows) - LARGEST_LIST
    lines += [f"And {left} more."] if left > 0 else []
    home = contents.base(settings)
    foot = f"The links only open pages; you decide there.\n{home}/inbox\n"
    foot += f"Change what you are mailed about: {home}/notices"
    subject = (
        contents.headline(rows[0].payload, rows[0].kind)
        if len(rows) == 1
        else f"{len(rows)} items wait for you"
    )
    return Letter(
        id=f"{person.id}:{rows[0].id}",
        to=person.email,
        subject=f"Keyturn: {subject}",
        body="\n\n".join([*lines, foot]) + "\n",
    )
