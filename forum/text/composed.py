"""What an essay becomes, apart from what makes it: only the rendering process loads that."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Composed:
    """What the rendering process answers; each entry of `toc` is (id, title, level)."""

    html: str = ""
    preview_html: str | None = None
    toc: list[tuple[str, str, int]] = field(default_factory=list)
    excerpt: str = ""
    picture_without_alt: str | None = None
    nested_too_deeply: bool = False
