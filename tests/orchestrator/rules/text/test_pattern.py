"""Patterns mean what pydantic takes them for, and answer in linear time."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import SchemaValidator, ValidationError, core_schema

from keyturn.orchestrator.rules.text import pattern
from keyturn.orchestrator.rules.text.pattern import InvalidPattern

PATTERNS = (
    r"^[\p{L} '-]+$",
    r"^(?<year>\d{4})$",
    r"^\d+\z",
    r"^[[:alpha:]]+$",
    r"^[A-Z]{3}$",
    r"^C-\d{4}$",
    r"^\w+$",
    r"^\W$",
    r"^[^\W_]+$",
    r"^[\s\S]$",
    r"\S",
    r"^[\D]+$",
    r"^\p{Letter}$",
    r"\p{Script=Greek}",
    r"^[\u{41}-\x43]$",
    r"^\/?\-?.*$",
    r"^[]a]$",
    r"(?i)^ABC$",
    r"^[\[\]]$",
)
TEXTS = (
    *("Zoë", "2026", "12", "abc", "USD\n", "USD", "C-1001\n", "C-1001", "", "١٢"),
    *(" ", "a b", "_", "é", "Ω", "😀", "\x00", "A", "[", "\u200d", "Ⓐ", "½", "\u2028"),
)


def pydantic_takes(wanted: str, text: str) -> bool:
    try:
        SchemaValidator(core_schema.str_schema(pattern=wanted)).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("wanted", PATTERNS)
def test_pattern_finds_what_pydantic_finds(wanted: str) -> None:
    found = {text: pattern.is_found(wanted, text) for text in TEXTS}

    assert found == {text: pydantic_takes(wanted, text) for text in TEXTS}


@given(
    st.sampled_from(PATTERNS),
    st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=4),
)
def test_pattern_finds_what_pydantic_finds_in_any_text(wanted: str, text: str) -> None:
    assert pattern.is_found(wanted, text) == pydantic_takes(wanted, text)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (r"a(?=b)", "look-around"),
        (r"(?<!a)b", "look-around"),
        (r"(a)\1", "back-references"),
        (r"[a&&b]", "'&&' inside"),
        (r"[a-z--b]", "'--' inside"),
        (r"\Qa", "different engines"),
        (r"\<a", "different engines"),
        (r"\b{start}a", "different engines"),
        (r"a{2000}", "at most 1000"),
        (r"^\w{1,900}$", "too large"),
        (r"\u00", "no character's number"),
        ("[a", "missing ]"),
        ("x*+", "possessive"),
    ],
)
def test_pattern_of_another_dialect_is_refused_with_what_to_write(
    wanted: str, told: str
) -> None:
    with pytest.raises(InvalidPattern, match="cannot be used") as refused:
        pattern.compiled(wanted)

    assert told in str(refused.value)
    assert repr(wanted) in str(refused.value)


def test_catastrophic_patterns_answer_at_once() -> None:
    # In a process of its own: a backtracking engine would hold this one for ever.
    asked = """
from keyturn.orchestrator.rules.text import pattern
for wanted, text in (
    (r"^([A-Za-z]+[ ]?)+$", "a" * 100_000 + "!"),
    (r"(x+x+)+y", "x" * 100_000),
    (r"^(\\w+\\s?)*$", "ab " * 30_000 + "!"),
):
    assert not pattern.is_found(wanted, text)
"""
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=30)


def test_half_a_character_is_matched_by_nothing() -> None:
    assert not pattern.is_found("^.$", "\ud800")
