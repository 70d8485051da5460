"""The view of one item's page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.auth import permissions
from keyturn.approvals.inbox import conversation, state
from keyturn.approvals.inbox.conversation import Entry
from keyturn.approvals.inbox.hands import Hands
from keyturn.approvals.inbox.preview import Preview
from keyturn.approvals.view import wording
from keyturn.approvals.view.facts import Change, Side, changes, in_order, parsed, sides
from keyturn.approvals.view.form import fill, read, shape
from keyturn.approvals.view.form import view as drawing
from keyturn.approvals.view.form.fill import Form
from keyturn.approvals.view.form.shape import Shape
from keyturn.approvals.view.form.view import Field
from keyturn.approvals.view.untrusted import host_of
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.contract.release import ToolSpec
from keyturn.orchestrator.rules.text import redaction
from keyturn.orchestrator.store.approvals import siblings
from keyturn.orchestrator.store.approvals.decision import MOST_ROUNDS
from keyturn.orchestrator.store.approvals.eligibility import (
    who_agreed,
    why_no_no,
    why_not,
)
from keyturn.orchestrator.store.approvals.history import Draft
from keyturn.orchestrator.store.ledger import keys
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    DecisionRow,
    EffectRow,
    RunRow,
)
from keyturn.orchestrator.store.views.item import Item

AUTHORITY = {
    "write": "can be corrected later",
    "irreversible": "cannot be undone",
    "read_only": "reads only",
}


@dataclass(frozen=True)
class Step:
    """One draft of the item's thread; `changed` are its changes to the previous one."""

    number: int
    draft: Draft
    is_this: bool
    changed: list[Change]


@dataclass(frozen=True)
class WaitsFor:
    """An action that must be done before this item is offered, with its link."""

    tool: str
    href: str


@dataclass(frozen=True)
class View:
    """All data that the item's templates render."""

    approval: ApprovalRow
    run: RunRow
    stop: str
    summary: str
    title: str
    authority: str
    amount: str
    preview: JsonValue
    preview_is_arguments: bool
    arguments: JsonValue
    sides: list[Side]
    thread: list[Step]
    rounds: int
    is_open: bool
    may_decide: bool
    may_refuse: bool
    why_not: str
    waits_for: list[WaitsFor]
    speaks_of: str
    waiting_for_it: list[WaitsFor]
    is_editing: bool
    state_title: str
    state_words: str
    state_look: str
    decisions: list[DecisionRow]
    given: int
    customer_wrote: int
    successor: ApprovalRow | None
    effect: EffectRow | None
    input: JsonValue
    withheld: list[str]
    talk: list[Entry]
    ticket_url: str | None
    ticket_host: str
    effects: list[EffectRow]
    other_runs: list[RunRow]
    model: str | None
    form: tuple[Field, ...] | None
    form_is_open: bool
    preview_edit: Preview
    saved_at: datetime | None
    next: str | None
    hands: Hands


@dataclass(frozen=True)
class Editing:
    """Contents of the edit form: as saved, as just sent, or as drafted."""

    form: Form | None = None
    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    preview: Preview = field(default_factory=Preview)
    is_open: bool = False


@dataclass(frozen=True)
class Place:
    """The item among others, now: what holds its run, who has it, which is next."""

    stop: str
    next_item: str | None
    hands: Hands
    now: datetime


def view(
    item: Item, person: Person, place: Place, editing: Editing | None = None
) -> View:
    """Return an item's view for a person."""
    approval, run = item.approval, item.run
    stop, now = place.stop, place.now
    spec = item.release.tool(approval.tool)
    now_state = state.of(item, stop)
    reason = _why_not(item, person, now=now)
    came_in, withheld = _input(item)
    preview = parsed(approval.preview)
    wanted = shape.of(spec.parameters)
    arguments = in_order(parsed(approval.effective or approval.arguments), wanted)
    is_asked = approval.status == "pending" and approval.binding is not None
    may_decide = reason is None and is_asked
    editing = editing or Editing()
    fields, is_open, saved_at = _form(item, spec, editing, may_decide=may_decide)
    said = summary_of(approval, item.release)
    url = _ticket_url(came_in)
    return View(
        approval=approval,
        run=run,
        stop=stop,
        summary=said,
        title=said,
        authority=AUTHORITY[spec.authority],
        amount=wording.money(approval.amount, approval.currency),
        preview=preview,
        preview_is_arguments=not spec.has_preview,
        arguments=arguments,
        sides=_sides(item, wanted),
        thread=_thread(item, wanted),
        rounds=MOST_ROUNDS,
        is_open=now_state.is_open,
        may_decide=may_decide,
        may_refuse=permissions.may(person, "approvals.decide")
        and why_no_no(approval, item.run, person) is None,
        why_not=reason or "",
        waits_for=_waits_for(item),
        speaks_of=siblings.not_settled(item.waits_for),
        waiting_for_it=[
            WaitsFor(one.tool, f"/inbox/{one.id}") for one in item.waiting_for_it
        ],
        is_editing=item.draft is not None or editing.form is not None,
        state_title=now_state.title,
        state_words=now_state.words,
        state_look=now_state.look,
        decisions=item.decisions,
        given=len(who_agreed(approval, item.decisions)),
        customer_wrote=sum(one.turn is None for one in item.customer_wrote),
        successor=item.successor,
        effect=item.effect,
        input=came_in,
        withheld=withheld,
        talk=conversation.entries(
            item.messages,
            item.calls,
            item.customer_wrote,
            asked=(approval.turn, approval.index),
        ),
        ticket_url=url,
        ticket_host=host_of(url) if url else "",
        effects=item.effects,
        other_runs=item.other_runs,
        model=item.model,
        form=fields,
        form_is_open=is_open,
        preview_edit=editing.preview,
        saved_at=saved_at,
        next=place.next_item,
        hands=place.hands,
    )


def _sides(item: Item, wanted: Shape) -> list[Side]:
    """Return proposed, decided and effective arguments."""
    decided = next((one.arguments for one in item.decisions if one.arguments), None)
    done = item.effect.arguments if item.effect else item.approval.effective
    asked = item.approval.arguments
    texts = (item.call.arguments, decided or asked, done or asked)
    proposed, chosen, effective = (in_order(parsed(one), wanted) for one in texts)
    return sides(proposed, chosen, effective)


def _thread(item: Item, wanted: Shape) -> list[Step]:
    rows = [one.approval for one in item.thread]
    values = [in_order(parsed(row.arguments), wanted) for row in rows]
    found = [
        Step(
            number=at + 1,
            draft=draft,
            is_this=draft.approval.id == item.approval.id,
            changed=changes(values[at - 1], values[at]) if at else [],
        )
        for at, draft in enumerate(item.thread)
    ]
    return found if len(found) > 1 else []


def _why_not(item: Item, person: Person, *, now: datetime) -> str | None:
    mine = next((one for one in item.decisions if one.person == person.id), None)
    if mine is not None:
        agreed = who_agreed(item.approval, item.decisions)
        left = item.approval.needed - len(agreed)
        words, _ = wording.DECISION[mine.decision]
        return f"You have already decided this ({words.lower()}). It still needs {wording.people(left, item.approval.role)}."
    reason = why_not(item.approval, item.run, person, now=now)
    return None if reason is None else f"You cannot decide this: {reason}."


def _waits_for(item: Item) -> list[WaitsFor]:
    return [
        WaitsFor(
            one.tool,
            f"/inbox/{keys.approval_id(one)}"
            if one.gate == "wait" and one.status == "open"
            else f"/runs/{one.run}",
        )
        for one in item.waits_for
    ]


def _input(item: Item) -> tuple[JsonValue, list[str]]:
    """Return the input without hidden fields, and the names of those fields."""
    value, release = parsed(item.run.input), item.release
    kept = redaction.drop(value, release.input_schema, release.never_sees)
    if isinstance(value, dict) and isinstance(kept, dict):
        return in_order(kept, shape.of(release.input_schema)), [
            name for name in value if name not in kept
        ]
    return kept, []


def _ticket_url(came_in: JsonValue) -> str | None:
    url = came_in.get("url") if isinstance(came_in, dict) else None
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        return url
    return None


def _form(
    item: Item, spec: ToolSpec, editing: Editing, *, may_decide: bool
) -> tuple[tuple[Field, ...] | None, bool, datetime | None]:
    """Return the edit form, whether it is unfolded, and when its draft was saved."""
    wanted = shape.of(spec.parameters)
    if wanted.kind != "object":
        return None, False, None
    if editing.form is not None:
        return drawing.view(wanted, editing.form, editing.errors), True, None
    draft = item.draft
    if draft is not None:
        kept = read.form_of(draft.form)
        return drawing.view(wanted, kept), True, draft.saved_at
    if not may_decide or item.approval.status != "pending":
        return None, False, None
    filled = fill.fill(wanted, parsed(item.approval.arguments))
    return drawing.view(wanted, filled), editing.is_open, None
