"""The contract, and the switch that a test turns: contracts are loaded once."""

from tests.apps.desk import contracts as desk

SHIFTING = desk.DESK.model_copy(update={"name": "shifting"})
# While anything is in it, the workflow's code is another than the one that began.
DEPLOYED: set[str] = set()
