"""Records of the shop: unchangeable, and with one spelling each."""

import json

from pydantic import BaseModel, ConfigDict, JsonValue


class Record(BaseModel):
    """A record; a field that the shop does not know is refused, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def plain(self) -> dict[str, JsonValue]:
        """Give the record as JSON values, without the keys that are null."""
        return self.model_dump(mode="json", exclude_none=True)

    def canonical(self) -> str:
        """Give the one spelling of this record that the state hash is made of."""
        return spell(self.plain())


def spell(value: JsonValue) -> str:
    """Give a JSON value as text: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
