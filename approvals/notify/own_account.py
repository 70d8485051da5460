"""Mail to a person about their own account: the change, its origin, what to do.

Either they did it themselves or an intruder did: the mail says how to tell the two
apart and how to lock an intruder out.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import JsonValue

from keyturn.approvals.notify import contents
from keyturn.approvals.notify.contents import Payload
from keyturn.approvals.notify.mail import Letter
from keyturn.approvals.view.untrusted import visible
from keyturn.approvals.view.wording import browser
from keyturn.orchestrator.rules.notice import ACCOUNT_KINDS, AccountKind
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices.fan_out import Event
from keyturn.orchestrator.store.tables import NoticeRow, PersonRow

# Changes that our own process made to the demo's accounts need no mail.
SYSTEM = "system"
_BOTH = "You were signed out everywhere, and all your tokens were revoked."
_FOOT = """\
If this was you, there is nothing to do.

If it was not, somebody else is using your account:
1. Open {home}/settings and press “Sign out everywhere else”. It ends every
   other session and revokes all your tokens.
2. Change your password there. If you sign in through another service, change
   it at that service.
3. Tell an admin. If you cannot sign in any more, tell an admin at once: they
   can close your account.

You get this mail whatever mail settings you chose.
"""


async def owners(session: Tx, event: Event) -> set[str]:
    """Return the id of the person to mail about an event's account.

    A service reads no mail: the person who made its token gets it.
    """
    if event.actor == SYSTEM:
        return set()
    owner = event.payload.get("person", event.subject)
    row = await session.get(PersonRow, owner)
    return {event.actor if row is not None and row.kind == "service" else str(owner)}


async def payload(session: Tx, event: Event) -> Payload:
    """Return the payload of an event's notice."""
    person = str(event.payload.get("person", event.subject))
    row = await session.get(PersonRow, person)
    actor = await session.get(PersonRow, event.actor)
    is_service = row is not None and row.kind == "service"
    is_self = event.actor == person or is_service
    by: JsonValue = None if is_self else actor.name if actor else _outside(event.actor)
    names = ("address", "browser")
    if event.kind == "token.created":
        names += ("name", "scopes", "ends_at")
    kept = {name: event.payload.get(name) for name in names}
    service: Payload = {"service": row.name} if row is not None and is_service else {}
    at = event.at.isoformat()
    return {"at": at, "by": by, "path": "/settings", **kept, **service}


def _outside(actor: str) -> str:
    """Return an actor without an account: `keyturn` on the server."""
    where, colon, who = actor.partition(":")
    return f"{who}, on the server" if colon and where == "cli" else actor


def letter(person: PersonRow, rows: Sequence[NoticeRow], settings: Settings) -> Letter:
    """Return the mail about these events of the person's own account."""
    parts = [_about(row) for row in rows]
    one = _SUBJECTS[_kind(rows[0])](rows[0].payload)
    subject = one if len(rows) == 1 else f"{len(rows)} changes to your account"
    foot = _FOOT.format(home=contents.base(settings))
    return Letter(
        id=f"{person.id}:{rows[0].id}",
        to=person.email,
        subject=f"Keyturn: {subject}",
        body="\n\n".join([*parts, foot]),
    )


def _kind(row: NoticeRow) -> AccountKind:
    for one in ACCOUNT_KINDS:
        if one == row.kind:
            return one
    raise ValueError(f"A notice of the kind {row.kind!r} is about no account.")


def _about(row: NoticeRow) -> str:
    kind = _kind(row)
    what = _SUBJECTS[kind](row.payload)
    lines = [f"{what[:1].upper()}{what[1:]}.", *_MORE[kind](row.payload)]
    return "\n".join([*lines, _when(row.payload)])


def _token(details: Payload) -> list[str]:
    scopes = details.get("scopes")
    names = [str(one) for one in scopes] if isinstance(scopes, list) else []
    end = details.get("ends_at")
    may = "everything you may do" if "*" in names else ", ".join(names) or "nothing"
    return [
        f"For: “{visible(str(details.get('name')))}”",
        f"May: {may}",
        f"Expires: {_minute(end) if end else 'never'}",
    ]


def _when(details: Payload) -> str:
    by = details.get("by")
    words = f"When: {_minute(details['at'])}, by {visible(str(by)) if by else 'you'}"
    if details.get("address"):
        words += f", from {details['address']}"
    if details.get("browser"):
        words += f", with “{visible(browser(str(details['browser'])))}”"
    return words


def _minute(at: JsonValue) -> str:
    return f"{datetime.fromisoformat(str(at)):%Y-%m-%d %H:%M} UTC"


def _acts_as(details: Payload) -> str:
    service = details.get("service")
    who = f"the service {visible(str(service))}" if service else "you"
    return f"a new API token acts as {who}"


_SUBJECTS: dict[AccountKind, Callable[[Payload], str]] = {
    "token.created": _acts_as,
    "person.password_set": lambda _: "your password was changed",
    "person.password_reset": lambda _: "an admin set a new password for you",
    "person.password_removed": lambda _: "an admin removed your password",
    "session.ended_everywhere": lambda _: "you were signed out everywhere",
}
_MORE: dict[AccountKind, Callable[[Payload], list[str]]] = {
    "token.created": _token,
    "person.password_set": lambda _: [
        "Every other browser was signed out, and all your tokens were revoked."
    ],
    "person.password_reset": lambda _: [
        _BOTH,
        "Another admin confirmed it. You cannot decide anything for a day.",
    ],
    "person.password_removed": lambda _: [
        _BOTH,
        "You now sign in through your organisation's sign-in service, and cannot "
        "decide anything for a day.",
    ],
    "session.ended_everywhere": lambda _: [
        "All your tokens were revoked. Programs that used them need new ones."
    ],
}
