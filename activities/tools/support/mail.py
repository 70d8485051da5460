"""Mail to the customer, at the address known when the run began."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from keyturn import Mail, ToolContext, ToolError, tool
from keyturn.activities.tools.support.shop import customer_of
from keyturn.orchestrator.rules.contract.marks import Prose


class EmailCustomer(BaseModel):
    """What to write; to whom is not a model's to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Annotated[str, Prose()] = Field(min_length=1, max_length=200)
    body: Annotated[str, Prose()] = Field(
        min_length=1, max_length=10_000, description="Plain text"
    )


class MailFacts(BaseModel):
    """Who gets it, for whoever approves."""

    model_config = ConfigDict(frozen=True)

    to: str
    customer: str
    is_address_on_file: bool


class MailReceipt(BaseModel):
    """That the mail server took it."""

    model_config = ConfigDict(frozen=True)

    message_id: str


async def mail_facts(call: EmailCustomer, context: ToolContext) -> MailFacts:
    """Return the recipient, and whether the shop has the same address on file."""
    del call
    if not context.contact:
        raise ToolError("This ticket came without an address, so no mail can be sent.")
    customer = await customer_of(context)
    return MailFacts(
        to=context.contact,
        customer=customer.name,
        is_address_on_file=customer.email.casefold() == context.contact.casefold(),
    )


@tool(
    authority="irreversible",
    owner="support-platform",
    audience="customer",
    preview=mail_facts,
)
async def email_customer(call: EmailCustomer, context: ToolContext) -> MailReceipt:
    """Write to this customer; it goes to the address known for them, nowhere else.

    It is held until the other actions of the same turn are done.
    """
    mail = Mail(subject=call.subject, body=call.body)
    return MailReceipt(message_id=await context.connectors.mailer().send(mail))
