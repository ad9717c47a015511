"""The mark round matched words: only words are marked, and nothing else changes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.markdown import Rejected, render_comment
from forum.text.marking import mark_words
from tests.text.html_reading import Reading, complaints_about_comment

LINK = 'rel="nofollow ugc noopener"'


@pytest.mark.parametrize(
    ("html", "words", "expected"),
    [
        ("<p>Our CASINÓ, casinos</p>", ["casino"], "<p>Our <mark>CASINÓ</mark>, casinos</p>"),
        ("<p>cafe\u0301s cafe\u0301</p>", ["CAFÉ"], "<p>cafe\u0301s <mark>cafe\u0301</mark></p>"),
        ("<p>buy it\nnow, buy now</p>", ["buy now"], "<p>buy it\nnow, <mark>buy now</mark></p>"),
        ("<p>a <em>good</em> buy</p>", ["good buy"], "<p>a <em><mark>good</mark></em><mark> buy</mark></p>"),
        (
            "<p>R&amp;D amp &lt;p</p>",
            ["amp", "r&d", "lt"],
            "<p><mark>R&amp;D</mark> <mark>amp</mark> &lt;p</p>",
        ),
        (
            f'<p><a href="https://p.example/p" {LINK} title="p > p">p</a></p>',
            ["p", "a", "rel", "https"],
            f'<p><a href="https://p.example/p" {LINK} title="p > p"><mark>p</mark></a></p>',
        ),
        ("<p>nothing</p>", ["", "…", "thing"], "<p>nothing</p>"),
    ],
)
def test_whole_folded_words_and_phrases_are_marked(html: str, words: list[str], expected: str) -> None:
    assert mark_words(html, words) == expected


@given(st.text(max_size=300), st.lists(st.text(max_size=12), max_size=4), st.data())
def test_a_comment_without_its_marks_is_as_before(typed: str, words: list[str], data: st.DataObject) -> None:
    try:
        html = render_comment(typed).html
    except Rejected:
        return
    if known := typed.split():
        words = [*words, *data.draw(st.lists(st.sampled_from(known), max_size=3))]
    shown = mark_words(html, words)
    assert shown.replace("<mark>", "").replace("</mark>", "") == html
    assert set(complaints_about_comment(shown)) <= {"<mark>"}
    reading = Reading(shown)
    assert all(attributes == {} for attributes in reading.named("mark"))


@given(st.text(alphabet='<>"=& ;/apm', max_size=60))
def test_not_even_broken_html_is_changed_but_for_marks(html: str) -> None:
    shown = mark_words(html, ["a", "p", "amp", "m p"])
    assert shown.replace("<mark>", "").replace("</mark>", "") == html


@pytest.mark.parametrize("unit", ['<a "', '<"a', "a ", "<a ", "a\u0301", "&amp", "&lt;", '<a x="', '<a">"'])
def test_hostile_html_is_marked_in_linear_time_and_to_a_bounded_size(unit: str) -> None:
    html = unit * (200_000 // len(unit))
    started = time.thread_time()
    shown = mark_words(html, ["a", "a a a b", "amp"])
    assert time.thread_time() - started < 3
    assert len(shown) <= 2 * len(html)
