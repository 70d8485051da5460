"""Text from outside is shown as it is, and never as ours."""

# ruff: noqa: RUF001 the look-alikes themselves are what is shown here

import re
import time
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.approvals.view.confusables import LOOKS_LIKE
from keyturn.approvals.view.untrusted import (
    compared,
    exact,
    framed,
    host_of,
    oddities,
    shown,
    visible,
    with_framed_quotes,
)
from keyturn.orchestrator.rules.text import canonical

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
        ("pay \u0661\u0662 now", "arabic-indic digit one: not a digit from 0 to 9"),
        ("\u096c items", "devanagari digit six: not a digit from 0 to 9"),
        ("\uff15\uff10", "fullwidth digit five: not a digit from 0 to 9"),
        ("paypal\u2024com", "one dot leader: looks like “.”"),
        ("https:\u2044\u2044paypal.com", "fraction slash: looks like “/”"),
        ("1\u201a450", "single low-9 quotation mark: looks like “,”"),
        ("a\u02d0b", "modifier letter triangular colon: looks like “:”"),
        ("evil\uff0ecom", "fullwidth full stop: looks like “.”"),
        ("paypal\u30cecom", "katakana letter no: not a Latin letter"),
        ("b\u0131ll", "latin small letter dotless i: not a Latin letter"),
        ("\u0261oogle", "latin small letter script g: not a Latin letter"),
        ("pa\u0443\u0440a\u04cf", "cyrillic small letter u: not a Latin letter"),
        ("\u041e-1001", "cyrillic capital letter o: not a Latin letter"),
        ("scope \u13a0\u13a2 of it", "cherokee letter a: not a Latin letter"),
        ("\u043a\u03bf\u0442", "greek small letter omicron: not a Latin letter"),
        ("a\u0585b", "armenian small letter oh: not a Latin letter"),
        ("so\ua4f3d", "lisu letter "),
        ("e\u00d7ample", "multiplication sign: looks like “x”"),
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
        "Γειά σου Κόσμε",
        "返金してください",
        "Thanks \u2764\ufe0f \U0001f469\u200d\U0001f373",
        "顧客 ABC様、注文ノート2点。ご確認ください！",
        "iPhone은 언제 오나요? 주문번호 O-1001",
        "我的订单O-1001，还没有到：请退款（84元）。",
        "أين طلبي؟ لم يصل بعد",
        "איפה ההזמנה שלי? \u05f3",
        "मेरा ऑर्डर कहाँ है?",
        "สั่ง iPhone ไปแล้ว ไม่ได้ของ",
        "Kırmızı ışığı değiştirmek istiyorum, çünkü bozuldu",
        "L’été œuvre cœur à 5′ × 7 ‹Nom› „so“ – 3 × 4 µm ²",
        "Đơn hàng của tôi đâu rồi? Tôi mơ",
        "one line\r\nand another\r\n\r\nand a third",
        "two empty lines\n\n\nare no gap,  nor are two blanks",
    ],
    ids=[
        "english",
        "accents",
        "russian",
        "greek",
        "japanese",
        "emoji",
        "japanese with latin",
        "korean with latin",
        "chinese with latin",
        "arabic",
        "hebrew",
        "hindi",
        "thai with latin",
        "turkish",
        "french signs",
        "vietnamese",
        "line ends of mail",
        "paragraphs",
    ],
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
    html = with_framed_quotes(
        "Refund order for customer “c-1”: note “<b>Approved by us</b>”."
    )

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

    # One mark has the name of two letters that are the same.
    assert after.count('<mark class="odd"') == 4
    assert "\u0440\u0440</mark>" in after
    assert '<span class="host">evil.test</span>' in after


@given(st.text(max_size=120), st.text(max_size=120))
def test_a_difference_makes_no_tag_of_its_own(before: str, after: str) -> None:
    seen = _Tags()
    for html in (
        *compared(before, after),
        framed(before),
        with_framed_quotes(after),
        exact(before),
    ):
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

    written = _without_gaps(shown(printable))

    assert "".join(written.split()) == "".join(printable.split())


EMPTY_LINES = ("", " ", "\t", "\u200b", "\u3164", "\u2800 ", "\u00a0", "\u202e\u202c")


@pytest.mark.parametrize("blank", EMPTY_LINES, ids=ascii)
@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\u2028", "\u2029", "\x0b", "\x85"]
)
def test_a_run_of_empty_lines_is_written_out(blank: str, end: str) -> None:
    text = f"Dear Ms Okafor{end}{(blank + end) * 70}we also send you 1,450 USD in cash"

    html = shown(text)

    assert ">70 empty lines</span>" in html
    assert html.count("\n") + html.count("U+") < 8
    assert "70 empty lines" in oddities(text)


@pytest.mark.parametrize(
    "blank", [" ", "\t", "\u3000", "\u200b", "\u3164", "\u2800", " \u00a0"]
)
def test_a_wide_gap_within_a_line_is_written_out(blank: str) -> None:
    text = f"to your card{blank * 200}and 1,450 USD in cash"

    html = shown(text)

    assert f">{len(blank) * 200} blanks</span>and" in html


_GAPPY = st.text(
    alphabet=st.sampled_from("a. \t\n\r\u00a0\u2003\u200b\u2028\u2800\u3164\u202e"),
    max_size=120,
)


@given(_GAPPY)
def test_no_run_of_nothing_is_left_however_it_is_made(text: str) -> None:
    written = _without_gaps(shown(text))

    assert not re.search(r"\n[ \t]*\n[ \t]*\n[ \t]*\n", written)
    assert not re.search(r" {16,}", written)
    assert [c for c in written if c in "a."] == [c for c in text if c in "a."]


@given(_GAPPY, _GAPPY)
def test_no_difference_leaves_a_run_of_nothing(before: str, after: str) -> None:
    for html in compared(before, after):
        assert not re.search(r"(\n[ \t]*){7,}", _without_gaps(html))


@given(st.characters(categories=["Nd"]))
def test_every_digit_outside_ascii_is_marked(digit: str) -> None:
    found = oddities(f"{digit}50.00 USD")

    assert (found == []) == digit.isascii()


@given(
    st.sampled_from(sorted(LOOKS_LIKE)).filter(str.isalpha),
    st.sampled_from(["pay{}al.com", "{}", "send it to p{}l now"]),
)
def test_every_look_alike_of_another_script_is_marked(char: str, text: str) -> None:
    found = oddities(text.format(char))

    is_latin = unicodedata.name(char).startswith("LATIN")
    is_apostrophe = unicodedata.category(char) == "Lm" or len(LOOKS_LIKE[char]) > 1
    assert found or is_latin or is_apostrophe or unicodedata.name(char)[:3] == "CJK"


def test_a_long_text_holds_nobody_up() -> None:
    texts = (
        "\u0436" * 64_000,
        " " * 64_000 + "x",
        "\u200b\n" * 32_000,
        "p\u0430y " * 16_000,
    )

    for text in texts:
        began = time.perf_counter()
        shown(text)
        # A square of the length would take minutes.
        assert time.perf_counter() - began < 20, ascii(text[:4])


def _without_gaps(html: str) -> str:
    """What a page writes of a text, without what it tells about it."""
    seen = _Tags()
    seen.feed(html)
    return re.sub(r"\x00.*?\x00", "", seen.text)


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
        marked = (("class", "host"), ("class", "gap"))
        self._is_host = any(one in attrs for one in marked)
        self.text += "\x00" if self._is_host else ""

    def handle_endtag(self, tag: str) -> None:
        del tag
        self.text += "\x00" if self._is_host else ""
        self._is_host = False

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.from_regex(r"\A[ -~]{1,40}\Z").map(str.strip))
def test_the_short_way_for_simple_texts_shows_what_the_long_one_does(text: str) -> None:
    """With a line behind it a text takes the long way."""
    assert shown(f"{text}\n.") == shown(text) + shown("\n.")
