from dataclasses import replace

from columns import column, suite

from pytest_ftgate.gates.rates import Sides, judge_rate, must_pass, to_ask_again
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import RateGate

MANY = [1.0] * 400


def made(marks, *names):
    """Make a column in which the cases *names* must pass."""
    plain = column("new", marks)
    rows = {
        key: replace(row, case=replace(row.case, must_pass=key in names))
        for key, row in plain.rows.items()
    }
    return Column("new", rows)


def part(of, *names):
    return Column(of.variant, {name: of.rows[name] for name in names})


def test_without_such_cases_there_is_no_check():
    assert must_pass(made([0.0]), None) is None


def test_right_cases_pass():
    check = must_pass(made([1.0, 0.0], "c000"), None)

    assert (check.outcome, check.n, check.after) == (Outcome.PASSED, 1, 1.0)


def test_a_wrong_case_fails_and_is_named():
    check = must_pass(made([0.0, 1.0], "c000", "c001"), None)

    assert (check.outcome, check.note, check.after) == (Outcome.FAILED, "c000", 0.5)


def test_only_wrong_cases_are_asked_again():
    assert to_ask_again(made([0.0, 1.0, 0.0], "c000", "c001")) == ("c000",)


def test_a_case_that_is_right_most_times_when_asked_again_was_an_unlucky_reply():
    seen, again = made([0.0], "c000"), made([2 / 3], "c000")

    assert must_pass(seen, again).outcome is Outcome.PASSED


def test_a_case_that_is_wrong_again_fails():
    seen, again = made([0.0], "c000"), made([1 / 3], "c000")

    assert must_pass(seen, again).outcome is Outcome.FAILED


def test_a_case_without_a_reply_leaves_the_gate_open():
    seen = made([1.0], "c000")
    gone = replace(seen.rows["c000"], replies=(), scores=(), missing=("timeout",))

    assert must_pass(Column("new", {"c000": gone}), None).outcome is Outcome.INCONCLUSIVE


def test_one_lost_must_pass_case_fails_a_gate_whose_drop_is_within_the_margin():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)
    after = made([0.0, *MANY[1:]], "c000")

    verdict = judge_rate(
        suite(gate), gate, Sides(after, column("current", MANY), must=(after, None))
    )

    assert verdict.outcome is Outcome.FAILED
    assert verdict.headline == "0 of 1 must-pass cases are right; wrong: c000"
    assert verdict.flips[0].case == "c000"


def test_right_must_pass_cases_of_a_baseline_are_nothing_to_compare_with():
    gate, only = RateGate(kind="accuracy", line=1, max_drop=0.05), made(MANY, "c000")

    verdict = judge_rate(suite(gate), gate, Sides(only, only, must=(only, None)))

    assert verdict.headline == "nothing to compare with yet"
