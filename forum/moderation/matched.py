"""The words of a waiting comment as the desk shows them: with a mark round those for which it was caught."""

from markupsafe import Markup

from forum.discussion.comment import Cause, CommentRevision
from forum.discussion.learned import words_that_weighed
from forum.discussion.rules import words_matched
from forum.text.marking import mark_words


def marked(newest: CommentRevision) -> Markup:
    """Return the HTML of a wording with <mark> round the words on the list and those that the filter went by.

    No query beyond that of the settings, and one for each request for what the filter suspects.
    """
    words = words_matched(newest.source)
    if Cause.LEARNED in newest.causes:
        words += words_that_weighed(newest.source)
    html = mark_words(newest.html, words) if words else newest.html
    return Markup(html)  # noqa: S704 (sanitised when stored, and marks hold no tag)
