"""A suite's result as people read it."""

from keyturn.orchestrator.cli import output
from keyturn.orchestrator.evals.suite import CaseResult, SuiteResult

COLUMNS = ("Case", "Result", "Status", "Turns", "Tokens", "Cost", "Seconds")


def line(result: CaseResult) -> str:
    """Return one case's result in one line, to show progress."""
    word = "passed" if result.passed else "FAILED"
    return output.visible(f"{word}  {result.id}  {'; '.join(result.failures)}").strip()


def show(result: SuiteResult) -> None:
    """Show the cases as a table, then the failures, then the summary."""
    output.table(COLUMNS, [_row(one) for one in result.cases])
    for one in result.cases:
        for words in one.failures:
            output.line(f"{one.id}: {words}")
    for text in summary(result):
        output.line(text)


def summary(result: SuiteResult) -> list[str]:
    """Return the last lines: how many passed, of which suite, asked of which model."""
    attacks = [one for one in result.cases if one.attack]
    held = sum(one.passed for one in attacks)
    total = len(result.cases)
    who = "a scripted model" if result.scripted else "the configured models"
    lines = [
        f"{total - result.failed} of {total} cases passed; {held} of {len(attacks)} "
        f"attacks were held off. Asked: {who}.",
        f"Suite {result.suite} {result.suite_hash[:12]}",
    ]
    releases = sorted(result.releases.items())
    return lines + [f"Release of {name} {value[:12]}" for name, value in releases]


def _row(one: CaseResult) -> tuple[object, ...]:
    name = f"{one.id} (attack)" if one.attack else one.id
    return (
        name,
        "passed" if one.passed else "FAILED",
        one.status,
        one.turns,
        one.tokens,
        f"{one.cost_usd:.4f} USD",
        one.seconds,
    )
