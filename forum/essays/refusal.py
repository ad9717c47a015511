"""Why an essay cannot be as its author wants it: one sentence, and the field that it belongs beside."""


class EssayRefused(Exception):
    """A wish that cannot be granted; the message is a sentence for the author.

    `field` names what to mend: title, subtitle, body, slug, tags, closing, time, picture, alt.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
