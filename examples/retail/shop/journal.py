"""The journal: every write with its key, so that a key repeated changes nothing."""

from collections.abc import Callable

from pydantic import JsonValue

from examples.retail.shop.answers import Answer
from examples.retail.shop.errors import KeyReused
from examples.retail.shop.records import Record


class Asked(Record):
    """A write as it was asked for; the same key must come with the same of these."""

    customer: str
    operation: str
    body: dict[str, JsonValue]


class Write(Record):
    """A write and its answer; `repeats` counts how often the same key came again."""

    key: str | None
    asked: Asked
    answer: Answer
    repeats: int = 0


class Journal:
    """The writes of one shop, in order."""

    def __init__(self) -> None:
        self._writes: list[Write] = []
        self._places: dict[str, int] = {}

    def once(self, key: str | None, asked: Asked, act: Callable[[], Answer]) -> Answer:
        """Give the answer stored under the key, or act and store it; refusals too."""
        if key is not None and key in self._places:
            return self._repeat(key, asked)
        answer = act()
        if key is not None:
            self._places[key] = len(self._writes)
        self._writes.append(Write(key=key, asked=asked, answer=answer))
        return answer

    def writes(self) -> tuple[Write, ...]:
        """Give all writes, the refused ones too, oldest first."""
        return tuple(self._writes)

    def _repeat(self, key: str, asked: Asked) -> Answer:
        place = self._places[key]
        write = self._writes[place]
        if write.asked != asked:
            raise KeyReused(
                f"Idempotency-Key '{key}' came with another request before."
            )
        again = {"repeats": write.repeats + 1}
        self._writes[place] = write.model_copy(update=again)
        return write.answer
