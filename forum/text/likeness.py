"""How much a text is like others that were removed: a logistic regression over its words, learned on this machine."""

import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass

from forum.text.phrases import words_of

LINK = "a link"
"""Stands for any link among the words; with its space it is no word."""

LONGEST_WORD = 40
MOST_WORDS = 4_000
"""So many words are kept, those that weigh most: about 80 KB."""

IN_TEXTS = 2
"""In so many texts a word must stand to be kept: what one person told once is nobody else’s to read in a list."""

# Found by measuring, see docs/decisions/0012: more passes or less restraint learn single comments by heart.
PASSES = 8
RATE = 0.5
RESTRAINT = 0.001


@dataclass(frozen=True)
class Likeness:
    """What was learned: how much each word speaks for removing (above 0) or for posting (below)."""

    bias: float
    weights: dict[str, float]


def learn_likeness(examples: Sequence[tuple[str, bool]]) -> Likeness:
    """Return what a list of texts, each with whether it was removed, teaches; the same list teaches the same.

    Stochastic gradient descent with a rate for each word (AdaGrad: Duchi, Hazan and Singer 2011).
    """
    rows = [(sorted(words_that_count(text)), removed) for text, removed in examples]
    learner = _Learner()
    order = random.Random(0)  # noqa: S311 (the order of the examples is no secret, and the same each time)
    for _ in range(PASSES):
        order.shuffle(rows)
        for words, removed in rows:
            learner.learn(words, removed)
    in_texts = Counter(word for words, _ in rows for word in words)
    kept = [word for word in learner.weights if in_texts[word] >= IN_TEXTS]
    heaviest = sorted(kept, key=lambda word: (-abs(learner.weights[word]), word))[:MOST_WORDS]
    bias = min(0.0, round(learner.bias, 3))  # nothing is suspected but for its words
    return Likeness(bias, {word: round(learner.weights[word], 3) for word in heaviest})


def likeness(learned: Likeness, text: str) -> float:
    """Return how likely `text` would be removed, between 0 and 1."""
    known = [learned.weights[word] for word in words_that_count(text) if word in learned.weights]
    return _probability(learned.bias + _scale(known) * sum(known))


def words_that_weigh(learned: Likeness, text: str, most: int) -> list[str]:
    """Return the words of `text` that speak most for removing it, the heaviest first, and none far behind it."""
    weights = {word: learned.weights.get(word, 0.0) for word in words_that_count(text)}
    least = max(weights.values(), default=0.0) / 3
    heavy = [word for word, weight in weights.items() if weight > 0 and weight >= least]
    return sorted(heavy, key=lambda word: (-weights[word], word))[:most]


def words_that_count(text: str) -> set[str]:
    """Return what is looked at of a text: each folded word once, the hosts of its links, and that it has links."""
    hosts = {(found[1] or found[2]).lower() for found in _LINK.finditer(text)}
    words = {
        unicodedata.normalize("NFC", word) for word, _, _ in words_of(_LINK.sub(" ", text))
    }  # to be shown
    return {word for word in words | hosts if len(word) <= LONGEST_WORD} | ({LINK} if hosts else set())


class _Learner:
    """The weights while they are learned, and for each how much it was moved so far."""

    def __init__(self) -> None:
        self.bias = 0.0
        self.weights: dict[str, float] = {}
        self._moved: dict[str, float] = {}
        self._bias_moved = 1e-6

    def learn(self, words: list[str], removed: bool) -> None:
        scale = _scale(words)
        weights, moved = self.weights, self._moved
        error = _probability(self.bias + scale * sum(weights.get(word, 0.0) for word in words)) - removed
        self._bias_moved += error * error
        self.bias -= RATE * error / math.sqrt(self._bias_moved)
        for word in words:
            weight = weights.get(word, 0.0)
            slope = error * scale + RESTRAINT * weight
            moved[word] = squares = moved.get(word, 1e-6) + slope * slope
            weights[word] = weight - RATE * slope / math.sqrt(squares)


def _scale(words: Sized) -> float:
    """Return what the sum over words is multiplied with, so that a long text is not judged by its length."""
    return 1 / math.sqrt(max(1, len(words)))


def _probability(score: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


_LINK = re.compile(
    r"https?://([^\s/?#<>\"()]+)[^\s<>\"()]*|\bwww\.([^\s/?#<>\"()]+)[^\s<>\"()]*", re.IGNORECASE
)
