"""The preview of an edit: its changes and consequences, before a decision."""

import hashlib
from dataclasses import dataclass, field

from pydantic import JsonValue

from keyturn.approvals.view.facts import Change, changes, in_order, parsed
from keyturn.approvals.view.form import read, shape
from keyturn.approvals.view.form import view as drawing
from keyturn.approvals.view.form.fill import Form
from keyturn.approvals.view.form.read import Reading
from keyturn.approvals.web.page import Page
from keyturn.orchestrator.rules.errors import InvalidValue, MalformedJson
from keyturn.orchestrator.rules.text import canonical, json_object
from keyturn.orchestrator.store.approvals import edit
from keyturn.orchestrator.store.approvals.errors import EditRefused
from keyturn.orchestrator.store.views import item as view_item

NOT_USABLE = (EditRefused, InvalidValue, MalformedJson)


@dataclass(frozen=True)
class Preview:
    """An edit's changes and consequences; `digest` identifies exactly these.

    `needs` is the number of other people required: 0 if its author may approve it.
    """

    changes: list[Change] = field(default_factory=list[Change])
    needs: int = 0
    role: str = ""
    digest: str = ""
    problem: str = ""


async def of_form(page: Page, approval: str, form: Form) -> tuple[Preview, Reading]:
    """Return what the form's edit would change, and the form's parsed content."""
    person, store = page.visitor.person, page.parts.store
    item = await view_item.item(store, approval, person=person.id, tenant=person.tenant)
    wanted = shape.of(item.release.tool(item.approval.tool).parameters)
    shown = parsed(item.approval.arguments)
    found = read.read(wanted, form, shown=shown)
    if found.errors:
        return Preview(problem=_each(wanted, form, found)), found
    after = json_object.of(found.value)
    changed = changes(in_order(shown, wanted), in_order(after, wanted))
    if not changed:
        return Preview(), found
    try:
        ahead = await edit.foresee(store, person, approval, after)
    except NOT_USABLE as error:
        return Preview(changes=changed, problem=str(error)), found
    return Preview(
        changes=changed,
        needs=ahead.needs,
        role=ahead.role,
        digest=_digest(after, ahead.needs),
    ), found


def _digest(arguments: dict[str, JsonValue], needs: int) -> str:
    return hashlib.sha256(
        canonical.encode({"arguments": arguments, "needs": needs})
    ).hexdigest()


def _each(wanted: shape.Shape, form: Form, found: Reading) -> str:
    """Return the errors, each with its field's name."""
    named = _names(drawing.view(wanted, form))
    return " ".join(
        f"{named.get(path, path.strip('/'))}: {words}"
        for path, words in found.errors.items()
    )


def _names(fields: tuple[drawing.Field, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in fields:
        found[one.path] = one.shape.label or "Item"
        found.update(_names(one.children))
    return found
