"""Conditions that a caller of the rules or the record has to handle."""


class KeyturnError(Exception):
    """Any condition that Keyturn names: the text says what, which value, what to do."""


class ContractError(KeyturnError):
    """A contract, rule or tool is wrong and must be mended before a worker starts."""


class MalformedJson(KeyturnError):
    """A text is not one strict JSON document."""


class InvalidValue(KeyturnError):
    """A value does not fit its JSON Schema."""


class NotFound(KeyturnError):
    """No such object, or none that the asker may see."""

    def __init__(self, *, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        """Name the kind of object, the name asked for and the names that exist."""
        self.kind = kind
        self.name = name
        self.known = known
        hint = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"There is no {kind} {name!r}{hint}.")


class BudgetExceeded(KeyturnError):
    """A model call's worst case does not fit what is left of a budget."""

    def __init__(self, *, scope: str, unit: str, needed: int, left: int) -> None:
        """Name the scope and how many units were needed and left."""
        self.scope = scope
        self.unit = unit
        self.needed = needed
        self.left = left
        super().__init__(
            f"The budget of {scope} has {left} {unit} left, but this model call may "
            f"need {needed}. Raise the budget or end the run."
        )


class LimitExceeded(KeyturnError):
    """An effect would move more money than a limit allows."""

    def __init__(self, *, scope: str, needed: str, left: str) -> None:
        """Name the scope and the money needed and left."""
        self.scope = scope
        self.needed = needed
        self.left = left
        super().__init__(
            f"The limit of {scope} leaves {left}, but this action moves {needed}. "
            "Nothing was sent."
        )


class StoreUnavailable(KeyturnError):
    """The database cannot be reached or cannot write; nothing was started."""
