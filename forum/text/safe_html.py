"""The last step before HTML is stored: only what is listed here reaches a reader."""

import re
from collections.abc import Callable
from secrets import token_hex
from urllib.parse import urlsplit

import nh3

_COMMENT_TAGS = "p br em strong a blockquote code pre ul ol li hr del"
_ESSAY_TAGS = (
    "h2 h3 h4 figure figcaption img table caption thead tbody tfoot tr th td sup sub dl dt dd"
    " details summary aside small cite q abbr mark kbd span div"
)
COMMENT_TAGS = frozenset(_COMMENT_TAGS.split())
ESSAY_TAGS = COMMENT_TAGS | frozenset(_ESSAY_TAGS.split())
ESSAY_CLASSES = {
    "a": {"sidenote-ref"},
    "aside": {"sidenote"},
    "div": {"table-scroll"},
    "span": {"small-caps"},
    "td": {"align-center", "align-end"},
    "th": {"align-center", "align-end"},
}

# Far above honest links; without it one address repeated could make pages of any size.
LONGEST_LINK = 2_000


MORE_CLASS = f"more-{token_hex(8)}"
"""Marks the end of an essay's preview while it is composed; no author can write it."""


def clean_comment_html(html: str) -> str:
    """Return `html` with nothing left but the few tags of a comment and outside links."""
    return _COMMENT_CLEANER.clean(html)


def clean_essay_html(html: str) -> str:
    """Return `html` with nothing left but the tags, classes and ids of an essay."""
    return _ESSAY_CLEANER.clean(html)


def clean_essay_draft(html: str) -> str:
    """Return `html` balanced and safe, still with the marks from which an essay is composed.

    Unlike the final form it keeps all six heading levels, every id and the mark at the end of the
    preview. Not for readers: `clean_essay_html` comes after it.
    """
    return _DRAFT_CLEANER.clean(html)


def is_outside_link(url: str) -> bool:
    """Tell whether `url` is complete and leads elsewhere: http, https with a host, or mailto."""
    if len(url) > LONGEST_LINK or _NOT_IN_URL.search(url):
        return False
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
        _ = parts.port  # raises if it is no number
    except ValueError:
        return False
    if parts.scheme == "mailto":
        return bool(_MAIL_ADDRESS.match(parts.path))
    # A name before the host (https://bank.example@evil.example) only ever serves to deceive.
    return parts.scheme in {"http", "https"} and bool(host) and user is None


def is_inside_link(url: str) -> bool:
    """Tell whether `url` is a path on this site or a place on the same page."""
    return len(url) <= LONGEST_LINK and bool(_PATH_OR_PLACE.match(url))


# Browsers drop tab and newline inside an address and read a backslash as a slash.
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
_MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\Z")
_PATH_OR_PLACE = re.compile(r"(?:/(?![/\\])[^\x00-\x20\x7f-\xa0\\]*|#[\w.-]+)\Z")
_ESSAY_ID = re.compile(r"(?:s|fn|fnref)-[\w.-]{1,200}\Z")
_LABEL = re.compile(r"(?:Note|Table) \d{1,6}\Z")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}\Z")
_NUMBER = re.compile(r"-?\d{1,5}\Z")


def _filter_comment_attribute(tag: str, name: str, value: str) -> str | None:
    if name == "href":
        return value if is_outside_link(value) else None
    return value


def _filter_essay_attribute(tag: str, name: str, value: str) -> str | None:
    rule = _ESSAY_RULES.get(name)
    return value if rule is None or rule(value) else None


def _filter_draft_attribute(tag: str, name: str, value: str) -> str | None:
    is_place = name == "id" or (name == "href" and value.startswith("#"))
    return value if is_place else _filter_essay_attribute(tag, name, value)


def _is_link(url: str) -> bool:
    return is_outside_link(url) or is_inside_link(url)


def _is_picture(url: str) -> bool:
    return _is_link(url) and not url.lower().startswith(("mailto:", "#"))


_ESSAY_RULES: dict[str, Callable[[str], bool]] = {
    "href": _is_link,
    "src": _is_picture,
    "id": lambda value: bool(_ESSAY_ID.match(value)),
    "aria-label": lambda value: bool(_LABEL.match(value)),
    "role": lambda value: value in {"note", "region"},
    "tabindex": lambda value: value == "0",
    "loading": lambda value: value == "lazy",
    "scope": lambda value: value in {"col", "row"},
    "dir": lambda value: value in {"ltr", "rtl", "auto"},
    "lang": lambda value: bool(_LANGUAGE.match(value)),
    **dict.fromkeys(
        ("width", "height", "colspan", "rowspan", "start", "value"),
        lambda value: bool(_NUMBER.match(value)),
    ),
}

_LANGUAGE_ATTRIBUTES = {"lang", "dir"}
_ESSAY_ATTRIBUTES = {
    "*": set[str](),  # without this entry nh3 keeps lang and title on every element
    "a": {"href", "title", "id", "aria-label"},
    "abbr": {"title"},
    "aside": {"id", "role"},
    "details": {"open"},
    "div": {"role", "tabindex", "aria-label"},
    "h2": {"id"},
    "h3": {"id"},
    "h4": {"id"},
    "img": {"src", "alt", "width", "height", "loading"},
    "li": {"value"},
    "ol": {"start", "reversed"},
    "pre": {"tabindex"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    **dict.fromkeys(("p", "blockquote", "q", "cite", "span", "em"), _LANGUAGE_ATTRIBUTES),
}

_COMMENT_CLEANER = nh3.Cleaner(
    tags=set(COMMENT_TAGS),
    attributes={"*": set(), "a": {"href", "title"}},
    attribute_filter=_filter_comment_attribute,
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",  # otherwise //evil.example stays
    link_rel="nofollow ugc noopener",
)
_ESSAY_CLEANER = nh3.Cleaner(
    tags=set(ESSAY_TAGS),
    attributes=_ESSAY_ATTRIBUTES,
    attribute_filter=_filter_essay_attribute,
    url_schemes={"http", "https", "mailto"},
    url_relative="pass_through",  # the filter keeps paths and places, and drops //evil.example
    allowed_classes=ESSAY_CLASSES,
    link_rel="noopener",
)
_DRAFT_TAGS = ESSAY_TAGS | {"h1", "h5", "h6"}
_DRAFT_CLEANER = nh3.Cleaner(
    tags=set(_DRAFT_TAGS),
    attributes={
        **{tag: _ESSAY_ATTRIBUTES.get(tag, set()) | {"id"} for tag in _DRAFT_TAGS},
        "*": set(),
        "img": {"src", "alt", "title", "width", "height"},
        "td": {"colspan", "rowspan", "align"},
        "th": {"colspan", "rowspan", "align", "scope"},
    },
    attribute_filter=_filter_draft_attribute,
    url_schemes={"http", "https", "mailto"},
    url_relative="pass_through",
    allowed_classes={"span": {"small-caps", MORE_CLASS}},
    link_rel=None,
)
