"""Demo people of each role, with passwords and tokens made once."""

import secrets

from pydantic import BaseModel, JsonValue

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.people.errors import EmailTaken
from keyturn.orchestrator.store.tenants.tenants import DEFAULT

FILE = "people.json"
AGENT, LEAD = "agent", "lead"
SERVICE = "service"
# Two for each role that approves or invites: both may require two people.
WANTED: tuple[tuple[str, Role], ...] = (
    ("Ada Agent", "agent"),
    ("Ben Agent", "agent"),
    ("Lea Lead", "lead"),
    ("Leo Lead", "lead"),
    ("Olga Operator", "operator"),
    ("Dev Developer", "developer"),
    ("Aud Auditor", "auditor"),
    ("Max Admin", "admin"),
    ("Mia Admin", "admin"),
)


class SignIn(BaseModel):
    """How one demo person signs in; a service has a token alone."""

    name: str
    role: str
    email: str
    password: str | None
    token: str


async def ensure(data: Data, store: Store) -> list[SignIn]:
    """Return everyone's sign-ins; adds missing people."""
    kept = [SignIn.model_validate(one) for one in _listed(data.load(FILE))]
    known = {one.email: one for one in kept}
    found: list[SignIn] = []
    for name, role in WANTED:
        email = f"{name.split()[0].lower()}@example.com"
        one = known.get(email) or await _add(store, name, role, email)
        found.append(await _with_token(store, one))
    email = "help-desk@example.com"
    found.append(known.get(email) or await _add_service(store, "Help desk", email))
    data.save(FILE, [one.model_dump(mode="json") for one in found])
    return found


def of_role(everyone: list[SignIn], role: str) -> SignIn:
    """Return the first person of a role."""
    return next(one for one in everyone if one.role == role)


async def _add(store: Store, name: str, role: Role, email: str) -> SignIn:
    password = secrets.token_urlsafe(9)
    new = NewPerson(name=name, email=email, role=role)
    try:
        person = (await accounts.add(store, new, password=password)).id
        await person_accounts.waive_first_day(store, person, by="keyturn dev")
    except EmailTaken:
        # The previous start ended between the account and the file.
        person = await _id(store, email)
        await accounts.set_password(store, person, password, by="system")
    token = await tokens.create(store, person, name="keyturn dev", by="system")
    return SignIn(name=name, role=role, email=email, password=password, token=token)


async def _with_token(store: Store, one: SignIn) -> SignIn:
    """Return a sign-in with a valid token; one of a deciding role expires in days."""
    if await tokens.find(store, one.token) is not None:
        return one
    person = await _id(store, one.email)
    if not person:
        return one
    token = await tokens.create(store, person, name="keyturn dev", by="system")
    return one.model_copy(update={"token": token})


async def _add_service(store: Store, name: str, email: str) -> SignIn:
    new = NewPerson(name=name, email=email, role="agent", kind="service")
    try:
        person = (await accounts.add(store, new, password=None)).id
    except EmailTaken:
        person = await _id(store, email)
    token = await tokens.create(
        store, person, name="keyturn dev", by="system", tenants=(DEFAULT,)
    )
    return SignIn(name=name, role=SERVICE, email=email, password=None, token=token)


async def _id(store: Store, email: str) -> str:
    async with store.read() as session:
        row = await person_accounts.by_email(session, email)
    return row.id if row else ""


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
