"""The retail desk's contract with the shortest time to answer."""

from dataclasses import replace
from datetime import timedelta

from examples.retail import contracts as retail

UNANSWERED = retail.RETAIL.model_copy(
    update={
        "rules": tuple(
            replace(rule, within=timedelta(seconds=1)) for rule in retail.RETAIL.rules
        )
    }
)
