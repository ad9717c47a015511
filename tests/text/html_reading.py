"""Reads HTML back in tests, as strictly as a browser would let one attack it."""

from html.parser import HTMLParser
from urllib.parse import urlsplit


class Reading(HTMLParser):
    """Collects every start tag with its attributes, and complains about the rest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.other: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_comment(self, data: str) -> None:
        self.other.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.other.append(f"declaration {decl}")

    def unknown_decl(self, data: str) -> None:
        self.other.append(f"declaration {data}")

    def handle_pi(self, data: str) -> None:
        self.other.append(f"instruction {data}")

    def named(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of each `tag`."""
        return [attributes for name, attributes in self.tags if name == tag]


COMMENT_TAGS = {"p", "br", "em", "strong", "a", "blockquote", "code", "pre", "ul", "ol", "li", "hr", "del"}
"""Written out again: a slip in the list under test must not slip through here."""


def complaints_about_comment(html: str) -> list[str]:
    """Return what in `html` no comment may hold."""
    reading = Reading(html)
    found = list(reading.other)
    for tag, attributes in reading.tags:
        if tag not in COMMENT_TAGS:
            found.append(f"<{tag}>")
        found += [
            f"{tag}[{name}]" for name in attributes if tag != "a" or name not in {"href", "title", "rel"}
        ]
        if tag == "a" and attributes.get("rel") != "nofollow ugc noopener":
            found.append(f"rel {attributes.get('rel')}")
        if "href" in attributes and not _leads_outside(attributes["href"]):
            found.append(f"href {attributes['href']}")
    return found


def _leads_outside(url: str) -> bool:
    if url.startswith("mailto:"):
        return "@" in url
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "\\" not in url
