"""The view of a form for its template."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from keyturn.approvals.view.form.fill import Form, option_text, step
from keyturn.approvals.view.form.shape import SHORT_TEXT, Shape

# A text with at most this length is one line: a subject, a title, an address.
LINE = 256
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Field:
    """One field with its text; `given` is None if the field is not optional."""

    shape: Shape
    path: str
    text: str = ""
    currency: str = ""
    given: bool | None = None
    was: str = "absent"
    error: str | None = None
    children: tuple["Field", ...] = ()
    keys: tuple[str, ...] = ()
    blank: "Field | None" = None
    blank_key: str = ""

    @property
    def is_long(self) -> bool:
        """Tell whether the text needs an editor of several lines."""
        longest = self.shape.longest or 0
        is_line = 0 < longest <= LINE and "\n" not in self.text
        return (
            self.shape.kind == "json"
            or (self.shape.prose and not is_line)
            or longest > LINE
            or (len(self.text) > SHORT_TEXT and not is_line)
            or "\n" in self.text
        )

    @property
    def is_date(self) -> bool:
        """Tell whether a browser's date field can hold the text."""
        return self.shape.kind == "date" and (
            not self.text or bool(_DATE.fullmatch(self.text))
        )

    @property
    def rows(self) -> int:
        """Return how many lines the editor shows at first."""
        lines = sum(1 + len(line) // SHORT_TEXT for line in self.text.split("\n"))
        return max(6 if self.shape.prose else 3, min(24, lines + 1))

    @property
    def options(self) -> list[tuple[str, str]]:
        """Return each option's text in the form, and as people read it."""
        if self.shape.kind == "boolean":
            return [("true", "Yes"), ("false", "No")]
        return [(option_text(one), _words(one)) for one in self.shape.options]


def view(
    shape: Shape, form: Form, errors: Mapping[str, str] | None = None
) -> tuple[Field, ...]:
    """Return the fields of an object's form, filled and with their errors."""
    return _Viewer(form, errors or {}).field(shape, "", 0).children


class _Viewer:
    def __init__(self, form: Form, errors: Mapping[str, str]) -> None:
        self._form = form
        self._errors = errors

    def field(self, shape: Shape, path: str, depth: int) -> Field:
        children, blank, keys = self._inner(shape, path, depth)
        return Field(
            shape=shape,
            path=path,
            text=self._first(f"v{path}"),
            currency=self._first(f"c{path}"),
            given=f"g{path}" in self._form if shape.is_optional else None,
            was=self._first(f"w{path}") or "absent",
            error=self._errors.get(path),
            children=children,
            keys=keys,
            blank=blank,
            blank_key=_blank_key(depth),
        )

    def _inner(
        self, shape: Shape, path: str, depth: int
    ) -> tuple[tuple[Field, ...], Field | None, tuple[str, ...]]:
        if shape.kind == "object":
            found = (
                self.field(child, step(path, child.name), depth)
                for child in shape.children
            )
            return tuple(found), None, ()
        if shape.kind == "list" and shape.item is not None:
            item = shape.item
            keys = tuple(self._form.get(f"i{path}", ()))
            found = (self.field(item, f"{path}/{key}", depth + 1) for key in keys)
            blank = _Viewer({}, {}).field(
                item, f"{path}/{_blank_key(depth)}", depth + 1
            )
            return tuple(found), blank, keys
        return (), None, ()

    def _first(self, name: str) -> str:
        return next(iter(self._form.get(name, ())), "")


def _blank_key(depth: int) -> str:
    """Return the placeholder that the page's script replaces in an added item."""
    return f"__new{depth}__"


def _words(option: JsonValue) -> str:
    if isinstance(option, bool):
        return "Yes" if option else "No"
    return "none" if option is None else str(option)
