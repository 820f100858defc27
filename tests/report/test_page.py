"""The page as a file: what is in it, and what can never be."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from reports import HOSTILE, judged, large, open_verdict, report, unjudged

from pytest_ftgate.report.html.page import SECTIONS, page
from pytest_ftgate.report.html.payload import packed


def unpacked(text: str) -> dict:
    return json.loads(zlib.decompress(b64decode(text), wbits=-15))


def texts_of(report) -> tuple[dict[tuple[str, int], bool], str]:
    """Return for each reply whether the page has its text, and what it says is left out."""
    made = packed(report)
    (suite,) = unpacked(made.text)["suites"]
    told = {(case[0], one[0]): one[4] >= 0 for case in suite["cases"] for one in case[6]}
    return told, made.left_out


def test_the_policy_names_the_one_script_and_the_one_style():
    text = page(judged())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)

    assert policy
    for tag in ("script", "style"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]


def test_no_style_and_no_handler_stands_in_an_element():
    body = page(judged()).partition("</head>")[2]

    assert not re.findall(r'<[^>]+\s(?:style|on[a-z]+)="', body)


def test_nothing_is_fetched_from_anywhere():
    text = page(judged())

    assert not re.findall(r'(?:src|href|action)="(?!#)[^"]*"', text)
    assert set(re.findall(r"https?://[\w./]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


@pytest.mark.parametrize("nasty", ["script", "closing", "template"])
@pytest.mark.parametrize("place", ["headline", "error", "fact", "told"])
def test_foreign_words_are_text_wherever_they_stand(nasty, place):

    said = HOSTILE[nasty]
    verdict = judged().verdicts[0]
    made = {
        "headline": lambda: report(replace(verdict, headline=said, variant=said, notes=(said,))),
        "error": lambda: report(unjudged=(unjudged(said),)),
        "fact": lambda: report(verdict, facts={said: said}),
        "told": lambda: report(verdict, told=(said,)),
    }[place]()

    text = page(made)

    assert (said in text) == (nasty == "template")  # which is no template any more
    for tag in ("<img", "<svg onload", "<script>document", "</details><svg"):
        assert tag not in text


def test_a_figure_is_told_in_words_and_in_a_table_too():
    text = page(judged())

    figures = text.count('class="plot"')
    assert figures == text.count('role="img"') == text.count("The same as a table")
    assert text.count("aria-label=") >= figures


def test_ids_are_unique():
    ids = re.findall(r'\sid="([^"]+)"', page(judged()))

    assert len(ids) == len(set(ids))


def test_a_run_without_cases_has_its_verdicts_all_the_same():
    text = page(report(open_verdict(), unjudged=(unjudged(),)))

    assert "cannot rule out a drop" in text
    assert 'id="packed"' not in text


def test_every_section_that_has_something_to_show_is_reached_from_the_top():
    text = page(judged())

    shown = re.findall(r'<section id="([^"]+)"', text)
    assert re.findall(r'<a href="#([a-z]+)">', text.partition("</nav>")[0]) == shown
    assert set(shown) == {one.anchor for one in SECTIONS} - {"confusions"}


def test_all_texts_of_an_ordinary_run_are_in_the_page():
    has, told = texts_of(judged())

    assert all(has.values())
    assert told == ""


def test_what_does_not_fit_is_counted_and_none_of_it_turned():
    run = large(4_000, words=60)
    has, told = texts_of(run)
    (suite,) = run.suites
    names = list(suite.cases[0].answers)
    turned = {
        (case.id, names.index(name))
        for case in suite.cases
        for name, one in case.answers.items()
        if one.correct != case.answers["current"].correct
    }

    assert len(page(run)) < 3_000_000
    left = {key for key, there in has.items() if not there}
    assert f"the texts of {len(left):,} replies that did not turn are left out" in told
    assert turned
    assert not turned & left
    assert len(left) < len(has)
