"""The contract of a workflow that fails."""

from tests.apps.desk import contracts as desk

FAULTY = desk.DESK.model_copy(update={"name": "faulty"})
