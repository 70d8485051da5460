"""A problem as a page that needs nothing else to work: no store, no template."""

from html import escape

from approvals.problems import Problem

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
<p><a href="/inbox">To the inbox</a></p>
</main>
</body>
</html>
"""


_TITLES = {
    403: "You may not do this",
    404: "This is not here",
    409: "This has changed meanwhile",
    422: "This cannot be used as it is",
}


def render(problem: Problem) -> str:
    """Return the page, with everything from outside escaped."""
    return _PAGE.format(
        status=escape(f"{problem.status} {problem.title}"),
        title=escape(_TITLES.get(problem.status, problem.title)),
        detail=escape(problem.detail),
    )
