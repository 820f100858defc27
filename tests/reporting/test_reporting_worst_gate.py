"""Every report names the same gate first: the one that is furthest beyond its limit."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from ftgate_testing.reports import failing_run, gate_not_evaluated, inconclusive_verdict, report
from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.markdown import markdown_report, workflow_commands
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.results.run import Report

FIRST = re.compile(r"(accuracy\[\w+\])")


def named_first(made: Report) -> dict[str, str]:
    """Return the gate that each report names first."""
    page = html_page(made).partition('<div class="hero">')[2]
    texts = {
        "terminal": "\n".join(summary_lines(made)),
        "comment": unescape(markdown_report(made)),
        "annotations": next(workflow_commands(made)),
        "page": unescape(page),
    }
    return {name: FIRST.search(text)[1] for name, text in texts.items()}


def failed(variant: str, wrong: int):
    return replace(failing_run(wrong=wrong).verdicts[0], variant=variant)


@every_row("order", [1, -1])
def test_the_larger_drop_comes_first_whatever_the_names_and_the_order(order):
    verdicts = [failed("aaa", 20), failed("zzz", 60), replace(inconclusive_verdict(), variant="b")]

    assert {*named_first(report(*verdicts[::order])).values()} == {"accuracy[zzz]"}


def test_a_failure_comes_before_a_gate_that_is_inconclusive():
    verdicts = [replace(inconclusive_verdict(), variant="aaa"), failed("zzz", 20)]

    assert {*named_first(report(*verdicts)).values()} == {"accuracy[zzz]"}


def test_an_error_that_kept_gates_from_being_evaluated_comes_before_what_is_inconclusive():
    verdict = replace(inconclusive_verdict(), variant="aaa")
    made = report(verdict, not_evaluated=(gate_not_evaluated("zzz: no key"),))

    assert {*named_first(made).values()} == {"accuracy[new]"}
