from dataclasses import replace

import pytest

from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict, combine_checks

PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def check(outcome: Outcome, *, before: float | None = 0.9, informative: bool = True) -> Check:
    return Check(
        kind=CheckKind.BASELINE, against="x", outcome=outcome, limit=0.05, n=100, after=0.9,
        before=before, informative=informative,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([PASSED, PASSED], (PASSED, 0)),
        ([PASSED, FAILED, OPEN], (FAILED, 1)),
        ([PASSED, OPEN], (OPEN, 1)),
    ],
)
def test_the_worst_check_decides(outcomes: list[Outcome], wanted: tuple[Outcome, int]) -> None:
    assert combine_checks([check(outcome) for outcome in outcomes]) == wanted


def test_a_check_that_can_show_nothing_gives_way_to_one_that_can() -> None:
    checks = [check(OPEN, informative=False), check(PASSED, before=None)]

    assert combine_checks(checks) == (PASSED, 1)


def test_right_must_pass_cases_do_not_stand_in_for_a_comparison_that_shows_nothing() -> None:
    must = replace(check(PASSED, before=None), kind=CheckKind.MUST_PASS)

    assert combine_checks([must, check(OPEN, informative=False)]) == (OPEN, 1)


def test_alone_a_check_that_can_show_nothing_is_inconclusive() -> None:
    assert combine_checks([check(OPEN, informative=False)]) == (OPEN, 0)


def test_of_two_failures_the_drop_is_told_since_it_has_a_before() -> None:
    assert combine_checks([check(FAILED, before=None), check(FAILED)]) == (FAILED, 1)


@pytest.mark.parametrize(
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
