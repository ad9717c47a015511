"""Comments made to hurt: to run script in a reader's browser, or to keep the server busy."""

import gc
import random
import time
from collections.abc import Iterator

import pytest

from forum.text.markdown import MAX_HTML, RENDER_CPU_SECONDS, Rejected, render_comment
from forum.text.safe_html import clean_comment_html
from tests.text.html_reading import complaints_about_comment

SCRIPT_ATTEMPTS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></ScRiPt>",
    "<script\x20type=module>alert(1)</script >",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<<script>alert(1)//<</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<img/src=`x`/onerror=alert(1)>",
    "<img src='x'onerror='alert(1)'",
    '<img alt="`><script>alert(1)</script>">',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=9>x</text></a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "<math href='javascript:alert(1)'>x</math>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><img src=x onerror=alert(1)></template>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=data:text/html,x>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<body onload=alert(1)>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<p style='background:url(javascript:alert(1))'>x</p>",
    "<p onclick=alert(1) class=x id=y name=z lang=en title=t>x</p>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='java&Tab;script:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='&#x6A&#x61vascript:alert(1)'>x</a>",
    "<a href='\x01javascript:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='javascript&colon;alert(1)'>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<a href='//evil.example'>x</a>",
    "<a href='/\\evil.example'>x</a>",
    "<a href='\\\\evil.example'>x</a>",
    "<a href='http:/evil.example'>x</a>",
    "<a href='https:evil.example'>x</a>",
    "<a href='https://good.example@evil.example'>x</a>",
    "<a href='https://x.example' target=_top ping=//evil.example onmouseover=alert(1) style=x>x</a>",
    "<a name=body href=https://x.example id=cookie>x</a>",
    "<p><a href='https://x.example' title='\"><script>alert(1)</script>'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT&colon;alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](//evil.example)",
    "[x](https://x.example\"onmouseover=alert(1)//)",
    '[x](https://x.example "title" onmouseover="alert(1)")',
    '[x](https://x.example \'"><script>alert(1)</script>\')',
    "![x](x\"onerror=alert(1))",
    "![x\"onerror=alert(1)](https://x.example/\"onerror=alert(1))",
    "<javascript:alert(1)>",
    "<https://x.example/\"onmouseover=alert(1)>",
    "https://x.example/\"onmouseover=alert(1)",
    "https://x.example/<script>alert(1)</script>",
    "```\"><script>alert(1)</script>\nx\n```",
    "`<img src=x onerror=alert(1)>`",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script>alert(1)</script> ?>",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\\<script>alert(1)\\</script>",
    "<p>" + "<b>" * 50 + "<table><td><script>alert(1)</script>",
    "<select><style></select><img src=x onerror=alert(1)></style>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    "<textarea></textarea><script>alert(1)</script>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<a\x0bhref=javascript:alert(1)>x</a>",
    "<a\x00 href=javascript:alert(1)>x</a>",
    "\ufeff<script>alert(1)</script>",
]  # fmt: skip


@pytest.mark.parametrize("attempt", SCRIPT_ATTEMPTS)
def test_script_does_not_get_through(attempt: str) -> None:
    assert complaints_about_comment(clean_comment_html(attempt)) == []
    for source in (attempt, f"text\n\n{attempt}\n\ntext", f"> - *{attempt}*", attempt.replace("x", "\n")):
        try:
            html = render_comment(source).html
        except Rejected:
            continue
        assert complaints_about_comment(html) == []


def test_crossed_attempts_do_not_get_through() -> None:
    chance = random.Random(7)
    for _ in range(1_500):
        one, other = chance.choice(SCRIPT_ATTEMPTS), chance.choice(SCRIPT_ATTEMPTS)
        crossed = one[: chance.randrange(len(one) + 1)] + other[chance.randrange(len(other) + 1) :]
        assert complaints_about_comment(clean_comment_html(crossed)) == [], crossed
        try:
            html = render_comment(crossed).html
        except Rejected:
            continue
        assert complaints_about_comment(html) == [], crossed


def _up_to_the_cap(unit: str) -> str:
    return (unit * (10_000 // len(unit) + 1))[:10_000]


REPEATED = [
    "[", "]", "(", "![", "[^", "[a](", "[a](<", "[a][", "[a]: ", "](", "]()", "[]()", "![[[]()", "[[*a",
    "[_", "*", "**", "*a", "*a ", "**a ", "a**", "*a_ ", "_a_", "__a__", "***_", "*a **b _c ", "~~", "~~a",
    "~~a~~ ", "`", "``a", "`a` ", "` `` ", "\\", "\\`", "&", "&amp;", "&#", "&#x41;", "<", "<!--",
    "<![CDATA[", "<?", "<a ", "<a href='", "<div>", "</div>", "<b>", "<http://", "<http://a>", "<a@b.c>",
    "http://", "https://[", "https://a.b ", "https://a.b)", "https://a.b/(", "https://https://", "! ", "'",
    '"', '"a ', "- ", "> ", ">", "> - ", "1. ", "1)", "* * ", "+ ", "# ", "| ", "|a", "|-", "    a", "\t",
    "a\u0301\u0316", "\u0301", "😀", "ﷺ", "\u202e", "\ud800", "\x00a", "a\n", "a\n\n", ">\n", "> a\n",
    "- a\n", "1. a\n", "```\n", "~~~\n", "---\n", "===\n", "a\n=\n", "  \n", "\\\n", "|a|\n", "    a\n",
    "- a\n\n  b\n", "> - a\n", "<div>\n", "[a]: b\n",
]  # fmt: skip
SHAPED = {
    "5,000 nested quotes": ">" * 5_000 + "a",
    "5,000 nested brackets": "[" * 5_000 + "a" + "]" * 5_000,
    "nested links": "[" * 2_000 + "a" + "](https://a.b)" * 570,
    "nested emphasis": "*a " * 1_600 + " b*" * 1_600,
    "growing backticks": "".join("`" * length + " " for length in range(1, 138)),
    "a deep list": "\n".join("  " * depth + "- a" for depth in range(95)),
    "a deep numbered list": "\n".join("   " * depth + "1. a" for depth in range(78)),
    "growing quotes": "\n".join(">" * depth + " a" for depth in range(1, 130)),
    "lazy lines": ">" * 18 + "a\n" + "b\n" * 900,
    "many long links": ("[a](https://a.example/" + "b" * 1_950 + ")\n") * 5,
    "long line of quotes in a list": "- " + "> " * 4_000,
    "one long word": "a" * 10_000,
    "bare links with marks behind": "https://a.b" + "!" * 9_900,
    "bare links with brackets behind": "https://a.b/" + "(" * 4_900 + ")" * 4_900,
}
FAMILIES = {repr(unit): _up_to_the_cap(unit) for unit in REPEATED} | SHAPED


@pytest.fixture(scope="module")
def small_heap() -> Iterator[None]:
    """Leave what a thousand other tests keep in memory out of the collections of garbage that fall into this time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("small_heap")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_pathological_comment_is_done_in_time_or_refused(family: str) -> None:
    source = FAMILIES[family]
    assert len(source) <= 20_000
    started = time.thread_time()
    try:
        rendered = render_comment(source)
    except Rejected:
        # Refused for its time it may have used more: what counts is that it ends, and soon.
        assert time.thread_time() - started < 8 * RENDER_CPU_SECONDS
        return
    # A try that a collection of garbage fell into counts as well.
    assert time.thread_time() - started < 3 * RENDER_CPU_SECONDS
    assert len(rendered.html) <= min(MAX_HTML, 20 * len(source))
    assert complaints_about_comment(rendered.html) == []
