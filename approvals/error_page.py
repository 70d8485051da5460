"""A problem as a page that needs nothing else to work: no store, no template."""

from html import escape

from approvals.problems import Problem

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Keyturn</title>
<link rel="stylesheet" href="/static/app.css">
</head>
<body class="error-page">
<main>
<h1>{title}</h1>
<p>{detail}</p>
<p><a href="/inbox">To the inbox</a></p>
</main>
</body>
</html>
"""


def render(problem: Problem) -> str:
    """Return the page, with everything from outside escaped."""
    return _PAGE.format(
        title=escape(f"{problem.status} {problem.title}"), detail=escape(problem.detail)
    )
