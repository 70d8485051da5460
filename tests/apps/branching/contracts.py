"""The contracts of workflows with a `run` of their own."""

from pydantic import BaseModel

from tests.apps.desk import contracts as desk


class Kind(BaseModel):
    """What a ticket is about."""

    kind: str


BRANCHING = desk.DESK.model_copy(update={"name": "branching"})
THOROUGH = desk.DESK.model_copy(update={"name": "thorough"})
