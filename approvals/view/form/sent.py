"""The fields of a schema's form in a request."""

from fastapi import Request

from keyturn.approvals.view.form.fill import KINDS


async def sent_form(request: Request) -> dict[str, list[str]]:
    """Return the form's fields as they were sent; a page's other fields are left out."""
    sent = await request.form()
    form: dict[str, list[str]] = {}
    for name, value in sent.multi_items():
        if isinstance(value, str) and name[:1] in KINDS and name[1:2] == "/":
            form.setdefault(name, []).append(value)
    return form
