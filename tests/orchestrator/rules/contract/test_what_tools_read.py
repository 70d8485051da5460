"""What a tool reads is declared by names, not by the letters of one."""

from typing import Any

import pytest
from pydantic import BaseModel

from keyturn import ToolContext, tool
from keyturn.orchestrator.rules.errors import ContractError


class Nothing(BaseModel):
    """No fields."""


@pytest.mark.parametrize(
    "corpora",
    ["help", b"help", {"help", 1}, {" "}, 5],
    # Not by `repr`: a set's order differs between the processes of one run.
    ids=["text", "bytes", "a number among them", "blank", "number"],
)
def test_corpora_that_are_no_names_are_refused_where_declared(corpora: Any) -> None:
    async def look_up(call: Nothing, context: ToolContext) -> Nothing:
        del context
        return call

    with pytest.raises(ContractError, match=r"'look_up' declares corpora=.*as a set"):
        tool(authority="read_only", owner="t", description="d", corpora=corpora)(
            look_up
        )
