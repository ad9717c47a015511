"""What changed between two versions of a text."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.difference import differences

WORDS = st.lists(st.sampled_from(["the", "cat", "sat", " ", " ", "\n", "mat.", "é"]), max_size=60).map(
    "".join
)


@given(WORDS, WORDS)
def test_both_versions_can_be_read_from_the_segments(old: str, new: str) -> None:
    segments = differences(old, new)
    assert "".join(text for change, text in segments if change != "ins") == old
    assert "".join(text for change, text in segments if change != "del") == new
    assert all(text for _, text in segments)
    assert all(first[0] != second[0] for first, second in pairwise(segments))


def test_only_the_changed_words_are_marked() -> None:
    assert differences("The cat sat on the mat.\nEnd", "The black cat sat on a rug.\nEnd") == [
        ("same", "The "),
        ("ins", "black "),
        ("same", "cat sat on "),
        ("del", "the mat."),
        ("ins", "a rug."),
        ("same", "\nEnd"),
    ]


def test_an_added_paragraph_leaves_its_neighbours_alone() -> None:
    assert differences("One.\n\nThree.", "One.\n\nTwo.\n\nThree.") == [
        ("same", "One.\n\n"),
        ("ins", "Two.\n\n"),
        ("same", "Three."),
    ]


def test_a_typing_error_mended_in_every_paragraph_marks_only_words() -> None:
    paragraphs = [f"Paragraph {number} holds a singel error among other words." for number in range(200)]
    old = "\n\n".join(paragraphs)
    segments = differences(old, old.replace("singel", "single"))
    assert segments.count(("del", "singel")) == 200


def test_equal_texts_have_one_segment_and_empty_ones_none() -> None:
    assert differences("a b", "a b") == [("same", "a b")]
    assert differences("", "") == []


def _interleaved() -> tuple[str, str]:
    old = [f"{'a' * (number % 3)}w{number}" for number in range(225)]
    other = [f"x{number}" for number in range(225)]
    mixed = [word for pair in zip(old, other, strict=True) for word in pair]
    return (
        "\n".join(" ".join(mixed) + f" {line}" for line in range(60)),
        "\n".join(" ".join(old + old[::-1]) + f" {line}x" for line in range(60)),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\n" * 50_000, "b\na\n" * 50_000),
        ("\n" * 200_000, "\n" * 100_000 + "x" + "\n" * 99_999),
        ("word " * 40_000, "other " * 33_000),
        (
            " ".join(str(number * 7919 % 10_007) for number in range(40_000)),
            " ".join(str(number * 7907 % 10_009) for number in range(40_000)),
        ),
        _interleaved(),
    ],
    ids=["short lines", "empty lines", "one word", "one line of many words", "interleaved"],
)
def test_comparing_long_texts_takes_bounded_time(old: str, new: str) -> None:
    started = time.thread_time()
    differences(old, new)
    assert time.thread_time() - started < 5  # about 0.5 s on the machine where it was written
