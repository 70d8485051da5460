"""The keys of a development installation, made at its first start."""

import secrets

from pydantic import BaseModel, Field, ValidationError

from keyturn.orchestrator.cli.dev.data import Data
from keyturn.orchestrator.processes import payload_keys as processes_payload_keys
from keyturn.orchestrator.rules.authority import binding

FILE = "secrets.json"


class Secrets(BaseModel):
    """What signs decisions and sessions, and what opens the demo shop."""

    secret_key: str
    decision_key: str
    payments_key: str
    # Reads the shop's statement.
    statement_key: str = Field(default_factory=lambda: secrets.token_urlsafe(32))
    # A new value would make the previous start's runs unreadable: it is made only once.
    payload_keys: str = Field(default_factory=processes_payload_keys.new_keys)


def of(data: Data) -> Secrets:
    """Return the keys in the data folder, made at the first call."""
    kept = data.load(FILE)
    if kept is not None:
        try:
            known = Secrets.model_validate(kept)
        except ValidationError:
            raise data.damaged(FILE) from None
        if "payload_keys" not in known.model_fields_set:
            # Payloads that runs of an earlier version left in Temporal are read, too.
            keys = f"{known.payload_keys},{processes_payload_keys.PLAIN}"
            known = known.model_copy(update={"payload_keys": keys})
        data.save(FILE, known.model_dump(mode="json"))
        return known
    made = Secrets(
        secret_key=secrets.token_urlsafe(48),
        decision_key=binding.new_key(),
        payments_key=secrets.token_urlsafe(32),
    )
    data.save(FILE, made.model_dump(mode="json"))
    return made
