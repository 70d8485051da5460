"""A contract of a workflow that asks, branches and acts."""

from pydantic import BaseModel

from tests.apps.desk import contracts as desk


class Kind(BaseModel):
    """What a ticket is about."""

    kind: str


BRANCHING = desk.DESK.model_copy(update={"name": "branching"})
