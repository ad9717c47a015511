"""Every typed text comes into one form, without anything that breaks storage or layout."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.normal import normalise, one_line

ANY_TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=()),  # surrogates too
        st.sampled_from("\r\n\t\x00\x0b\x85\u202e\u2066\ufeff\ufffe\ud83d\ude00e\u0301\u0316\u0344 "),
    )
)


@given(ANY_TEXT)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert one_line(one_line(text)) == one_line(text)


@given(ANY_TEXT)
def test_no_forbidden_character_is_left(text: str) -> None:
    result = normalise(text)
    for character in result:
        code = ord(character)
        assert unicodedata.category(character) not in {"Cc", "Cs"} or character in "\t\n"
        assert not 0x202A <= code <= 0x202E
        assert not 0x2066 <= code <= 0x2069
        assert code != 0xFEFF
        assert not 0xFDD0 <= code <= 0xFDEF
        assert code & 0xFFFE != 0xFFFE
    assert unicodedata.is_normalized("NFC", result)
    result.encode()  # UTF-8 has no place for surrogates


@given(ANY_TEXT)
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert line.split() == ([] if not line else line.split(" "))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\u2028b\u2029c", "a\nb\nc"),
        ("a\x00b\x07c\x9fd", "abcd"),
        ("tab\tstays", "tab\tstays"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("\u2067right\u2069 left", "right left"),
        ("\ufeffmark", "mark"),
        ("lone \ud83d high", "lone \ufffd high"),
        ("lone \ude00 low", "lone \ufffd low"),
        ("pair \ud83d\ude00", "pair 😀"),
        ("end \ud83d", "end \ufffd"),
        ("e\u0301", "é"),
        ("\n\n    code first \n\n", "    code first"),
        (" \n \t\ntext", "text"),
        ("שלום \u200fעולם", "שלום \u200fעולם"),
        ("“quotes” — dashes…", "“quotes” — dashes…"),
    ],
)
def test_normal_form(typed: str, kept: str) -> None:
    assert normalise(typed) == kept


def test_a_heap_of_accents_is_cut_and_takes_no_time() -> None:
    started = time.thread_time()
    result = normalise("a" + "\u0301\u0316" * 100_000)
    assert time.thread_time() - started < 1  # NFC alone would need more than 30 s
    assert len(result) <= 31


def test_a_title_is_one_line() -> None:
    assert one_line("  A\n title\t\u00a0with   room ") == "A title with room"
