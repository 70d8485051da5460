"""A problem as a page that depends on nothing: no store, no template."""

from collections.abc import Sequence
from html import escape

from keyturn.approvals.web.problems import Problem

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Keyturn</title>
<script src="/static/theme.js"></script>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/app.css">
</head>
<body class="error-page">
<main>
<p class="muted">{status}</p>
<h1>{title}</h1>
<p>{detail}</p>
{kept}<p><a href="{back}">{back_words}</a></p>
</main>
</body>
</html>
"""


_TITLES = {
    403: "You do not have permission",
    404: "Not found",
    409: "This has changed in the meantime",
    422: "Some of the input is not valid",
}


# Form fields that people fill in by hand; passwords are never given back.
_WRITTEN = frozenset(
    [
        "reason",
        "text",
        "evidence",
        "words",
        "detail",
        "title",
        "name",
        "email",
        "teams",
        "languages",
        "url",
    ]
)
_KEPT = """\
<section class="kept"><h2>What you wrote is kept here</h2>
<p>None of it was carried out. Go back to the page and send it from there.</p>
{fields}</section>
"""
_FIELD = '<label>{name}<textarea class="textarea" readonly rows="4">\n{value}</textarea></label>\n'


def render(
    problem: Problem, *, sent: Sequence[tuple[str, str]] = (), back: str = "/inbox"
) -> str:
    """Return the page, with everything from outside escaped.

    `sent` holds the fields of a refused form: its texts are given back.
    """
    return _PAGE.format(
        kept=_kept(sent),
        back=escape(back),
        back_words="Go to the inbox" if back == "/inbox" else "Go back",
        status=escape(f"{problem.status} {problem.title}"),
        title=escape(_TITLES.get(problem.status, problem.title)),
        detail=escape(problem.detail),
    )


def _kept(sent: Sequence[tuple[str, str]]) -> str:
    fields = "".join(
        _FIELD.format(name=escape(_label(name)), value=escape(value))
        for name, value in sent
        if _is_written(name) and value.strip()
    )
    return _KEPT.format(fields=fields) if fields else ""


def _is_written(name: str) -> bool:
    """Tell whether people write a field; forms made from a schema prefix `v/`."""
    return name in _WRITTEN or name.startswith("v/")


def _label(name: str) -> str:
    return name.removeprefix("v/").replace("_", " ").capitalize()
