"""KEYTURN_MODELS that names no model that can be asked is one sentence."""

from pathlib import Path

import pytest

from keyturn.activities.llm import route
from keyturn.orchestrator.rules import settings
from keyturn.orchestrator.rules.contract.model import PROVIDERS
from tests.orchestrator.cli.program import here

BAD_MODELS = {
    "no-provider": (
        '{"standard": ["gpt-5.2"]}',
        "'gpt-5.2' is not of the form provider/model",
    ),
    "unknown-provider": (
        '{"standard": ["opnai/gpt-5.2"]}',
        "'opnai'; known: anthropic, openai",
    ),
    "no-target": ('{"standard": []}', "KEYTURN_MODELS[standard]"),
    "no-list": ('{"standard": "openai/gpt-5.2"}', "KEYTURN_MODELS[standard]"),
    "no-json": ('{"standard": ["openai/gpt-5.2"]', "KEYTURN_MODELS is not JSON"),
    "no-object": ('["openai/gpt-5.2"]', "KEYTURN_MODELS"),
}


@pytest.mark.parametrize(("models", "words"), BAD_MODELS.values(), ids=BAD_MODELS)
def test_models_that_cannot_be_asked_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, models: str, words: str
) -> None:
    monkeypatch.setenv("KEYTURN_MODELS", models)

    with pytest.raises(settings.SettingsError) as refused:
        settings.read()

    assert words in str(refused.value)
    assert "start again" in str(refused.value)


@pytest.mark.parametrize("command", ["worker", "eval", "contract list"])
def test_a_bad_model_shows_no_traceback(tmp_path: Path, command: str) -> None:
    keyturn = here(tmp_path).but(KEYTURN_MODELS='{"standard": ["opnai/gpt-5.2"]}')

    said = keyturn(*command.split())

    assert said.status == 2
    assert "KEYTURN_MODELS[standard]" in said.err


def test_the_providers_are_those_that_there_is_an_adapter_for() -> None:
    made = route.build_providers(openai_api_key="a", anthropic_api_key="b")

    assert tuple(sorted(made)) == PROVIDERS
