"""Why a run was handed to people, in words."""

WORDS = {
    "refusal": "The model refused",
    "low_confidence": "The model is not sure enough",
    "timeout": "No model answered in time",
    "tool_failure": "A tool failed",
    "invalid_output": "The model's answers could not be used",
    "budget": "The budget is used up",
    "loop": "The model was caught in a loop",
}


def reason(given: object) -> tuple[str, str]:
    """Return a hand-off's reason as a headline and the remaining text."""
    text = str(given or "").strip()
    kind, _, rest = text.partition(":")
    if kind in WORDS:
        return WORDS[kind], rest.strip()
    return text or "No reason was given", ""
