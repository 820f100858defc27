"""The section of one gate in a terminal."""

from __future__ import annotations

from dataclasses import replace

from reports import failing_run

from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import IntervalEstimate, JudgeValidation
from pytest_ftgate.reporting.verdict import verdict_section


def test_an_option_in_a_next_step_is_never_broken():
    verdict = replace(failing_run().verdicts[0], next=(NextStep(StepKind.REQUEST_BOTH_AGAIN),))

    assert "--ftgate-replies=fresh" in verdict_section(verdict)


def test_a_judge_that_disagrees_in_a_few_cases_is_not_shown_at_100_percent():
    judge = JudgeValidation(
        judge="grader",
        provider="anthropic",
        rubric="Be polite.",
        labels=500,
        agreement=IntervalEstimate(value=0.998, low=0.99, high=1.0, n=500),
    )

    section = verdict_section(replace(failing_run().verdicts[0], judges=(judge,)))

    assert "99.8 %" in section
    assert "100 %  (99 to 100)" not in section
