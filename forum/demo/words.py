"""Names and comments in any number, always the same for the same seed."""

import re
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path
from random import Random

import yaml

from forum.demo.story import ESSAYS

FEWEST_WORDS = 40
MOST_WORDS = 400
USUAL_WORDS = 80

EXCHANGED = 0.4
"""Of 100 words of a sentence 40 are exchanged for others. The essays have few sentences, and text made of whole ones
packs to a third of what people's own words do; so changed, gzip needs 2.8 bits for a character, as for a novel."""

NAMES = Path(__file__).parent / "names.yaml"
INITIALS = "ABCDEFGHJKLMNPRSTVW"


def reader_names() -> Iterator[str]:
    """Yield names without end, no two the same: Ada Abbott, …, then with an initial, then with a number."""
    names = yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    for number in count(1):
        for initial in ["", *INITIALS]:
            for family, given in product(names["family"], names["given"]):
                parts = [given, f"{initial}." if initial else "", family, str(number) if number > 1 else ""]
                yield " ".join(part for part in parts if part)


class Writer:
    """Writes comments of 40 to 400 words out of the demo essays' words, drawn by `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.sentences = _sentences()
        self.words = [word for one in self.sentences for word in re.findall(r"[\w’-]+", one)]

    def comment(self) -> str:
        """Return one comment as Markdown: a few paragraphs, some with emphasis, a quotation or a link."""
        wanted = round(self.random.triangular(FEWEST_WORDS, MOST_WORDS, USUAL_WORDS))
        paragraphs: list[str] = []
        while wanted > 0:
            paragraph = self._paragraph(min(wanted, self.random.randint(40, 110)))
            wanted -= len(paragraph.split())
            paragraphs.append(self._decorated(paragraph))
        return "\n\n".join(paragraphs)

    def _paragraph(self, words: int) -> str:
        chosen: list[str] = []
        while words > 0:
            sentence = [self._exchanged(word) for word in self.random.choice(self.sentences).split()]
            chosen += sentence[:words] if len(sentence) > words else sentence
            words -= len(sentence)
        return " ".join(chosen).rstrip(",;:") + ("" if chosen[-1][-1] in ".?!" else ".")

    def _exchanged(self, word: str) -> str:
        return self.random.choice(self.words) if self.random.random() < EXCHANGED else word

    def _decorated(self, paragraph: str) -> str:
        kind = self.random.random()
        if kind < 0.1:
            return "> " + paragraph
        if kind < 0.25:
            first, _, rest = paragraph.partition(" ")
            return f"*{first}* {rest}"
        if kind < 0.3:
            return f"{paragraph} [More here](https://tides.example/{self.random.randint(1, 999)})."
        return paragraph


def _sentences() -> list[str]:
    """Return the sentences of the demo essays without their marks, in the order of the files."""
    found: list[str] = []
    for path in sorted(ESSAYS.glob("*.md")):
        text = path.read_text(encoding="utf-8").split("---\n", 2)[2]
        prose = " ".join(line for line in text.split("\n") if re.match(r"[A-Za-z*]", line))
        plain = re.sub(r"\[\^\d+\]|[*_]|TK", "", prose)
        found += [one for one in re.split(r"(?<=[.?!])\s+", plain) if len(one.split()) > 2]
    return found
