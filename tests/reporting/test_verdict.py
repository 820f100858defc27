"""The section of one gate in a terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ftgate_testing.reports import failing_run, report
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.plugin.item import _terminal_columns
from pytest_ftgate.reporting.summary import summary_lines
from pytest_ftgate.reporting.text import cell_count, terminal_width
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.scoring.score import LabelMetrics


def test_a_section_leaves_what_to_do_to_the_closing_section():
    verdict = replace(failing_run().verdicts[0], next=(NextStep(StepKind.REQUEST_BOTH_AGAIN),))

    assert "--ftgate-replies=fresh" not in verdict_section(verdict)
    assert any("--ftgate-replies=fresh" in line for line in summary_lines(report(verdict)))


def test_a_judge_that_disagrees_in_a_few_cases_is_not_shown_at_100_percent():
    judge = JudgeValidation(
        judge="grader", provider="anthropic", rubric="Be polite.", labels=500,
        agreement=IntervalEstimate(value=0.998, low=0.99, high=1.0, n=500),
    )  # fmt: skip

    section = verdict_section(replace(failing_run().verdicts[0], judges=(judge,)))

    assert "99.8 %" in section
    assert "100 %  (99 to 100)" not in section


SKILL = "instruction_following_in_several_steps"
WIDE = "请帮我查询一下我的订单什么时候能够送到我想要退款因为商品已经损坏了谢谢你们的帮助"


NAMES = ("a_label_with_quite_some_name", "another_label_of_this_suite", "billing", "refund")
LABELS = tuple(
    LabelMetrics(
        label=name, f1_before=0.9, f1=0.8, precision=0.7, recall=0.6, n=100,
        taken_for=dict.fromkeys(NAMES, 12),
    )
    for name in NAMES
)  # fmt: skip


def named(verdict: Verdict) -> Verdict:
    """Return a verdict with long names of a skill and labels, and wide texts in its cases."""
    slices = tuple(
        replace(part, name=SKILL if part.kind == "skill" else part.name) for part in verdict.slices
    )
    flips = tuple(replace(flip, shown=WIDE, now=WIDE, before=WIDE) for flip in verdict.flips)
    return replace(verdict, slices=slices, flips=flips, labels=LABELS)


@every_row("columns", [60, 80, 100, 160])
@every_row("gate", [0, 1, 2])
def test_a_section_fits_the_terminal_and_breaks_no_name(columns, gate):
    # A label with its count is not broken, so that 60 columns may not hold it.
    labels = LABELS if columns > 60 else ()
    verdict = replace(named(failing_run().verdicts[gate]), labels=labels)

    with terminal_width(columns):
        lines = verdict_section(verdict, verbosity=2).split("\n")

    # Commands are never broken.
    text = [line for line in lines if "pytest" not in line]
    assert max(map(cell_count, text)) <= columns
    assert gate < 2 or any(SKILL in line.split() for line in lines)


def test_the_labels_that_replies_gave_instead_are_listed_with_v():
    for verbosity in (0, 1):
        section = verdict_section(named(failing_run().verdicts[0]), verbosity)

        assert ("billing 12" in section) is (verbosity > 0)


def test_a_wide_terminal_needs_fewer_lines():
    verdict = named(failing_run().verdicts[0])
    heights = []
    for columns in (60, 160):
        with terminal_width(columns):
            heights.append(len(verdict_section(verdict, verbosity=1).split("\n")))

    assert heights[0] > heights[1]


def test_a_worker_wraps_for_the_terminal_of_the_whole_run():
    class Config:
        workerinput: ClassVar = {"ftgate_columns": 132}

    assert _terminal_columns(Config()) == 132
