"""Learning from texts: what is looked at, what is kept, and what is suspected."""

import json
import time

from forum.text.likeness import (
    LINK,
    MOST_WORDS,
    learn_likeness,
    likeness,
    words_that_count,
    words_that_weigh,
)

BAD = ["Casino bonus, win today", "The best CASINÓ of the town", "win a bonus at https://Casino.example/x?y"]
GOOD = ["The tide comes twice a day", "I walked to the town today", "A day without the tide, and a bonus"]
EXAMPLES = [(text, True) for text in BAD] + [(text, False) for text in GOOD]


def test_words_are_looked_at_without_case_and_accents_and_links_by_their_host() -> None:
    assert words_that_count("Ｃasinó, casino! 강남 www.Pay.example/casino and casino") == {
        "casino",
        "강남",
        "and",
        "pay.example",
        LINK,
    }
    assert words_that_count("x" * 41 + " …") == set()


def test_what_was_removed_is_told_from_what_was_posted_by_its_words() -> None:
    learned = learn_likeness(EXAMPLES * 5)
    assert likeness(learned, "Casino bonus") > 0.8
    assert likeness(learned, "the tide") < 0.2
    assert words_that_weigh(learned, "The tide, town and casino", 2) == ["casino"]


def test_nothing_is_suspected_but_for_its_words() -> None:
    mostly_bad = learn_likeness([(text, True) for text in BAD] * 20 + [(GOOD[0], False)])
    assert likeness(mostly_bad, "Bonjour") <= 0.5
    assert likeness(mostly_bad, "…") <= 0.5


def test_the_same_examples_teach_the_same() -> None:
    assert learn_likeness(EXAMPLES) == learn_likeness(EXAMPLES)


def test_a_word_that_only_one_text_has_is_not_kept() -> None:
    learned = learn_likeness([*EXAMPLES, ("Ring me at 555 0100, casino", True)])
    assert "casino" in learned.weights
    assert "0100" not in learned.weights


def test_what_is_kept_and_the_time_to_judge_are_bounded() -> None:
    long = " ".join(f"word{number}" for number in range(1_200))
    other = " ".join(f"other{number}" for number in range(4_000))
    learned = learn_likeness([(long, True), (long, True), (other, False), (other, False)])
    assert len(learned.weights) == MOST_WORDS
    assert len(json.dumps(learned.weights)) < 120_000
    started = time.thread_time()
    likeness(learned, long)
    assert time.thread_time() - started < 0.2
