"""One document is read out of its wrapping; two are none."""

import pytest

from keyturn.activities import document
from keyturn.orchestrator.rules.errors import MalformedJson

WRAPPED = [
    '```json\n{"a": 1}\n```',
    '```JSON\n{"a": 1}\n```',
    '```{"a": 1}```',
    '~~~\n{"a": 1}\n~~~',
    '<think>\nNothing {"a": 2}.\n</think>\n\n{"a": 1}',
    'Nothing to do.\n</think>\n\n{"a": 1}',
    '[THINK]so[/THINK]{"a": 1}</s>',
    'Here it is [1]:\n\n```json\n{"a": 1}\n```\nAnything else?',
    '\ufeff{"a": 1}',
]
AMBIGUOUS = [
    '```json\n{"a": 1}\n```\n```json\n{"a": 1}\n```',
    '{"a": 2}\n```json\n{"a": 1}\n```',
    '{"a": 1}{"a": 2}',
    '```python\n{"a": 1}\n```',
    '```json\n{"a": 1, "a": 2}\n```',
    'Here: {"a": 1}',
]


@pytest.mark.parametrize("text", WRAPPED)
def test_one_document_is_read_out_of_its_wrapping(text: str):
    assert document.read(text) == {"a": 1}


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_may_be_two_documents_or_none_is_refused(text: str):
    with pytest.raises(MalformedJson):
        document.read(text)


def test_marks_within_a_document_are_its_own():
    assert document.read('{"a": "``` </think> ```"}') == {"a": "``` </think> ```"}
