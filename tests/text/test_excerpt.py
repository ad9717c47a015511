"""The plain words of a text, whole or only the first of them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.excerpt import count_words, first_line, plain_text, shorten


def test_plain_text_has_a_line_for_each_block_and_no_note_numbers() -> None:
    html = (
        '<h2 id="s-a">Head</h2><p>One &lt;b&gt;<a class="sidenote-ref" href="#fn-1">1</a>, <em>two</em><br>three</p>'
        "<ul><li>x</li><li>y</li></ul>"
    )
    assert plain_text(html) == "Head\nOne <b>, two\nthree\nx\ny"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<p>Hello <em>you</em></p>\n<p>again</p>", "Hello you again"),
        ("Hello *you*, **all**\nagain", "Hello you, all again"),
        ("> - # deep `code` and [words](https://a.example)", "deep code and words"),
        ("a < b and c > d", "a < b and c > d"),
        ("<https://a.example> is a link", "<https://a.example> is a link"),
        ("snake_case and 2 * 3 * 4 stay", "snake_case and 2 * 3 * 4 stay"),
        ("", ""),
    ],
)
def test_the_first_line_is_plain_words(text: str, line: str) -> None:
    assert first_line(text) == line


def test_a_long_line_ends_between_words_with_dots() -> None:
    line = first_line("The quick brown fox, jumps over the lazy dog", 22)
    assert line == "The quick brown fox…"
    assert first_line("x" * 200, 10) == "xxxxxxxxx…"
    assert first_line("exactly ten", 11) == "exactly ten"


@given(st.text(), st.integers(min_value=2, max_value=100))
def test_a_shortened_text_is_never_longer_and_on_one_line(text: str, length: int) -> None:
    line = shorten(text, length)
    assert len(line) <= length
    assert len(line.splitlines()) <= 1


def test_the_first_line_of_a_hostile_text_takes_no_time() -> None:
    started = time.thread_time()
    for unit in ("[", "*", "> ", "[a](", "1. ", "`", "<", "<p ", "~~", "_a"):
        first_line(unit * (10_000 // len(unit)))
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("one", 1), ("don’t stop", 2), ("well-known", 1), ("— … !", 0), ("élan vital", 2)],
)
def test_words_are_counted(text: str, words: int) -> None:
    assert count_words(text) == words
