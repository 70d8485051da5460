"""Several similar items decided in one request, each bound and answered separately."""

from collections.abc import Awaitable, Sequence
from functools import partial

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.errors import (
    InvalidValue,
    KeyturnError,
    NotFound,
    StoreUnavailable,
)
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import ApprovalRow

# Nobody has read more items than this one by one.
MOST = 20


class Bound(BaseModel):
    """An item as it was shown: its approval and the approval's binding."""

    model_config = ConfigDict(frozen=True)

    id: str
    binding: str


async def decide(  # noqa: PLR0913 one option besides what a decision is
    store: Store,
    signer: Signer,
    person: Person,
    items: Sequence[Bound],
    answer: Answer,
    *,
    heeds_drafts: bool = False,
) -> list[ApprovalRow | KeyturnError]:
    """Give the same answer to each item; return the result of each, in the order given.

    Raises `InvalidValue` if the items are not alike, and then decides nothing. Alike
    means: one tool, one rule, at most 20, and none that needs two people.
    """
    await _check_alike(store, person, [one.id for one in items])
    decide_one = partial(approval_decide.decide, store, signer, person)
    return [
        await _result_of(
            decide_one(
                one.id,
                answer.model_copy(update={"binding": one.binding}),
                heeds_draft=heeds_drafts,
            )
        )
        for one in items
    ]


async def _result_of(deciding: Awaitable[ApprovalRow]) -> ApprovalRow | KeyturnError:
    try:
        return await deciding
    except StoreUnavailable:
        raise
    except KeyturnError as error:
        return error


async def _check_alike(store: Store, person: Person, ids: Sequence[str]) -> None:
    if not 1 <= len(ids) <= MOST or len(set(ids)) < len(ids):
        raise InvalidValue(
            f"items: {len(ids)} were sent; decide 1 to {MOST} at once, and name each item once"
        )
    async with store.read() as session:
        query = select(ApprovalRow).where(col(ApprovalRow.id).in_(ids))
        rows = list((await session.execute(query)).scalars())
    seen = {row.id for row in rows if person.tenant in (None, row.tenant)}
    missing = [one for one in ids if one not in seen]
    if missing:
        raise NotFound(kind="approval", name=missing[0])
    kinds = sorted({f"{row.tool} by “{row.rule}”" for row in rows})
    if len(kinds) > 1:
        raise InvalidValue(
            f"items: they are of several tools or rules: {'; '.join(kinds)}. Decide those of one tool "
            "and one rule at once"
        )
    many = next((row for row in rows if row.needed > 1), None)
    if many is not None:
        raise InvalidValue(
            f"items: {many.id} needs {many.needed} people; decide it on its own page"
        )
