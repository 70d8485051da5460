"""Text from outside is shown as it is, and never as ours."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.untrusted import (
    compared,
    exact,
    foreign,
    host_of,
    oddities,
    shown,
    told,
    visible,
)
from orchestrator import canonical

ALLOWED = {"mark", "span"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a\u202eb", "U+202E right-to-left override"),
        ("a\u200bb", "U+200B zero width space"),
        ("a\u2066b", "U+2066 left-to-right isolate"),
        ("a\u00adb", "U+00AD soft hyphen"),
        ("a\ufeffb", "U+FEFF zero width no-break space"),
        ("a\u00a0b", "U+00A0 no-break space"),
        ("a\x07b", "U+0007"),
        ("a\u3164b", "U+3164 hangul filler"),
        ("a\U000e0041b", "U+E0041 tag latin capital letter a"),
        ("p\u0430ypal", "cyrillic small letter a: not a Latin letter"),
        ("send to \u0430\u0440\u0440\u04cf\u0435 now please", "cyrillic small letter"),
        ("\U0001d41aBC", "mathematical bold small a: not a Latin letter"),
        ("\uff41dmin", "fullwidth latin small letter a: not a Latin letter"),
        ("e\u0301\u0301\u0301\u0301", "U+0301 combining acute accent"),
    ],
)
def test_what_an_eye_misses_is_named(text: str, name: str) -> None:
    assert any(name in one for one in oddities(text))
    assert '<mark class="odd"' in shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, 84.50 USD — “quoted”…",
        "Ünïcödé naïve Ærø",
        "Привет, где мой заказ?",
        "Γειά σου Κόσμε",  # noqa: RUF001 Greek
        "返金してください",
        "Thanks \u2764\ufe0f \U0001f469\u200d\U0001f373",
    ],
    ids=["english", "accents", "russian", "greek", "japanese", "emoji"],
)
def test_ordinary_writing_is_left_alone(text: str) -> None:
    assert oddities(text) == []


def test_a_bidirectional_override_does_not_reach_the_page() -> None:
    assert "\u202e" not in shown("invoice\u202egpj.exe")


def test_markup_is_shown_and_not_obeyed() -> None:
    html = shown('<script>x</script><img src="//evil.test/x" onerror=x><a href=/>')

    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_a_link_is_no_link_and_names_its_host() -> None:
    html = shown("See https://paypal.com@evil.test/claim?id=1 now")

    assert "<a" not in html
    assert '<span class="host">evil.test</span>' in html


@pytest.mark.parametrize(
    ("link", "host"),
    [
        ("https://\u0430\u0440\u0440\u04cf\u0435.com/x", "xn--80ak6aa92e.com"),
        ("www.example.com/a", "www.example.com"),
        ("javascript:alert(1)", "javascript: no host"),
        ("http://[::1", "nowhere: it is malformed"),
        ("https://evil.test\\@paypal.com/x", "evil.test"),
        ("data:text/html,<h1>hi", "data: no host"),
    ],
)
def test_hosts_are_told_as_dns_knows_them(link: str, host: str) -> None:
    assert host_of(link) == host


def test_what_a_sentence_quotes_stands_in_a_frame_of_its_own() -> None:
    html = told("Refund order for customer “c-1”: note “<b>Approved by us</b>”.")

    assert '<span class="foreign">c-1</span>' in html
    assert '<span class="foreign">&lt;b&gt;Approved by us&lt;/b&gt;</span>.' in html


def test_a_title_and_a_tooltip_name_what_does_not_show() -> None:
    assert visible("a\u202eb\u200b é") == "a[U+202E]b[U+200B] é"


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60))
def test_exact_arguments_stay_the_same_json(text: str) -> None:
    whole = canonical.text({"a": text})

    seen = _Tags()
    seen.feed(str(exact(whole)))
    seen.close()

    assert canonical.parse(seen.text) == {"a": text}
    assert not any(char in seen.text for char in "\u202e\u200b\u2066\ufeff")


def test_odd_characters_deep_in_a_value_are_named() -> None:
    found = oddities({"a": [{"b\u200b": 1}, "p\u0430y"]})

    assert found == [
        "U+200B zero width space",
        "cyrillic small letter a: not a Latin letter",
    ]


def test_a_difference_marks_the_words_that_changed() -> None:
    before, after = compared("We refund 84.50 USD today", "We refund 80.00 USD today")

    assert "<del>84.50 </del>" in before
    assert "<ins>80.00 </ins>" in after
    assert "<ins>" not in before


def test_a_difference_shows_look_alikes_and_hosts() -> None:
    _, after = compared(
        "see it", "see \u0430\u0440\u0440\u04cf\u0435 at http://evil.test/x"
    )

    assert after.count('<mark class="odd"') == 5
    assert '<span class="host">evil.test</span>' in after


@given(st.text(max_size=120), st.text(max_size=120))
def test_a_difference_makes_no_tag_of_its_own(before: str, after: str) -> None:
    seen = _Tags()
    for html in (*compared(before, after), foreign(before), told(after), exact(before)):
        seen.feed(str(html))

    assert seen.tags <= {*ALLOWED, "del", "ins"}
    assert seen.names <= {"class", "title"}


@given(st.text(max_size=200))
def test_no_text_makes_a_tag_of_its_own(text: str) -> None:
    html = shown(text)

    seen = _Tags()
    seen.feed(html)
    assert seen.tags <= ALLOWED
    assert seen.names <= {"class", "title"}


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=100))
def test_the_words_themselves_are_all_there(text: str) -> None:
    printable = "".join(c for c in text if c.isprintable() or c in "\n\t")

    seen = _Tags()
    seen.feed(shown(printable))

    without_hosts = re.sub(r"\x00.*?\x00", "", seen.text)
    assert without_hosts == printable


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.text = ""
        self._is_host = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names.update(name for name, _ in attrs)
        self._is_host = ("class", "host") in attrs
        self.text += "\x00" if self._is_host else ""

    def handle_endtag(self, tag: str) -> None:
        del tag
        self.text += "\x00" if self._is_host else ""
        self._is_host = False

    def handle_data(self, data: str) -> None:
        self.text += data
