"""Names that nothing uses: functions, classes, methods and imports, by vulture.

Fields and attributes are left out: pydantic, SQLModel and the libraries of others read
them by name. What a template names is used.
"""

import re
import sys
from pathlib import Path

from vulture import Vulture  # pyright: ignore[reportMissingTypeStubs] it has none

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    *("orchestrator", "activities", "workflows", "approvals"),
    *("examples", "benchmarks", "scripts", "tests"),
)
TEMPLATES = ROOT / "approvals" / "templates"
KINDS = frozenset({"class", "function", "import", "method", "property"})
# Called by a framework, through a decorator.
DECORATORS = (
    *("@router.*", "@*.get", "@*.post", "@*.command*", "@*.callback*", "@given*"),
    *("@activity.defn*", "@workflow.*", "@*validator*", "@pytest.*", "@tool*"),
    *("@event.*", "@*.listens_for*", "@rule*", "@invariant*", "@initialize*"),
    *("@precondition*",),
)
# Called by a library, by their name.
NAMES = (
    *("__getattr__", "handle_*", "do_*", "log_message", "test_*", "pytest_*"),
    *("downgrade", "teardown", "_leave", "is_type", "process_*"),
)
# Found by the registry, or named by a test in text.
APPLICATIONS = re.compile(r"/workflow\.py$|^tests/(apps|beside)/")
# Imported for an annotation that is written as text.
ANNOTATIONS = frozenset({"QueuePool", "BindParameter", "CursorResult"})


def main() -> int:
    """Print what nothing uses; return 1 where there is any."""
    vulture = Vulture(ignore_names=list(NAMES), ignore_decorators=list(DECORATORS))
    vulture.scavenge([str(ROOT / folder) for folder in FOLDERS])  # pyright: ignore[reportUnknownMemberType] as above
    shown = "\n".join(page.read_text() for page in TEMPLATES.rglob("*.html"))
    dead = [
        f"{place}:{item.first_lineno}: unused {item.typ} {item.name!r}"
        for item in vulture.get_unused_code()
        for place in [str(Path(item.filename).relative_to(ROOT))]
        if item.typ in KINDS
        and item.name not in ANNOTATIONS
        and not APPLICATIONS.search(place)
        and not (place.startswith("tests/") and item.typ != "import")
        and not re.search(rf"\b{re.escape(str(item.name))}\b", shown)
    ]
    sys.stdout.write("".join(f"{line}\n" for line in dead))
    return bool(dead)


if __name__ == "__main__":
    sys.exit(main())
