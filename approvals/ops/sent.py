"""Whether a form was carried out, for the script that stores unsent forms."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from keyturn.approvals.web import routing, submission
from keyturn.approvals.web.page import PageDep

router = routing.of_pages()


class Sent(BaseModel):
    """The page a form led to; None if it was not carried out."""

    led: str | None


@router.get("/sent")
async def sent(page: PageDep, form: Annotated[str, Query(max_length=64)] = "") -> Sent:
    """Return the result of the form with this key to the person who sent it."""
    led = await submission.outcome(
        page.parts.store, person=page.visitor.person.id, key=form
    )
    return Sent(led=led)
