"""P11: loosening takes two people, tightening one."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Scope, Switch
from keyturn.orchestrator.rules.errors import KeyturnError, NotFound
from keyturn.orchestrator.store.dual_control import break_glass, proposals, requests
from keyturn.orchestrator.store.dual_control.errors import (
    NeedsSecondPerson,
    ProposalClosed,
)
from keyturn.orchestrator.store.dual_control.requests import LASTS
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.people import access
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.switches import active, switches
from keyturn.orchestrator.store.switches.errors import WouldLoosen
from keyturn.orchestrator.store.tables import PersonRow, ProposalRow, SwitchRow
from tests.databases import both
from tests.orchestrator.store.accounts import BEGINNING, Accounts

ROLES = ("operator", "admin")
HALT = Switch(
    id="refunds",
    scope=Scope(tool="refund_order"),
    mode="halt",
    reason="Wrong refunds.",
    author="olga",
    created_at=BEGINNING,
)


def as_person(row: PersonRow, *, session: str = "s-1", kind: str = "person") -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        kind=kind,
        tenant=row.tenant,
        email=row.email,
        approves_from=row.approves_from,
        teams=(),
        languages=(),
        session=session,
    )


class Scene:
    """A switch that holds, and people who might lift it."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.store = accounts.store

    async def person(self, name: str, *, role: str = "operator") -> Person:
        row = await self.accounts.open(name, role)
        await person_accounts.waive_first_day(self.store, row.id, by="test")
        return as_person(await self.accounts.read(row))

    async def proposed(self) -> tuple[ProposalRow, Person, Person]:
        olga, otto = await self.person("olga"), await self.person("otto")
        await switches.put(self.store, HALT)
        made = await requests.to_clear(self.store, "refunds", olga, reason="Mended.")
        return made, olga, otto

    async def confirm(self, made: ProposalRow, person: Person) -> ProposalRow:
        return await proposals.confirm(self.store, made.id, person, roles=ROLES)

    async def holds(self) -> bool:
        async with self.store.read() as session:
            await session.read_clock()
            return bool(await active.active(session))

    async def kinds(self) -> list[str]:
        log = await self.accounts.log()
        return [row.kind for row in log if row.kind.startswith(("proposal", "switch"))]


@pytest.fixture
def scene(accounts: Accounts) -> Scene:
    return Scene(accounts)


async def test_p11_a_switch_is_lifted_by_a_second_person(scene: Scene) -> None:
    made, _, otto = await scene.proposed()
    held = await scene.holds()

    done = await scene.confirm(made, otto)

    assert held
    assert not await scene.holds()
    assert (done.status, done.decided_by) == ("confirmed", otto.id)
    log = ["switch.set", "proposal.opened", "switch.cleared", "proposal.confirmed"]
    assert await scene.kinds() == log
    async with scene.store.read() as session:
        row = await session.get(SwitchRow, "refunds")
    assert row is not None
    assert row.clear_reason == "Mended. (proposed by olga)"


async def test_p11_one_person_with_two_sessions_is_one_person(scene: Scene) -> None:
    made, olga, _ = await scene.proposed()
    elsewhere = olga.model_copy(update={"session": "another browser"})

    with pytest.raises(NeedsSecondPerson, match="takes two people"):
        await scene.confirm(made, elsewhere)

    assert await scene.holds()


async def test_p11_a_service_is_no_second_person(scene: Scene) -> None:
    made, _, otto = await scene.proposed()
    service = otto.model_copy(update={"kind": "service"})

    with pytest.raises(NeedsSecondPerson, match="is a service"):
        await scene.confirm(made, service)

    assert await scene.holds()


async def test_p11_who_is_new_here_confirms_nothing_for_a_day(scene: Scene) -> None:
    made, _, _ = await scene.proposed()
    newcomer = as_person(await scene.accounts.open("nora", "operator"))

    with pytest.raises(NeedsSecondPerson, match="for a day"):
        await scene.confirm(made, newcomer)
    with pytest.raises(NeedsSecondPerson, match="for a day"):
        await requests.to_clear(scene.store, "refunds", newcomer, reason="x")

    assert await scene.holds()


async def test_p11_asked_twice_it_is_one_proposal(scene: Scene) -> None:
    made, olga, otto = await scene.proposed()

    again = await requests.to_clear(scene.store, "refunds", olga, reason="Again.")
    others = await requests.to_clear(scene.store, "refunds", otto, reason="Me too.")

    assert again.id == others.id == made.id


async def test_p11_a_proposal_ends_by_itself(scene: Scene) -> None:
    made, _, otto = await scene.proposed()
    scene.accounts.clock.passes(LASTS)

    with pytest.raises(ProposalClosed, match="is expired") as found:
        await scene.confirm(made, otto)

    assert found.value.state == "expired"
    assert await scene.holds()


async def test_p11_a_switch_set_anew_voids_the_proposal(scene: Scene) -> None:
    made, _, otto = await scene.proposed()
    scene.accounts.clock.passes(timedelta(seconds=1))
    await switches.put(scene.store, HALT)

    with pytest.raises(ProposalClosed, match="set again since"):
        await scene.confirm(made, otto)
    with pytest.raises(ProposalClosed, match="is void"):
        await scene.confirm(made, otto)

    assert await scene.holds()
    assert (await scene.kinds())[-1] == "proposal.void"


async def test_p11_the_proposers_account_still_counts(scene: Scene) -> None:
    made, olga, otto = await scene.proposed()
    await access.disable(scene.store, olga.id, by=otto.id)

    with pytest.raises(ProposalClosed, match="is closed"):
        await scene.confirm(made, otto)

    assert await scene.holds()


async def test_p11_what_was_declined_or_withdrawn_does_nothing(scene: Scene) -> None:
    made, olga, otto = await scene.proposed()
    await proposals.decline(scene.store, made.id, otto, reason="Not yet.")
    second = await requests.to_clear(scene.store, "refunds", olga, reason="Now.")
    with pytest.raises(NeedsSecondPerson, match=", who proposed this, can withdraw it"):
        await proposals.withdraw(scene.store, second.id, otto)
    await proposals.withdraw(scene.store, second.id, olga)

    for one in (made, second):
        with pytest.raises(ProposalClosed):
            await scene.confirm(one, otto)

    assert await scene.holds()


@both
async def test_p11_two_who_confirm_at_once_lift_it_once(scene: Scene) -> None:
    made, _, otto = await scene.proposed()
    third = await scene.person("oskar")

    found = await _at_once(scene.confirm(made, otto), scene.confirm(made, third))

    assert sorted(type(one).__name__ for one in found) == [
        "ProposalClosed",
        "ProposalRow",
    ]
    assert (await scene.kinds()).count("switch.cleared") == 1


@both
@pytest.mark.parametrize("attempt", range(4))
async def test_p11_confirmed_and_withdrawn_at_once_is_one_of_both(
    scene: Scene, attempt: int
) -> None:
    made, olga, otto = await scene.proposed()
    both = (
        scene.confirm(made, otto),
        proposals.withdraw(scene.store, made.id, olga),
    )

    found = await _at_once(*(reversed(both) if attempt % 2 else both))

    won = [one for one in found if isinstance(one, ProposalRow)]
    assert len(won) == 1
    assert await scene.holds() == (won[0].status == "withdrawn")


@both
async def test_p11_two_who_ask_at_once_share_a_proposal(scene: Scene) -> None:
    olga, otto = await scene.person("olga"), await scene.person("otto")
    await switches.put(scene.store, HALT)

    found = await _at_once(
        requests.to_clear(scene.store, "refunds", olga, reason="Mended."),
        requests.to_clear(scene.store, "refunds", otto, reason="Mended."),
    )

    assert len({one.id for one in found if isinstance(one, ProposalRow)}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "disable"},
        {"mode": "require_approval"},
        {"mode": "use_model", "value": "safer"},
        {"scope": Scope(tool="refund_order", tenant="north")},
        {"scope": Scope(tool="find_order")},
        {"until": BEGINNING + timedelta(days=900)},
    ],
    ids=["disable", "ask", "model", "one tenant", "another tool", "an end"],
)
async def test_p11_no_looser_switch_takes_its_place(
    scene: Scene, change: dict[str, object]
) -> None:
    await switches.put(scene.store, HALT)

    with pytest.raises(WouldLoosen, match="takes two"):
        await switches.put(scene.store, HALT.model_copy(update=change))

    async with scene.store.read() as session:
        row = await session.get(SwitchRow, "refunds")
    assert row is not None
    assert (row.mode, row.scope, row.until) == (
        "halt",
        {"tool": "refund_order"},
        None,
    )


@pytest.mark.parametrize(
    "named",
    [{"tool": "find_order"}, {"corpus": "help"}, {"model": "openai/gpt-5"}],
    ids=["tool", "corpus", "model"],
)
async def test_p11_what_is_disabled_by_name_is_not_let_go_by_a_wider_one(
    scene: Scene, named: dict[str, str]
) -> None:
    """A tool that is disabled reads nothing, and a model is not asked: all is less."""
    disabled = HALT.model_copy(update={"mode": "disable", "scope": Scope(**named)})
    await switches.put(scene.store, disabled)

    with pytest.raises(WouldLoosen, match="takes two"):
        await switches.put(scene.store, disabled.model_copy(update={"scope": Scope()}))
    await switches.put(
        scene.store, disabled.model_copy(update={"mode": "halt", "scope": Scope()})
    )


async def test_p11_tightening_takes_one_step(scene: Scene) -> None:
    weak = HALT.model_copy(
        update={"mode": "require_approval", "until": BEGINNING + timedelta(hours=1)}
    )
    await switches.put(scene.store, weak)

    await switches.put(scene.store, HALT.model_copy(update={"scope": Scope()}))

    assert await scene.holds()


async def test_p11_its_own_end_is_no_loosening(scene: Scene) -> None:
    until = BEGINNING + timedelta(hours=1)
    await switches.put(scene.store, HALT.model_copy(update={"until": until}))
    scene.accounts.clock.passes(timedelta(hours=2))

    held = await scene.holds()
    with pytest.raises(NotFound):
        await requests.to_clear(
            scene.store, "refunds", await scene.person("olga"), reason="x"
        )
    await switches.put(scene.store, HALT.model_copy(update={"mode": "disable"}))

    assert not held


async def test_p11_another_tenants_proposal_is_not_there(scene: Scene) -> None:
    olga = await scene.person("olga")
    await switches.put(
        scene.store, HALT.model_copy(update={"scope": Scope(tenant="south")})
    )
    made = await requests.to_clear(scene.store, "refunds", olga, reason="Mended.")
    north = as_person(await scene.accounts.open("nora", "operator", tenant="north"))

    for answer in (
        scene.confirm(made, north),
        proposals.decline(scene.store, made.id, north, reason="x"),
        proposals.withdraw(scene.store, made.id, north),
    ):
        with pytest.raises(NotFound):
            await answer


async def test_p11_lifting_alone_opens_an_incident(scene: Scene) -> None:
    await switches.put(scene.store, HALT)

    await break_glass.lift(
        scene.store, "refunds", by="cli:root", reason="Nobody else can be reached."
    )

    assert not await scene.holds()
    async with scene.store.read() as session:
        assert await incidents.open_count(session, tenant=None) == 1
    assert "switch.cleared_alone" in await scene.kinds()


async def _at_once(*work: Awaitable[ProposalRow]) -> list[ProposalRow | KeyturnError]:
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        assert isinstance(one, ProposalRow | KeyturnError), one
    return [one for one in found if isinstance(one, ProposalRow | KeyturnError)]
