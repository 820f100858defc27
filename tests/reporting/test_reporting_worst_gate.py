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
    page = html_page(made).partition('<div class="hero')[2]
    texts = {
        "terminal": "\n".join(summary_lines(made)),
        "comment": unescape(markdown_report(made)),
        "annotations": next(workflow_commands(made)),
        "page": unescape(page),
    }
    return {name: FIRST.search(text)[1] for name, text in texts.items()}


def failed(variant: str, wrong: int):
    return replace(failing_run(wrong=wrong).verdicts[0], variant=variant)


INCONCLUSIVE = replace(inconclusive_verdict(), variant="aaa")


@every_row("verdicts, more, first", [
    ((failed("aaa", 20), failed("zzz", 60), INCONCLUSIVE), {}, "zzz"),
    ((INCONCLUSIVE, failed("zzz", 60), failed("aaa", 20)), {}, "zzz"),
    ((INCONCLUSIVE, failed("zzz", 20)), {}, "zzz"),
    # An error that kept gates from being evaluated comes before what is inconclusive.
    ((INCONCLUSIVE,), {"not_evaluated": (gate_not_evaluated("zzz: no key"),)}, "new"),
])  # fmt: skip
def test_the_largest_drop_comes_first_whatever_the_names_and_the_order(verdicts, more, first):
    assert {*named_first(report(*verdicts, **more)).values()} == {f"accuracy[{first}]"}
