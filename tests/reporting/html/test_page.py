"""The page as a file: what is in it, and what can never be."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode, b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from html import unescape

import pytest
from ftgate_testing.reports import (
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    large,
    report,
)
from ftgate_testing.tables import every_row, heavy

from pytest_ftgate.gates.figure import Figure, IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.notes import Finding, NoteKind, Severity, text_note
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import (
    CheckKind,
    Drift,
    Flip,
    FormatErrorExample,
    FormatErrorShare,
    Verdict,
)
from pytest_ftgate.reporting.html import case_data
from pytest_ftgate.reporting.html.case_data import confusion_values, label_changes, pack_cases
from pytest_ftgate.reporting.html.charts import verdict_bar
from pytest_ftgate.reporting.html.page import PAGE_SECTIONS, html_page
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.results.run import ConfusionMatrix, SuiteRun
from pytest_ftgate.settings import DOCS_URL


@cache
def plain() -> str:
    return html_page(failing_run())


def unpacked(text: str) -> dict:
    return json.loads(zlib.decompress(b64decode(text), wbits=-15))


def texts_of(report) -> tuple[dict[tuple[str, int], bool], str]:
    """Return for each reply whether the page has its text, and what it says is left out."""
    made = pack_cases(report)
    (suite,) = unpacked(made.text)["suites"]
    told = {(case[0], one[0]): one[4] >= 0 for case in suite["cases"] for one in case[6]}
    return told, made.left_out


def own_test(said: str = "I am sorry") -> Verdict:
    """Return the verdict of a marked function, in which a case regressed by *said*."""
    regressed = Flip(
        case="c1", where="cases.jsonl:1", regressed=True, shown=said, expected="", before="",
        now=said, wrong=f"assert 'sorry' not in {said!r}",
    )  # fmt: skip
    made = replace(failing_run().verdicts[0], suite="test_said.py", gate="test_never_sorry")
    return replace(
        made, flips=(regressed,), regressed=2, node="test_said.py::test_never_sorry[new]"
    )


def priced(made, *names: str):
    """Return *made* with the same price of the variants that are named, or of all."""
    (suite,) = made.suites
    price = Figure(value=0.4, low=None, high=None, n=100, units=100, unit="usd")
    variants = [
        replace(one, figures={**one.figures, "usd_per_1k": price})
        if not names or one.name in names
        else one
        for one in suite.variants
    ]
    return replace(made, suites=(replace(suite, variants=tuple(variants)),))


def test_the_policy_names_the_one_script_and_the_one_style():
    text = plain()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)

    assert policy
    for tag in ("script", "style"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]


def test_nothing_is_fetched_from_anywhere():
    text = plain()
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)

    # A step may link to the documentation, which is fetched by a click alone.
    links = re.sub(rf'<a href="{DOCS_URL}[\w/-]*">', "", markup)
    assert not re.findall(r'(?:src|href|action)="(?!#)[^"]*"', links)
    addresses = set(re.findall(r"https?://[\w./-]+", text.replace(DOCS_URL, "")))
    assert addresses == {"http://www.w3.org/2000/svg"}


def charts_of(text: str) -> list[dict]:
    return [json.loads(unescape(one)) for one in re.findall(r'data-chart="([^"]*)"', text)]


def test_a_chart_is_told_in_words_and_in_a_table_too():
    text = html_page(priced(failing_run()))

    figures = text.count("data-chart=")
    assert figures == text.count("data-label=") == text.count("Show as table") > 4
    assert {one["kind"] for one in charts_of(text)} == {"rows", "points", "spreads", "lines"}


def test_a_chart_of_skills_begins_with_the_mean_that_decides_and_its_limit():
    rows = [c["rows"] for c in charts_of(plain()) if c["kind"] == "rows"]
    (skills,) = [one for one in rows if "limit" in one[0]]
    mean, arithmetic = skills[:2]

    assert (mean["name"], mean["colour"]) == ("all skills, limit 10", "red")
    assert mean["limit"] == pytest.approx(mean["before"] - 0.1, abs=1e-4)
    assert mean["low"] < mean["value"] < mean["high"] < mean["limit"]
    assert (arithmetic["name"], arithmetic["text"]) == ("arithmetic", "94 → 6 %")
    assert "tag=arithmetic" in arithmetic["href"]


def test_variants_that_cannot_be_drawn_are_named():
    made = failing_run()
    (suite,) = made.suites
    first, second = suite.variants
    third = replace(first, name="classical", figures={"accuracy": first.figures["accuracy"]})
    suite = replace(suite, variants=(first, second, third))
    text = html_page(priced(replace(made, suites=(suite,)), "current", "new"))

    assert "Not drawn, as no price is known: classical." in text
    assert "Not drawn, as no times are known: classical." in text
    # Both cost the same, so there is no line between them to speak of.
    assert "what is best at each cost" not in text


def test_tokens_without_a_price_are_no_cost():
    assert 'id="cost"' not in html_page(priced(failing_run(), "current"))


def test_the_top_of_the_page_has_the_worst_gate_and_what_to_do():
    top = unescape(plain()).partition('class="banner ')[2].partition("<section")[0]

    assert '>forgetting[new]</a> <span class="badge failed">failed</span>' in top
    assert ">down 44 points (95\xa0%\xa0CI 32 to 56), limit 10</p>" in top
    assert "base 78\xa0%\xa0→\xa0new 34\xa0% · " in top
    assert "<strong>fix</strong>mix general data into the training set" in top
    assert "kind=regressed" in top
    assert ">accuracy[new]</a> failed" in top


def test_the_first_step_is_that_of_the_terminal_and_links_to_the_documentation():
    run = failing_run()
    forgot = replace(run.verdicts[2], variant="narrow")
    kept = replace(run.verdicts[3], variant="replay", gate="forgetting")
    page = html_page(report(forgot, kept))

    steps = re.findall(r'<p class="next"><strong>(\w+)</strong>(.*?)</p>', page)
    assert steps[0] == steps[1]
    assert [role for role, _ in steps[1:]] == ["fix", "or", "see"]
    assert steps[2][1].startswith("ship replay, which passes its gate")
    address = f"{DOCS_URL}forgetting/"
    assert f'(<a href="{address}">{address}</a>)' in steps[0][1]


def test_an_address_that_a_verdict_quotes_is_no_link():
    quoted = {"remedy": NoteKind.TEXT, "text": "see https://evil.example/<b>x</b>"}
    step = NextStep(StepKind.FIX_TRAINING_DATA, quoted)
    page = html_page(report(replace(failing_run().verdicts[0], next=(step,))))

    assert "see https://evil.example/&lt;b&gt;x&lt;/b&gt;" in page
    assert 'href="https://evil' not in page


def test_the_top_of_the_page_shows_a_case_that_regressed():
    top = unescape(html_page(failing_run(["late\u202e <b>delivery</b>"]))).partition("</aside>")[0]
    shown = top.partition('<aside class="example"')[2]

    assert re.findall(r"<dt>(\w+)</dt>", shown) == ["expected", "before", "now"]
    assert "<aside" not in html_page(report(failing_run().verdicts[3]))
    own = html_page(report(own_test("a\u202eb <b>c</b>"))).partition("</aside>")[0]
    assert "a\\u202eb &lt;b&gt;c&lt;/b&gt;" in own


@every_row("change, low, high, ends", [
    # The limit is in the middle; what lies beyond is drawn at the end.
    (-0.10, -0.15, -0.05, (1 / 6, 1 / 3, 0.5)),
    (0.0, -0.05, 0.05, (0.5, 2 / 3, 5 / 6)),
    (0.30, 0.20, None, (1.0, 1.0, 1.0)),
])  # fmt: skip
def test_a_bar_places_the_change_and_its_interval_by_the_limit(change, low, high, ends):
    verdict = inconclusive_verdict()
    check = replace(verdict.check, before=0.5, after=0.5 + change, low=low, high=high, limit=0.05)
    bar = verdict_bar(replace(verdict, checks=(check,), deciding=0))

    assert bar is not None
    assert (bar.low, bar.value, bar.high) == pytest.approx(ends)
    assert (bar.limits, bar.origin) == ((0.5,), pytest.approx(2 / 3))


def test_a_bar_of_a_minimum_has_no_change_and_one_of_a_cost_falls_as_it_rises():
    verdict = inconclusive_verdict()
    level = replace(verdict.check, before=None, after=0.9, low=0.8, high=1.0, limit=0.8)
    cost = replace(verdict.check, unit="usd", rise=0.5, low=0.25, high=1.0, limit=0.25)
    bars = [verdict_bar(replace(verdict, checks=(one,), deciding=0)) for one in (level, cost)]

    assert [(one.low, one.value, one.high) for one in bars if one] == [
        (0.5, 0.75, 1.0), pytest.approx((0.0, 1 / 3, 0.5))
    ]  # fmt: skip
    assert bars[0].origin is None


@every_row("more", [
    {"kind": CheckKind.MUST_PASS}, {"limit": 0.0}, {"has_drifted": True}, {"informative": False},
])  # fmt: skip
def test_what_is_held_to_no_size_has_no_bar(more):
    verdict = inconclusive_verdict()

    assert (
        verdict_bar(replace(verdict, checks=(replace(verdict.check, **more),), deciding=0)) is None
    )


def test_a_gate_leads_to_its_line_in_the_suite_where_that_has_an_address():
    made = failing_run()
    source = "https://github.example/shop/desk/blob/abc"

    text = html_page(replace(made, facts={"source": source}))

    assert f'<a href="{source}/suite.ftgate.yaml#L7">suite.ftgate.yaml:7</a>' in text
    assert ">suite.ftgate.yaml:7</p>" in html_page(made)


def test_too_little_evidence_is_no_failure():
    text = html_page(report(inconclusive_verdict()))
    top = text.partition('class="banner ')[2].partition("<section")[0]

    assert top.startswith('inconclusive">')
    assert ">?</span>Inconclusive</h1>" in top
    assert "Blocked" not in top
    both = html_page(report(inconclusive_verdict(), *failing_run().verdicts))
    assert "Blocked</h1>" in both


def test_changes_of_labels_are_counted_by_what_was_said_before_and_is_said_now():
    labels = ("refund", "late_delivery")
    made = failing_run()
    (suite,) = made.suites
    cases = tuple(replace(case, expected="refund") for case in suite.cases)
    counts = {"current": ((98, 0, 2), (0, 0, 0)), "new": ((60, 40, 0), (0, 0, 0))}
    matrices = tuple(
        ConfusionMatrix(variant=name, labels=labels, counts=rows) for name, rows in counts.items()
    )
    suite = replace(suite, cases=cases, confusions=matrices)
    text = html_page(replace(made, suites=(suite,)))

    assert label_changes(suite, "new") == [
        ("refund", "refund", "late_delivery", 38), ("refund", "no label", "late_delivery", 2)
    ]  # fmt: skip
    assert "expected=refund&amp;said=late_delivery" in text
    assert re.search(r'said=late_delivery">\+40</a>', text)
    assert ">−38<" in re.sub(r"</?a[^>]*>", "", text)
    # The variant whose gate failed comes first, and is open.
    confusions = text.partition('<section id="confusions"')[2]
    assert re.findall(r'confusions"( open)?><summary><h3>(\w+)<', confusions) == [
        (" open", "new"), ("", "current")
    ]  # fmt: skip


def test_a_matrix_of_a_foreign_record_without_labels_is_an_empty_table():
    matrix = ConfusionMatrix(variant="current", labels=(), counts=())
    suite = SuiteRun(name="s", baseline="current", confusions=(matrix,))

    (values,) = confusion_values(report(suites=(suite,)))

    assert (values["labels"], values["rows"]) == ((), [])


def test_what_was_forgotten_is_a_table_of_skills():
    text = unescape(plain())
    table = text.partition('aria-label="Skills of ')[2].partition("</table>")[0]

    cells = [re.sub(r"<[^>]+>", " ", row).split() for row in table.split("<tr>")]
    assert ["arithmetic", "94", "%", "6", "%"] in [one[:5] for one in cells]
    assert re.search(r">keeps 44 % \(\d+ to \d+\) of the base's right answers</p>", text)


def test_what_people_found_of_a_judge_is_a_table():
    figure = IntervalEstimate(value=0.8, low=0.7, high=0.9, n=60)
    known = JudgeValidation(
        judge="strict", rubric="Is it | kind?", provider="anthropic", labels=60, kappa=figure,
        agreement=figure,
    )  # fmt: skip
    first, *others = failing_run().verdicts
    graded = replace(first, judges=(known, replace(known, judge="new", labels=0, kappa=None)))
    text = unescape(html_page(report(graded, *others)))

    table = text.partition('aria-label="judge strict (anthropic): Is it | kind?"')[2]
    row = '<th scope="row">Cohen\'s kappa</th><td class="n">0.80</td><td>(0.70 to 0.90)</td>'
    assert row in table.partition("</table>")[0]
    assert "judge new (anthropic): Is it | kind?" in text
    assert "not validated: add human: labels.jsonl" in text


def test_ids_are_unique():
    ids = re.findall(r'\sid="([^"]+)"', plain())

    assert len(ids) == len(set(ids))


def test_a_run_without_cases_has_its_verdicts_all_the_same():
    text = html_page(report(inconclusive_verdict(), not_evaluated=(gate_not_evaluated(),)))

    assert "add cases: about" in text
    assert 'id="packed"' not in text


def test_every_section_that_has_something_to_show_is_reached_from_the_top(advice):
    text = html_page(replace(failing_run(), advice=(advice,)))

    shown = re.findall(r'<section id="([^"]+)"', text)
    assert re.findall(r'<a href="#([a-z-]+)">', text.partition("</nav>")[0]) == shown
    assert set(shown) == {one.anchor for one in PAGE_SECTIONS} - {
        *("confusions", "checkpoints", "cost")
    }


def test_the_ladder_is_told_with_its_reasons_its_table_and_its_money(advice):
    text = unescape(html_page(replace(failing_run(), advice=(advice,))))
    shown = text.partition('<section id="ladder"')[2].partition("</section>")[0]

    assert re.search(r'<span class="badge passed">fine-tune</span>\s*lora', shown)
    for reason in advice.reasons:
        assert f"<li>{note_text(reason.note)}</li>" in shown
    for row in advice.rungs:
        assert re.search(rf'<th scope="row">{row.variant}(?: \*)?</th><td>{row.rung}</td>', shown)
    assert 'data-label="Cost by volume"' in shown
    assert "lora is cheaper than descriptions from 1,087 requests a day on" in shown


def test_what_costs_nothing_is_drawn_at_nothing(advice):
    first, *others = advice.money.series
    none = (0.0,) * len(first.usd)
    free = replace(first, usd=none, low=none, high=none)
    told = replace(advice, money=replace(advice.money, series=(free, *others)))

    (chart,) = charts_of(html_page(report(advice=(told,))))
    assert chart["kind"] == "bands"
    assert set(chart["series"][0]["values"]) == {0.0}


def test_regressed_cases_of_a_marked_function_stand_beside_its_verdict():
    text = unescape(html_page(report(own_test())))

    assert "2 regressed cases (1 shown)" in text
    assert "assert 'sorry' not in 'I am sorry'" in text
    assert "to-cases" not in text.partition("<main")[2].partition("<script")[0]


def test_what_was_found_in_training_data_is_told_with_its_lines():
    found = Finding(
        kind="duplicates", severity=Severity.ERROR, message=text_note("3 rows stand twice"),
        count=3, lines=(3, 4, 5, 9), next=text_note("keep one of each"),
    )  # fmt: skip
    text = unescape(
        html_page(report(replace(inconclusive_verdict(), gate="data", findings=(found,))))
    )

    assert "duplicates</strong> 3 rows stand twice" in text
    assert "lines 3–5, 9" in text
    assert "→ keep one of each" in text


def test_format_errors_are_shown_with_examples_and_drifts_of_all_replies_with_both_sides():
    seen = FormatErrorExample(case="c7", text="```x```", detail="a fence")
    error = FormatErrorShare(kind="fenced", replies=3, after=0.03, low=0.01, high=0.08, before=0.0,
                       before_low=0.0, before_high=0.02, examples=(seen,))  # fmt: skip
    drift = Drift(what="length", unit="words", before=9, after=1, n=100)
    verdict = replace(failing_run().verdicts[1], format_errors=(error,), drifts=(drift,))
    text = html_page(report(verdict))

    shares = '<td class="n">0 % (0 to 2)</td><td class="n">3 % (1 to 8)</td>'
    assert f'<th scope="row">fenced</th>{shares}' in text
    assert "<strong>c7</strong> <code>```x```</code>" in text
    assert '<th scope="row">length</th><td class="n">9 words</td><td class="n">1 word<' in text


def test_all_texts_of_an_ordinary_run_are_in_the_page():
    has, told = texts_of(failing_run())

    assert all(has.values())
    assert told == ""


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "packed"), [(400, 275_000), heavy(4_000, 2_750_000)])
def test_what_does_not_fit_is_counted_and_none_of_it_turned(monkeypatch, cases, packed):
    monkeypatch.setattr(case_data, "_MAX_PACKED", packed)
    run = large(cases, words=60)
    has, told = texts_of(run)
    (suite,) = run.suites
    names = list(suite.cases[0].answers)
    turned = {
        (case.id, names.index(name))
        for case in suite.cases
        for name, one in case.answers.items()
        if one.correct != case.answers["current"].correct
    }

    assert len(html_page(run)) < packed + 250_000
    left = {key for key, there in has.items() if not there}
    assert f"the texts of {len(left):,} replies that did not turn are left out" in told
    assert turned
    assert not turned & left
    assert len(left) < len(has)


def test_the_replies_of_a_base_are_found_by_the_record_and_not_by_their_name():
    made = failing_run().suites[0]

    def renamed(answers):
        return {name.replace("base of new", "old"): one for name, one in answers.items()}

    cases = tuple(replace(case, answers=renamed(case.answers)) for case in made.cases)
    packed = pack_cases(report(suites=[replace(made, bases={"new": "old"}, cases=cases)]))
    (suite,) = unpacked(packed.text)["suites"]

    assert made.bases == {"new": "base of new"}
    assert suite["bases"][suite["variants"].index("new")] == suite["variants"].index("old")
