"""Whether a form was carried out: for the script that keeps what could not be sent."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from keyturn.approvals.web import routing, submission
from keyturn.approvals.web.page import PageDep

router = routing.of_pages()


class Sent(BaseModel):
    """Where a form led; None where it was not carried out."""

    led: str | None


@router.get("/sent")
async def sent(page: PageDep, form: Annotated[str, Query(max_length=64)] = "") -> Sent:
    """Tell what came of the form with this key, to whom it belongs."""
    led = await submission.outcome(
        page.parts.store, person=page.visitor.person.id, key=form
    )
    return Sent(led=led)
