"""No report says of a change that it is as large as its limit, unless it is."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from ftgate_testing.reports import failing_run, report
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline, verdict_words
from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.reporting.markdown import markdown_report, workflow_commands
from pytest_ftgate.reporting.summary import summary_lines

#: A change of 3 points, but for its decimals.
ROUNDED = re.compile(r"(down |−)3(?![\d.])")


def faces(verdict):
    """Return every report of a run with this verdict, and its explanation."""
    made = report(verdict)
    texts = {f"terminal {level}": "\n".join(summary_lines(made, level)) for level in (-1, 0, 1)}
    return texts | {
        "comment": unescape(markdown_report(made)),
        "annotations": "\n".join(workflow_commands(made)),
        "page": unescape(html_page(made)),
        "headline": headline(verdict),
        "words": str(verdict_words(verdict)),
        "explanation": " ".join(explain(verdict)),
    }


@every_row(
    ("outcome", "after", "low", "high"),
    [
        (Outcome.FAILED, 0.8675, -0.05, -0.0312),
        (Outcome.PASSED, 0.8733, -0.0297, -0.0201),
        (Outcome.INCONCLUSIVE, 0.8733, -0.0304, -0.0201),
    ],
)
def test_a_change_near_its_limit_has_a_decimal_in_every_report(outcome, after, low, high):
    verdict = failing_run().verdicts[0]
    near = {"before": 0.9, "after": after, "low": low, "high": high, "limit": 0.03}
    check = replace(verdict.checks[0], **near, outcome=outcome, has_default_limit=False)
    verdict = replace(
        verdict, outcome=outcome, checks=(check,), deciding=0, slices=(), labels=(), next=()
    )

    assert {name for name, text in faces(verdict).items() if ROUNDED.search(text)} == set()
