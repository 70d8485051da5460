"""Tools that come by cards: declared, undeclared, and in a subclass."""

from pydantic import BaseModel

from keyturn import ToolContext, tool
from tests.apps.desk.tools import NO_UNDO
from tests.apps.discreet.contracts import Card, Payment


class Find(BaseModel):
    account_id: str


class Account(BaseModel):
    account_id: str
    card: Card = ""
    payments: list[Payment] = []


class WithMore(Account):
    secret_number: str = ""


class Closed(BaseModel):
    receipt: str
    card: Card = ""


async def _account(call: Find, context: ToolContext) -> Account:
    found = await context.connectors.reader("bank").get(f"/{call.account_id}")
    return WithMore.model_validate(found)


@tool(authority="read_only", owner="tests", description="Find an account.")
async def find_account(call: Find, context: ToolContext) -> Account:
    return await _account(call, context)


@tool(
    authority="irreversible",
    undo=NO_UNDO,
    owner="tests",
    description="Close an account.",
    subject="account_id",
    preview=_account,
)
async def close_account(call: Find, context: ToolContext) -> Closed:
    account = await _account(call, context)
    await context.connectors.writer("bank").post("/closed", {"id": call.account_id})
    return Closed(receipt="done", card=account.card)
