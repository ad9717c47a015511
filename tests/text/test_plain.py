"""Essays and comments as mails carry them: plain text to be read by itself, and HTML that fetches nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forum.text.essay import render_essay
from forum.text.plain import WIDTH, as_text, for_mail

SITE = "https://site.example"
PAGE = f"{SITE}/essays/on-tides"

ESSAY = """\
The tide *comes* in **twice**, see [the tables](/tables), [a friend](https://else.example/a?b=1&c=2) and
<https://bare.example/x>, or [below](#ports).[^1] Write to [me](mailto:me@else.example).

## Ports

> A quote that is long enough to be wrapped across more than one line in plain text, or so we hope.
>
> > Inner.

- one
    - nested
- two

3. three

    More of three.

4. four

| Port | High |
|:-----|-----:|
| Dover | 6.7 |
| 東京 | 12.1 |

```
def f(x):
    return x < 1 and "a"
```

![A chart](/media/a.png "The harbour")

Term
: Meaning

---

Open `code`, ~~struck~~.

[^1]: The note, with a [link](https://note.example/).
"""

TEXT = """\
The tide *comes* in *twice*, see the tables
<https://site.example/tables>, a friend <https://else.example/a?b=1&c=2>
and https://bare.example/x, or below.[1] Write to me
<mailto:me@else.example>.

[1] The note, with a link <https://note.example/>.

## Ports

> A quote that is long enough to be wrapped across more than one line in
> plain text, or so we hope.
>
> > Inner.

- one
  - nested
- two

3. three

   More of three.

4. four

Port  | High
Dover | 6.7
東京  | 12.1

    def f(x):
        return x < 1 and "a"

[Picture: A chart]
The harbour

Term
    Meaning

* * *

Open `code`, ~~struck~~."""

MARKUP = (
    "<p>|</p>|<ul>|<ol reversed>|<li value=9>|</li>|</ul>|<table>|<caption>|<tr>|<td>|</table>|<pre>|</pre>|"
    "<blockquote>|</blockquote>|<a href=/x>|<a>|</a>|<aside>|<sup>|</sup>|<br>|<hr>|<img alt=x>|<details>|"
    "<summary>|<![foo|<!--|<?|</|&|&#0;|<dl>|<dt>|<dd>|<q>|<h2>|</h2>|漢字|「|ا|\u202e|\x00|<code>|</code>"
)
pieces = st.sampled_from(MARKUP.split("|"))


def test_an_essay_reads_well_as_plain_text() -> None:
    assert as_text(render_essay(ESSAY).html, SITE) == TEXT


def test_lines_are_wrapped_by_their_width_in_every_script() -> None:
    japanese = "吾輩は猫である。名前はまだ無い。「どこで生れたかとんと見当がつかぬ。」" * 5
    lines = as_text(f"<p>{japanese}</p>", SITE).split("\n")
    assert "".join(lines) == japanese
    assert all(len(line) <= WIDTH // 2 for line in lines)  # each character takes two columns
    assert not [line for line in lines if line[0] in "。」" or line[-1] == "「"]
    arabic = "كَانَ يا ما كان في قديم الزمان مدينة على شاطئ البحر " * 5
    lines = as_text(f"<blockquote><p>{arabic}</p></blockquote>", SITE).split("\n")
    assert len(lines) > 3
    assert " ".join(line.removeprefix("> ") for line in lines) == arabic.strip()


def test_an_address_is_never_broken() -> None:
    url = f"https://else.example/{'a-long-path/' * 20}"
    text = as_text(f'<ul><li>Some words before <a href="{url}">words</a> and after.</li></ul>', SITE)
    assert f"\n  <{url}>\n  and after." in text


def test_a_table_that_is_too_wide_has_bars_and_no_columns() -> None:
    wide = "word " * 10
    rows = f"<tr><th>A</th><th>B</th></tr><tr><td>{wide}</td><td>{wide}</td></tr>"
    table = f"<table><caption>Ports</caption>{rows}</table>"
    assert as_text(table, SITE).split("\n")[:2] == ["Ports", "A | B"]


def test_html_for_a_mail_has_complete_addresses_and_nothing_to_fetch() -> None:
    html = for_mail(render_essay(ESSAY).html, SITE, PAGE)
    assert f'<a href="{SITE}/tables">the tables</a>' in html
    assert '<a href="https://else.example/a?b=1&amp;c=2">a friend</a>' in html
    assert f'<a href="{PAGE}#s-ports">below</a>.<sup>1</sup>' in html
    assert '<div class="sidenote"><sup>1</sup> The note' in html
    assert f'<a href="{PAGE}">[Picture: A chart]</a>' in html
    assert '<td class="align-end">6.7</td>' in html
    assert "x &lt; 1 and" in html
    assert set(re.findall(r' href="(?!https://|mailto:)[^"]*"', html)) == set()
    for fetched_or_lost in ("<img", "src=", " id=", "tabindex", "<aside", "<figure"):
        assert fetched_or_lost not in html


def test_a_picture_within_a_link_stays_one_link() -> None:
    html = for_mail('<p><a href="/x"><img src="/a.png" alt="A “<b>”"></a></p>', SITE, PAGE)
    assert html == f'<p><a href="{SITE}/x">[Picture: A “&lt;b&gt;”]</a></p>'


def test_what_folds_on_the_page_is_open_in_a_mail() -> None:
    folded = "<details><summary>More</summary><p>Words.</p></details>"
    assert for_mail(folded, SITE) == '<div><div class="summary">More</div><p>Words.</p></div>'


@given(st.one_of(st.text(), st.lists(st.one_of(pieces, st.text(max_size=3))).map("".join)))
def test_nothing_makes_either_fail(html: str) -> None:
    assert not any(line != line.rstrip() for line in as_text(html, SITE).split("\n"))
    mail = for_mail(html, SITE, PAGE)
    assert "<img" not in mail
    assert len(re.findall(r"<(?!/|br>|hr>)", mail)) == mail.count("</")


@pytest.mark.parametrize(
    "begin", ["<blockquote>", "<ul><li>", "<table><tr><td>", "<dl><dd>", "<a href=/x>", "<a "]
)
def test_deep_nesting_makes_no_long_text(begin: str) -> None:
    html = begin * 1_000 + "end"
    assert len(as_text(html, SITE)) < 10 * len(html)
