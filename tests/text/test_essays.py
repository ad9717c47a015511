"""What an essay becomes: one test for each thing its author may write."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forum.text.essay import MAX_ESSAY_CHARACTERS, EssayRejected, TocEntry, render_essay
from forum.text.safe_html import clean_essay_html
from tests.text.html_reading import Reading


def html_of(source: str) -> str:
    return render_essay(source).html


def test_paragraphs_in_typographic_english_render_as_typed() -> None:
    essay = render_essay(
        "We already know that OpenAI’s chatbots can pass the bar exam.\n\n"
        "Its striking photorealism—something I haven’t seen—is “going out for a burrito” fast.\n"
    )
    assert essay.html == (
        "<p>We already know that OpenAI’s chatbots can pass the bar exam.</p>\n"
        "<p>Its striking photorealism—something I haven’t seen—is “going out for a burrito” fast.</p>"
    )
    assert essay.preview_html is None
    assert essay.toc == ()
    assert (essay.words, essay.minutes) == (25, 1)


def test_straight_quotes_dashes_and_dots_become_typographic_ones() -> None:
    assert html_of(""""It's" -- so---he said... 'fine' `"x"`""") == (
        '<p>“It’s” – so—he said… ‘fine’ <code>"x"</code></p>'
    )


def test_a_footnote_becomes_a_note_behind_the_paragraph_that_refers_to_it() -> None:
    assert html_of("A claim[^src] here.\n\nNext.\n\n[^src]: The *source*.") == (
        '<p>A claim<a class="sidenote-ref" id="fnref-1" href="#fn-1" aria-label="Note 1" rel="noopener">1</a>'
        " here.</p>\n"
        '<aside class="sidenote" id="fn-1" role="note"><sup>1</sup> The <em>source</em>.</aside>\n'
        "<p>Next.</p>"
    )


def test_notes_are_numbered_in_reading_order_and_a_second_reference_leads_to_the_same_note() -> None:
    html = html_of("One[^b] two[^a] three[^b].\n\n[^a]: Note a.\n[^b]: Note b.\n[^c]: Nobody asks.")
    assert re.findall(r'id="(fnref[^"]*)" href="#(fn-\d)"', html) == [
        ("fnref-1", "fn-1"),
        ("fnref-2", "fn-2"),
        ("fnref-1-2", "fn-1"),
    ]
    assert re.findall(r'id="(fn-\d)"[^>]*><sup>(\d)</sup> (.*?)</aside>', html) == [
        ("fn-1", "1", "Note b."),
        ("fn-2", "2", "Note a."),
    ]
    assert "Nobody" not in html


def test_a_note_stands_behind_the_whole_list_table_or_quotation() -> None:
    html = html_of(
        "- one[^1]\n- two\n\n> said[^2]\n\na | b\n--|--\n1[^3] | 2\n\n[^1]: A.\n[^2]: B.\n[^3]: C."
    )
    assert re.sub(r"<a .*?</a>|\s", "", html) == (
        "<ul><li>one</li><li>two</li></ul>"
        '<asideclass="sidenote"id="fn-1"role="note"><sup>1</sup>A.</aside>'
        "<blockquote><p>said</p></blockquote>"
        '<asideclass="sidenote"id="fn-2"role="note"><sup>2</sup>B.</aside>'
        '<divclass="table-scroll"role="region"tabindex="0"aria-label="Table1"><table>'
        '<thead><tr><thscope="col">a</th><thscope="col">b</th></tr></thead>'
        "<tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>"
        '<asideclass="sidenote"id="fn-3"role="note"><sup>3</sup>C.</aside>'
    )


def test_a_note_may_have_paragraphs_and_refer_to_another_note() -> None:
    html = html_of("Text[^1].\n\n[^1]: First.\n\n    Second[^2].\n\n[^2]: Inner, and again[^1].")
    notes = re.findall(r"<aside.*?</aside>", html, re.DOTALL)
    assert len(notes) == 2
    assert "<p><sup>1</sup> First.</p>" in notes[0]
    assert 'href="#fn-2"' in notes[0]
    assert 'href="#fn-1"' in notes[1]


def test_strange_labels_of_notes_work() -> None:
    html = html_of("A[^a b] B[^<x>] C[^é]\n\n[^a b]: One.\n[^<x>]: Two.\n[^é]: Three.")
    assert html.count('class="sidenote-ref"') == html.count("<aside") == 3


def test_a_table_scrolls_in_a_region_of_its_own() -> None:
    html = html_of("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")
    assert html.startswith(
        '<div class="table-scroll" role="region" tabindex="0" aria-label="Table 1"><table>'
    )
    assert '<th scope="col">a</th>' in html
    assert '<td class="align-center">2</td>' in html
    assert '<td class="align-end">3</td>' in html
    assert "style" not in html


def test_fenced_code_is_shown_as_typed_and_reached_by_keyboard() -> None:
    assert html_of('```python\nif a < b:\n    print("<b>")\n```') == (
        '<pre tabindex="0"><code>if a &lt; b:\n    print("&lt;b&gt;")\n</code></pre>'
    )


def test_a_picture_alone_with_a_title_becomes_a_figure() -> None:
    assert html_of('![A cat asleep](/media/cat.jpg "My cat")\n\n![Dog](/media/dog.jpg)') == (
        '<figure><img alt="A cat asleep" src="/media/cat.jpg"><figcaption>My cat</figcaption></figure>\n'
        '<p><img alt="Dog" src="/media/dog.jpg" loading="lazy"></p>'
    )


@pytest.mark.parametrize(
    "source",
    [
        "![](/media/cat.jpg)",
        "![ ](/media/cat.jpg)",
        'Text <img src="/media/cat.jpg"> text',
        "<p><img src=/media/cat.jpg alt=''></p>",
    ],
)
def test_a_picture_needs_alternative_text(source: str) -> None:
    with pytest.raises(EssayRejected, match=r"/media/cat\.jpg has no alternative text"):
        render_essay(source)


def test_headings_start_at_the_second_level_and_skip_none() -> None:
    essay = render_essay("# Why?\n\n## The “how”\n\n##### Details\n\n# Why?\n")
    assert essay.toc == (
        TocEntry("s-why", "Why?", 2),
        TocEntry("s-the-how", "The “how”", 3),
        TocEntry("s-details", "Details", 4),
        TocEntry("s-why-2", "Why?", 2),
    )
    assert re.findall(r"<(h\d) id=\"([^\"]*)\">", essay.html) == [
        ("h2", "s-why"),
        ("h3", "s-the-how"),
        ("h4", "s-details"),
        ("h2", "s-why-2"),
    ]


def test_an_essay_that_begins_at_a_lower_level_starts_at_the_second_too() -> None:
    assert [entry.level for entry in render_essay("### A\n\n#### B\n\n### C").toc] == [2, 3, 2]


def test_every_anchor_is_there_once() -> None:
    essay = render_essay("# A 2\n\n# A\n\n# A\n\n# !!\n\n# 日本\n\n# Don't\n")
    anchors = [entry.id for entry in essay.toc]
    assert len(set(anchors)) == 6
    assert {"s-section", "s-日本", "s-dont"} < set(anchors)


def test_a_heading_with_a_note_has_a_clean_title() -> None:
    assert render_essay("# Title[^1]\n\n[^1]: Note.").toc == (TocEntry("s-title", "Title", 2),)


def test_links_to_a_heading_lead_to_its_anchor_and_dead_ones_lose_their_address() -> None:
    html = html_of("[one](#the-end) [two](#nowhere)\n\n# The end")
    assert '<a href="#s-the-end" rel="noopener">one</a> <a rel="noopener">two</a>' in html


def test_the_mark_ends_the_preview_and_is_never_shown() -> None:
    essay = render_essay("Open[^1].\n\n<!--more-->\n\nSecret[^2].\n\n[^1]: Known.\n[^2]: Hidden.")
    assert essay.preview_html is not None
    assert "Open" in essay.preview_html
    assert "Known" in essay.preview_html
    assert "Secret" not in essay.preview_html
    assert "Hidden" not in essay.preview_html
    assert essay.excerpt == "Open."
    assert "Hidden" in essay.html
    for html in (essay.html, essay.preview_html):
        assert "more" not in html
        assert "<p></p>" not in html


@pytest.mark.parametrize(
    "source",
    [
        "Open <!-- more --> secret",
        "Open\n<!--more-->\nsecret",
        "> Open\n>\n> <!--more-->\n>\n> secret",
        "- Open <!--MORE-->\n- secret",
        "Open\n\n<div><div>x <!--more--> secret</div></div>",
        "Open\n\n<!--more-->\n\nsecret <!--more--> secret",
        "# Open <!--more--> secret",
        "Open <span class=more><!--more--> secret",
    ],
)
def test_nothing_behind_the_mark_leaks_wherever_it_stands(source: str) -> None:
    essay = render_essay(source)
    assert essay.preview_html is not None
    assert "Open" in essay.preview_html
    assert "secret" not in essay.preview_html
    assert "secret" not in essay.excerpt
    assert "secret" in essay.html
    assert "more" not in essay.html.lower()


def test_an_author_cannot_take_the_anchor_of_a_note() -> None:
    essay = render_essay("Text[^1].\n\n[^1]: Note <aside id=fn-1>aside</aside>\n\n<h2 id=fnref-1>Head</h2>")
    ids = re.findall(r'id="([^"]*)"', essay.html)
    assert sorted(ids) == ["fn-1", "fnref-1", "s-head"]


def test_the_mark_inside_code_is_only_shown() -> None:
    essay = render_essay("Write `<!--more-->` or:\n\n    <!--more-->\n\n```\n<!--more-->\n```")
    assert essay.preview_html is None
    assert essay.html.count("&lt;!--more--&gt;") == 3


def test_the_marks_of_comments_work_too() -> None:
    assert html_of("~~gone~~ https://a.example/b_c_d--e. <https://b.example>") == (
        '<p><del>gone</del> <a href="https://a.example/b_c_d--e" rel="noopener">https://a.example/b_c_d--e</a>. '
        '<a href="https://b.example" rel="noopener">https://b.example</a></p>'
    )
    assert html_of("[at https://b.example](https://a.example)").count("<a ") == 1


def test_definitions_and_abbreviations() -> None:
    assert html_of("Term\n:   What it is") == "<dl>\n<dt>Term</dt>\n<dd>What it is</dd>\n</dl>"
    assert html_of("The FBI.\n\n*[FBI]: A bureau") == '<p>The <abbr title="A bureau">FBI</abbr>.</p>'


def test_raw_html_goes_as_far_as_the_list_allows() -> None:
    html = html_of(
        '<details open><summary>More</summary>x</details>\n\nPress <kbd>k</kbd> <span lang="fr" style="color:red">'
        'oui</span> <span class="small-caps evil">AD</span> H<sub>2</sub>O <iframe src="https://x.example"></iframe>'
        '<script>alert(1)</script><b onclick="x">bold</b>\n\n<p id="header" class="page">x</p>'
    )
    assert "<summary>More</summary>" in html
    assert '<span lang="fr">oui</span> <span class="small-caps">AD</span> H<sub>2</sub>O' in html
    for forbidden in ("iframe", "script", "alert", "onclick", "style", "header", "page", "evil", "<b"):
        assert forbidden not in html


@pytest.mark.parametrize(
    "attempt",
    [
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='//evil.example'>x</a>",
        "<a href='/\\evil.example'>x</a>",
        "<a href='/\t/evil.example'>x</a>",
        "<a href='page.html'>x</a>",
        "<a href='?q'>x</a>",
        "<a href='https://good.example@evil.example'>x</a>",
        "<img alt=x src='//evil.example/x.png'>",
        "<img alt=x src='data:image/svg+xml,x'>",
        "<img alt=x src='#x'>",
        "<h2 id='body'>x</h2>",
        "<div role='alert' tabindex='5' aria-label='Buy now'>x</div>",
        "<img alt=x srcset='//evil.example/x.png 2x' onerror=alert(1) style=x class=x>",
        "<a rel=opener target=_blank download ping=x>x</a>",
        "<td background='//evil.example'>x</td>",
    ],
)
def test_an_essay_carries_no_address_or_attribute_that_is_not_allowed(attempt: str) -> None:
    for _, attributes in Reading(clean_essay_html(attempt)).tags:
        assert {name: value for name, value in attributes.items() if name not in {"alt", "rel"}} == {}
        assert attributes.get("rel", "noopener") == "noopener"


def test_the_excerpt_is_the_first_running_text_cut_between_words() -> None:
    essay = render_essay("# Title\n\n> Quoted words.\n\n" + "Running text goes on and on. " * 30)
    assert essay.excerpt.startswith("Quoted words. Running text")
    assert 200 <= len(essay.excerpt) <= 240
    assert re.search(r"\w…$", essay.excerpt)


def test_words_and_minutes_are_counted() -> None:
    essay = render_essay("word " * 2_200)
    assert (essay.words, essay.minutes) == (2_200, 10)


def test_the_renderer_is_named() -> None:
    assert "Markdown 3" in render_essay("x").renderer
    assert len(render_essay("x").renderer) <= 80


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "empty"),
        (" \n\x00\n ", "empty"),
        ("<!-- nothing -->", "Nothing in the essay"),
        ("<script>x</script>", "Nothing in the essay"),
        ("x" * (MAX_ESSAY_CHARACTERS + 1), "1 character too long"),
        ("x" * (MAX_ESSAY_CHARACTERS + 1_500), "1,500 characters too long"),
        ("- " * 2_000 + "a", "nested too deeply"),
        ("<div>" * 3_000, "nested too deeply"),
    ],
)
def test_a_refused_essay_says_why(source: str, reason: str) -> None:
    with pytest.raises(EssayRejected, match=reason):
        render_essay(source)


TAGS = (
    "p br em strong a blockquote code pre ul ol li hr del h2 h3 h4 figure figcaption img table caption thead tbody"
    " tfoot tr th td sup sub dl dt dd details summary aside small cite q abbr mark kbd span div"
)
PIECES = [
    "[^1]", "\n\n[^1]: ", "\n\n", "\n", "# ", "> ", "- ", "1. ", "    ", "*", "**", "_", "`", "```\n", "~~",
    "<!--more-->", "<div>", "</div>", "<p>", "<table>", "<td>", "<li>", "<h1>", "<h6 id=s-x>", "<!--",
    "a | b\n--|--\n1 | 2", "![a](/b)", '![a](/b "c")', "[a](#b)", "https://a.example", ":   ", "*[a]: b",
    "<span class=more>", "<aside id=fn-1>", '"', "'", "\\", "<sup id=fnref-1><a href=#fn-1>1</a></sup>",
    "--", "<div class=footnote><ol><li id=fn-1>", "<script>", "<b>", "&lt;", "<svg onload=x>",
    "<img alt=x src=/y>",
]  # fmt: skip
ANYTHING = st.one_of(st.sampled_from(PIECES), st.text(st.characters(exclude_categories=()), max_size=5))


@settings(max_examples=150)
@given(st.lists(ANYTHING, max_size=30).map("".join))
def test_whatever_an_author_writes_becomes_harmless_html_or_a_sentence(source: str) -> None:
    try:
        essay = render_essay(source)
    except EssayRejected:
        return
    for html in (essay.html, essay.preview_html or ""):
        reading = Reading(html)
        assert reading.other == []
        assert {tag for tag, _ in reading.tags} <= set(TAGS.split())
        for _, attributes in reading.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert not attributes.get("href", "/").startswith(("//", "javascript"))
        ids = [attributes["id"] for _, attributes in reading.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert all(re.match(r"(s|fn|fnref)-", anchor) for anchor in ids)
        assert "<!--" not in html
