from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.statements import (
    ExamChange,
    ExamLoss,
    LossOfExam,
    LostCases,
    Statement,
    StatementKind,
)
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Slice, Verdict, combine_checks

PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def check(outcome: Outcome, *, before: float | None = 0.9, informative: bool = True) -> Check:
    return Check(
        kind=CheckKind.BASELINE, against="x", outcome=outcome, limit=0.05, n=100, after=0.9,
        before=before, informative=informative,
    )  # fmt: skip


MINIMUM = check(PASSED, before=None)
MUST = replace(MINIMUM, kind=CheckKind.MUST_PASS)
SHOWS_NOTHING = check(OPEN, informative=False)


@every_row(
    ("checks", "wanted"),
    [
        # The worst check decides, and the first of those.
        ([check(PASSED), check(PASSED)], (PASSED, 0)),
        ([check(PASSED), check(OPEN)], (OPEN, 1)),
        ([check(OPEN), check(FAILED)], (FAILED, 1)),
        ([check(FAILED), check(OPEN), check(FAILED)], (FAILED, 0)),
        # A drop decides before a minimum, and that before the must-pass cases.
        ([MUST, MINIMUM], (PASSED, 1)),
        ([MUST, MINIMUM, check(PASSED)], (PASSED, 2)),
        ([replace(MUST, outcome=FAILED), check(FAILED, before=None)], (FAILED, 1)),
        ([MUST], (PASSED, 0)),
        # What shows nothing decides only where no comparison can.
        ([SHOWS_NOTHING], (OPEN, 0)),
        ([SHOWS_NOTHING, MINIMUM], (PASSED, 1)),
        ([MUST, SHOWS_NOTHING], (OPEN, 1)),
        ([replace(SHOWS_NOTHING, outcome=FAILED), check(OPEN), MUST], (OPEN, 1)),
        ([replace(SHOWS_NOTHING, outcome=FAILED), replace(MUST, outcome=OPEN)], (FAILED, 0)),
    ],
)
def test_the_worst_check_decides_and_of_equal_ones_that_which_tells_most(checks, wanted) -> None:
    assert combine_checks(iter(checks)) == wanted


@every_row(
    ("change", "shrunk"),
    [
        ({"came": 2, "is_new": True}, False),
        ({"is_older": True}, True),
        ({"lost": (LostCases("gone", 1, None, ("c1",)),)}, True),
        ({"losses": (ExamLoss(LossOfExam.LIMIT, "max_drop", 0.1, ""),)}, True),
    ],
)
def test_an_exam_that_has_shrunk_always_blocks_and_breaks_no_limit(change, shrunk):
    kind = StatementKind.EXAM_HAS_SHRUNK if shrunk else StatementKind.RATE
    verdict = Verdict(
        suite="s", line=1, gate="accuracy", variant="v", outcome=OPEN, statement=Statement(kind),
        exam=ExamChange(accepted=9, **change),
    )  # fmt: skip

    assert (verdict.always_blocks, verdict.holds) == (shrunk, shrunk)
    assert replace(verdict, outcome=PASSED).holds


@every_row(
    ("gate", "content", "cases", "skills"),
    [("accuracy", True, True, False), ("format", False, True, False),
     ("forgetting", False, True, True), ("latency", False, False, False)],
)  # fmt: skip
def test_a_verdict_says_what_its_gate_is_about(gate, content, cases, skills):
    said = Statement(StatementKind.UNGATED)
    verdict = Verdict(suite="s", line=1, gate=gate, variant="v", outcome=PASSED, statement=said)

    assert verdict.rates_content is content
    assert verdict.rates_cases is cases
    assert verdict.tests_skills is skills


def test_a_change_is_what_is_there_now_and_the_deciding_check_is_named() -> None:
    said = Statement(StatementKind.RATE)
    verdict = Verdict(
        suite="s", line=1, gate="accuracy", variant="v", outcome=PASSED, statement=said,
        checks=(MUST, check(PASSED)), deciding=1,
    )  # fmt: skip

    assert verdict.check == check(PASSED)
    assert replace(verdict, checks=()).check is None

    assert replace(check(PASSED), after=0.7).change == pytest.approx(-0.2)
    assert check(PASSED, before=None).change is None
    part = Slice(
        kind="tag", name="t", n=9, before=0.5, after=0.75, low=0.0, high=0.5, p_drop=1.0,
        state="kept",
    )  # fmt: skip
    assert part.change == 0.25


@every_row(
    ("before", "high", "is_beyond"),
    [(0.9, -0.06, True), (0.9, -0.05, False), (0.9, None, False), (None, -0.06, False)],
)
def test_a_change_is_beyond_the_limit_if_its_whole_interval_is(before, high, is_beyond) -> None:
    assert replace(check(FAILED, before=before), high=high).is_beyond is is_beyond


@every_row(("p", "is_shown"), [(0.01, True), (0.011, False), (None, False)])
def test_a_drop_is_shown_at_the_alarm_level(p, is_shown) -> None:
    assert replace(check(FAILED), p_fail=p, alarm=0.01).drop_is_shown is is_shown


def test_a_statement_takes_more_values_and_keeps_its_own() -> None:
    said = Statement(StatementKind.RATE, {"measure": "format", "is_new": False})

    assert said.add(is_new=True, of=9) == Statement(
        StatementKind.RATE, {"measure": "format", "is_new": True, "of": 9}
    )
    assert said.values == {"measure": "format", "is_new": False}


def test_a_judge_of_two_grades_has_shares_that_it_finds_once_both_are_known() -> None:
    good, bad = (IntervalEstimate(value=v, low=v - 0.1, high=1.0, n=50) for v in (0.9, 0.8))
    judged = JudgeValidation(
        judge="m", provider="p", rubric="r", sensitivity=good, specificity=bad, is_binary=True
    )

    assert judged.found_shares == (good, bad)
    for changed in (
        replace(judged, is_binary=False),
        replace(judged, sensitivity=None),
        replace(judged, specificity=None),
    ):
        assert changed.found_shares is None
