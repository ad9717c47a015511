"""What a comment becomes, and what it may not be."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text import markdown
from forum.text.excerpt import count_words, plain_text
from forum.text.markdown import MAX_CHARACTERS, MAX_HTML, Rejected, bare_links, render_comment
from forum.text.normal import normalise
from tests.text.html_reading import complaints_about_comment

REL = 'rel="nofollow ugc noopener"'


def html_of(source: str) -> str:
    return render_comment(source).html


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("*Hello* **all** `of` ~~you~~", "<p><em>Hello</em> <strong>all</strong> <code>of</code> <del>you</del></p>"),
        ("one\ntwo\n\nthree", "<p>one<br>\ntwo</p>\n<p>three</p>"),
        ("> said\n\nanswer", "<blockquote>\n<p>said</p>\n</blockquote>\n<p>answer</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. c\n4. d", "<ol>\n<li>c</li>\n<li>d</li>\n</ol>"),
        ("```js\nif (a < b) {}\n```", "<pre><code>if (a &lt; b) {}\n</code></pre>"),
        ("above\n\n---\n\nbelow", "<p>above</p>\n<hr>\n<p>below</p>"),
        ("“Quotes” — and dashes…", "<p>“Quotes” — and dashes…</p>"),
        ("# A heading", "<p>A heading</p>"),
        ("A line\n---", "<p>A line</p>\n<hr>"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "<p>| a | b |<br>\n|---|---|<br>\n| 1 | 2 |</p>"),
        ("a <b>tag</b> &amp; &lt;", "<p>a &lt;b&gt;tag&lt;/b&gt; &amp; &lt;</p>"),
        ("[x]: https://a.example\n\n[x]", f'<p>[x]: <a href="https://a.example" {REL}>https://a.example</a></p>\n<p>[x]</p>'),
    ],
)  # fmt: skip
def test_a_comment_becomes(source: str, html: str) -> None:
    assert html_of(source) == html


@pytest.mark.parametrize(
    ("source", "href", "text"),
    [
        ("[words](https://a.example/b)", "https://a.example/b", "words"),
        ("[mail](mailto:ada@a.example)", "mailto:ada@a.example", "mail"),
        ("<https://a.example>", "https://a.example", "https://a.example"),
        ("![a cat](https://a.example/cat.png)", "https://a.example/cat.png", "a cat"),
        ("![](https://a.example/cat.png)", "https://a.example/cat.png", "https://a.example/cat.png"),
        ("[](https://a.example)", "https://a.example", "https://a.example"),
        ("[&nbsp;](https://a.example)", "https://a.example", "https://a.example"),
        ("https://a.example/b_(c)_d", "https://a.example/b_(c)_d", "https://a.example/b_(c)_d"),
    ],
)
def test_a_link_leads_outside_and_has_words(source: str, href: str, text: str) -> None:
    html = html_of(source)
    assert html.startswith(f'<p><a href="{href}" {REL}>{text}')
    assert html.removesuffix("</a></p>").removesuffix("&nbsp;").endswith(text)


def test_an_escaped_exclamation_mark_before_a_link_stays() -> None:
    assert html_of(r"Look\![a](https://a.example)").startswith("<p>Look!<a ")


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/sign-out",
        "#comment-1",
        "page.html",
        "http:/evil.example",
        "http:evil.example",
        "https:///evil.example",
        "https://",
        "https:\\\\evil.example",
        "https://bank.example@evil.example/",
        "https://[::1",
        "https://a.example:port/",
        "mailto:nobody",
        "https://a.example/" + "x" * 2_000,
    ],
)
def test_a_link_that_leads_nowhere_outside_stays_words(target: str) -> None:
    rendered = render_comment(f"[words]({target})")
    assert rendered.links == 0
    assert "href" not in rendered.html
    assert "words" in rendered.html


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("see https://a.example.", "https://a.example"),
        ("(https://a.example/b)", "https://a.example/b"),
        ("“https://a.example/b”", "https://a.example/b"),
        ("https://a.example/b?c=d&e=f#g!", "https://a.example/b?c=d&e=f#g"),
        ("https://a.example/w/Cat_(animal)).", "https://a.example/w/Cat_(animal)"),
        ("HTTPS://A.EXAMPLE/", "HTTPS://A.EXAMPLE/"),
        ("https://пример.example/я", "https://пример.example/я"),
        ("xhttps://a.example", None),
        ("https:// a.example", None),
        ("www.a.example and ftp://a.example", None),
        ("https://[", None),
    ],
)
def test_a_bare_address_becomes_a_link(text: str, url: str | None) -> None:
    pieces = bare_links(text)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_url in pieces if is_url] == ([url] if url else [])


def test_an_address_in_code_or_in_a_link_is_not_linked_again() -> None:
    assert render_comment("`https://a.example`").links == 0
    assert render_comment("[at https://b.example now](https://a.example)").links == 1


def test_words_and_links_are_counted() -> None:
    rendered = render_comment("Don’t read https://a.example or [this well-known one](https://b.example).")
    assert rendered.links == 2
    assert rendered.words == 8  # the scheme of a bare address is a word of its own


def test_the_source_is_kept_in_normal_form_and_the_renderer_is_named() -> None:
    rendered = render_comment("a\r\nb\x00c\u202e")
    assert rendered.source == "a\nbc"
    assert "markdown-it-py" in rendered.renderer
    assert len(rendered.renderer) <= 80


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "Write something first"),
        (" \n\t \x00", "Write something first"),
        (">>", "Write something first"),
        ("***", "Write something first"),
        ("&nbsp; &nbsp;", "Write something first"),
        ("a", "at least 2 characters"),
        ("a" * 10_001, "1 character too long"),
        ("a" * 12_345, "2,345 characters too long"),
        ("a\n" * 1_002 + "a", "2 line breaks too many"),
        ("> " * 21 + "deep", "nested too deeply"),
        (">" * 5_000 + "deep", "nested too deeply"),
        ("- " * 12 + "deep", "nested too deeply"),
    ],
)
def test_a_refused_comment_says_why(source: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        render_comment(source)


def test_the_longest_comment_is_accepted() -> None:
    assert render_comment("a" * MAX_CHARACTERS).words == 1
    assert render_comment("a\n" * 1_000 + "a").words == 1_001


@pytest.mark.parametrize("marks", ["> ", "- ", "1. ", "> - ", "- > "])
def test_deep_nesting_shows_its_words_or_is_refused(marks: str) -> None:
    outcomes = set()
    for depth in range(1, 25):
        try:
            assert "deepword" in html_of(marks * depth + "deepword")
            outcomes.add("shown")
        except Rejected:
            outcomes.add("refused")
    assert outcomes == {"shown", "refused"}


def test_too_much_html_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "[a](https://a.example) " * 400
    assert len(html_of(source)) < MAX_HTML
    monkeypatch.setattr(markdown, "MAX_HTML", 10_000)
    with pytest.raises(Rejected, match="too complicated"):
        render_comment(source)


def test_slow_rendering_is_refused_and_logs_only_a_hash(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(markdown, "RENDER_CPU_SECONDS", 0.0)
    with caplog.at_level(logging.WARNING), pytest.raises(Rejected, match="too long to show"):
        render_comment("my ~~secret~~ opinion")
    assert "secret" not in caplog.text
    # The sha256 of those words.
    assert "sha256" in caplog.text
    assert len(caplog.text.rsplit(maxsplit=1)[-1]) == 64


PIECES = [
    "*", "**", "_", "~~", "`", "```\n", "> ", "- ", "1. ", "\n", "\n\n", "# ", "![", "[", "](", ")", "<",
    "https://a.example/", "javascript:", "<script>", "<img src=x onerror=y>", "&#", "\\", "    ", "\t",
    "[a](https://a.example)", "]: ", "|", "---", '"', "'", "<!--", "-->", "\x00", "\u202e", "&lt;",
]  # fmt: skip
ANYTHING = st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=()), max_size=5))
MARKED_UP = st.lists(ANYTHING, max_size=60).map("".join)


@given(MARKED_UP)
def test_whatever_is_typed_becomes_harmless_html_or_a_sentence(source: str) -> None:
    try:
        rendered = render_comment(source)
    except Rejected:
        return
    assert complaints_about_comment(rendered.html) == []
    assert len(rendered.html) <= 20 * len(rendered.source) + 500
    assert render_comment(rendered.source) == rendered


@given(
    st.lists(st.sampled_from(["word", "*", "_", "[", "]", "(", ")", "~~x", "> ", "\n", "- ", "!", " "])).map(
        "".join
    )
)
def test_no_word_is_lost(source: str) -> None:
    try:
        html = html_of(source)
    except Rejected:
        return
    assert html.count("word") == source.count("word")


PROSE_PIECES = [
    *" \n.,;:?!()'\"*-–“”‘’«…_1",
    "\n\n",
    "a",
    "Bc",
    "é",
    "½",
    "don",
    "中",
    "*b*",
    " *c d* ",
    "http://e.example",
]


@given(st.lists(st.sampled_from(PROSE_PIECES), max_size=16))
def test_prose_is_what_the_parser_makes_of_it(pieces: list[str]) -> None:
    source = normalise("".join(pieces))
    html = markdown.prose_html(source)
    assert html in (None, markdown._to_html(source))
    if html is not None:
        assert render_comment(f"{source} It ends.").words == count_words(plain_text(html)) + 2


@pytest.mark.parametrize(
    ("source", "is_prose"),
    [
        ("She *waits*, he says: “why?”\nNobody (I asked) knows.\n\nIt’s well-known, isn't it …", True),
        ("*One* of two.", True),
        ("Two *stars or* three* of them.", False),
        ("- A list.", False),
        ("1. A list.", False),
        ("A link: https://a.example", False),
        ("A tag: <b>", False),
        ("An _underline_.", False),
    ],
)
def test_prose_needs_no_parser(source: str, is_prose: bool) -> None:
    assert (markdown.prose_html(source) is not None) == is_prose


def test_threads_whose_words_are_a_parsers_first_get_all_of_its_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, html = sys.getswitchinterval(), render_comment("Some _words_.").html
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            monkeypatch.setattr(markdown, "_MARKDOWN", markdown._comment_markdown())
            with ThreadPoolExecutor(8) as crowd:
                assert {one.html for one in crowd.map(render_comment, ["Some _words_."] * 8)} == {html}
    finally:
        sys.setswitchinterval(before)
