"""A scripted model for the retail desk: it plays recorded cases, call by call.

`python -m keyturn.activities.llm.simulator --scenario examples.retail.simulation:play`, with
RETAIL_CASES naming a file of cases, one JSON object a line: `id`, and `actions` with
`name` and `arguments`. A request's case is the one whose id its ticket is.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, JsonValue

from keyturn.activities.llm.simulator import SimRequest, SimStep, call, final

TICKET = re.compile(r'"ticket":\s*"([^"]+)"')


class Action(BaseModel):
    """One call that the case makes."""

    name: str
    arguments: dict[str, JsonValue]


class Case(BaseModel):
    """The calls that solve what a customer wants, in order."""

    id: str
    actions: tuple[Action, ...]


def play(request: SimRequest) -> SimStep | None:
    """Give the case's next call, one for each result so far, then the final answer.

    What failed or was rejected counts like what was done: the case goes on.
    """
    case = case_of(request)
    if case is None:
        return None
    step = len(request.results)
    if step < len(case.actions):
        action = case.actions[step]
        return call(action.name, action.arguments)
    return final(resolution(request))


def case_of(request: SimRequest) -> Case | None:
    """Give the case that the request's input names; None for any other request."""
    cases = recorded(os.environ.get("RETAIL_CASES", ""))
    for text in request.user_texts:
        for ticket in TICKET.findall(text):
            if ticket in cases:
                return cases[ticket]
    return None


def resolution(request: SimRequest) -> JsonValue:
    """Give the final answer: how the calls went, and whether a person is needed."""
    went = [
        f"{r.name}: {'not done' if r.is_error else 'done'}" for r in request.results
    ]
    names = {result.name for result in request.results}
    return {
        "summary": "Scripted. " + ("; ".join(went) or "Nothing to do."),
        "settled": 0 if "transfer_to_human_agents" in names else 1,
    }


@lru_cache(maxsize=4)
def recorded(path: str) -> dict[str, Case]:
    """Give the cases of the file by id; none where no file is named."""
    if not path:
        return {}
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {case.id: case for case in map(Case.model_validate_json, lines)}
