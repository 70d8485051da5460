"""No secret in words that are stored, logged or shown."""

import pytest

from keyturn.orchestrator.rules.text import scrub

SECRET = "made-up-0123456789"  # noqa: S105 no secret: it is made up here

QUOTED = [
    f"password={SECRET} rest",
    f"Authorization: Bearer {SECRET}",
    f"{{'Authorization': 'Bearer {SECRET}'}}",
    f"smtp://user:{SECRET}@host refused",
    f"postgresql://u:{SECRET}@@host/x",
    f'{{"client_secret": "{SECRET}"}}',
    f"x-api-key: {SECRET}",
    f"DB_PASSWORD={SECRET}",
    f"sk-{SECRET} is wrong",
]


@pytest.mark.parametrize("words", QUOTED)
def test_forms_of_secrets_are_taken_out(words: str):
    assert SECRET not in scrub.text(words)


@pytest.mark.parametrize(
    "key", [f"{SECRET}\n", f"\u201c{SECRET}\u201d", f"{SECRET}\u200b"]
)
def test_a_known_secret_is_found_however_it_is_quoted(key: str):
    scrub.know(key)

    for quoted in (key, key.strip(), repr(key), ascii(key), f"b'{key.strip()}\\n'"):
        assert SECRET not in scrub.text(f"Illegal header value {quoted}")


@pytest.mark.parametrize(
    "words", ["3 tokens left", "the secret agent", "max_tokens: 5", "HTTP 502: no"]
)
def test_other_words_stay(words: str):
    assert scrub.text(words) == words


def test_every_text_of_a_json_value_is_scrubbed():
    found = scrub.value({"a": [f"password={SECRET}"], "b": 1})

    assert found == {"a": ["password=[secret]"], "b": 1}
