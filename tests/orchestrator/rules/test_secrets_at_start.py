"""A secret that was copied with something else is refused at start, unseen."""

import pytest

from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.settings import SettingsError
from keyturn.orchestrator.rules.text import scrub

KEY = "opal7Q2x-made-up"
MAIL = "smtps://desk:{}@mail.example:465"

SLIPS = {
    "a blank before it": (f" {KEY}", "has a blank at its end"),
    "a blank after it": (f"{KEY} ", "has a blank at its end"),
    "blanks alone": ("   ", "has a blank at its end"),
    "a line break within": (f"{KEY}\nmore", "has a line break at character 17"),
    "a carriage return within": (f"{KEY}\rmore", "has a line break at character 17"),
    "two line breaks after it": (f"{KEY}\n\n", "has a line break at character 17"),
    "typographic quotes": (f"\u201c{KEY}\u201d", "a character outside ASCII (U+201C)"),
    "quotes": (f'"{KEY}"', "has a quote at its end"),
    "a zero-width space": (f"{KEY}\u200b", "has an invisible character (U+200B)"),
    "a byte-order mark": (f"\ufeff{KEY}", "has an invisible character (U+FEFF)"),
    "a tab": (f"\t{KEY}", "has a control character (U+0009)"),
    "a placeholder in brackets": ("<your OpenAI key>", "holds a placeholder"),
    "a placeholder in words": ("changeme", "holds a placeholder"),
    "a variable that nobody filled in": ("${OPENAI_KEY}", "holds a placeholder"),
    "a key of dots": ("sk-...", "holds a placeholder"),
    "a key of letters x": ("sk-xxxxxxxx", "holds a placeholder"),
}
VARIABLES = ["OPENAI_API_KEY", "KEYTURN_STATEMENT_KEY"]


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(("value", "words"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_refused_with_its_variable_and_never_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as refused:
        settings.read()

    assert words in str(refused.value)
    assert variable in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "value", [KEY, f"{KEY}\n", f"{KEY}\r\n", "pass word", "your1key", "x" * 2]
)
def test_a_secret_is_taken_without_the_line_break_of_its_file(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)

    found = settings.read().openai_api_key

    assert found is not None
    assert found.get_secret_value() == value.rstrip("\r\n")


def test_the_password_in_an_address_is_checked_and_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEYTURN_SMTP_URL", MAIL.format("changeme"))
    with pytest.raises(SettingsError, match="password in KEYTURN_SMTP_URL holds a"):
        settings.read()
    monkeypatch.setenv("KEYTURN_SMTP_URL", MAIL.format("walnut-41x"))
    settings.read()

    assert scrub.text("535 walnut-41x refused") == f"535 {scrub.GONE} refused"


def test_keys_of_services_are_checked_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYTURN_SERVICE_KEYS", f'{{"shop": "{KEY}", "bank": " k"}}')

    with pytest.raises(
        SettingsError, match=r"KEYTURN_SERVICE_KEYS\[bank\] has a blank"
    ):
        settings.read()
