"""All reports of a run agree: on the gate that is named first, and on figures near a limit."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from ftgate_testing.reports import failing_run, gate_not_evaluated, inconclusive_verdict, report
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline, verdict_words
from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.markdown import markdown_report, workflow_commands
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.results.run import Report

FIRST = re.compile(r"(accuracy\[\w+\])")
#: A change of 3 points, but for its decimals.
ROUNDED = re.compile(r"(down |−)3(?![\d.])")


def faces(made: Report) -> dict[str, str]:
    """Return what each report of a run says; of the page what stands below its bar."""
    return {
        **{f"terminal {level}": "\n".join(summary_lines(made, level)) for level in (-1, 0, 1)},
        "comment": unescape(markdown_report(made)),
        "annotations": "\n".join(workflow_commands(made)),
        "page": unescape(html_page(made).partition('<div class="hero')[2]),
    }


def failed(variant: str, wrong: int):
    return replace(failing_run(wrong=wrong).verdicts[0], variant=variant)


INCONCLUSIVE = replace(inconclusive_verdict(), variant="aaa")


@every_row("verdicts, first", [
    ((failed("aaa", 20), failed("zzz", 60), INCONCLUSIVE), "zzz"),
    ((INCONCLUSIVE, failed("zzz", 60), failed("aaa", 20)), "zzz"),
    ((INCONCLUSIVE, failed("zzz", 20)), "zzz"),
])  # fmt: skip
def test_the_largest_drop_comes_first_whatever_the_names_and_the_order(verdicts, first):
    found = faces(report(*verdicts))

    assert {FIRST.search(text)[1] for text in found.values()} == {f"accuracy[{first}]"}


def test_an_error_that_kept_a_gate_from_being_evaluated_comes_before_what_is_inconclusive():
    made = report(INCONCLUSIVE, not_evaluated=(gate_not_evaluated("zzz: no key"),))
    found = {name: text for name, text in faces(made).items() if name != "terminal -1"}

    assert {FIRST.search(text)[1] for text in found.values()} == {"accuracy[new]"}


@every_row("outcome, after, low, high", [
    (Outcome.FAILED, 0.8675, -0.05, -0.0312), (Outcome.PASSED, 0.8733, -0.0297, -0.0201),
    (Outcome.INCONCLUSIVE, 0.8733, -0.0304, -0.0201),
])  # fmt: skip
def test_a_change_near_its_limit_has_a_decimal_in_every_report(outcome, after, low, high):
    verdict = failing_run().verdicts[0]
    near = {"before": 0.9, "after": after, "low": low, "high": high, "limit": 0.03}
    check = replace(verdict.checks[0], **near, outcome=outcome, has_default_limit=False)
    verdict = replace(
        verdict, outcome=outcome, checks=(check,), deciding=0, slices=(), labels=(), next=()
    )
    texts = {
        **faces(report(verdict)),
        "headline": headline(verdict),
        "words": str(verdict_words(verdict)),
        "explanation": " ".join(explain(verdict)),
    }

    assert {name for name, text in texts.items() if ROUNDED.search(text)} == set()
