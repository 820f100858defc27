from dataclasses import replace

from ftgate_testing.score_columns import case, suite, variant_scores, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import check_must_pass, must_pass_ids, wrong_must_pass_ids
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

MANY = [1.0] * 400


def made(scores, *names):
    """Make scores in which the cases *names* must pass."""
    plain = variant_scores("new", scores)
    rows = {
        key: replace(row, case=replace(row.case, must_pass=key in names))
        for key, row in plain.results.items()
    }
    return VariantScores("new", rows)


def part(of, *names):
    return VariantScores(of.variant, {name: of.results[name] for name in names})


def test_right_cases_pass_and_wrong_ones_fail_by_name():
    assert check_must_pass(made([0.0]), None) is None

    check = check_must_pass(made([1.0, 0.0], "c000"), None)

    assert check == checked(Outcome.PASSED, n=1, after=1.0)

    check = check_must_pass(made([0.0, 1.0, 1.0, 0.0], "c000", "c001", "c002"), None)

    assert check == checked(Outcome.FAILED, "c000", n=3, after=2 / 3)


def checked(outcome, *wrong, n, after, missing=0):
    return Check(
        kind=CheckKind.MUST_PASS, outcome=outcome, limit=1.0, n=n, effective=n, after=after,
        case_ids=wrong, missing=missing,
    )  # fmt: skip


@every_row(("right", "outcome"), [(0.5, Outcome.FAILED), (0.51, Outcome.PASSED)])
def test_a_case_is_right_that_is_more_than_half_right(right, outcome):
    assert check_must_pass(made([right], "c000"), None).outcome is outcome


def test_a_case_that_is_asked_again_is_right_if_it_is_most_times():
    seen, again = made([0.0], "c000"), made([2 / 3], "c000")

    assert check_must_pass(seen, again).outcome is Outcome.PASSED

    seen, again = made([0.0], "c000"), made([1 / 3], "c000")

    assert check_must_pass(seen, again).outcome is Outcome.FAILED

    seen = made([0.0, 0.0], "c000", "c001")

    check = check_must_pass(seen, part(made([1.0, 1.0], "c000", "c001"), "c000"))

    assert check == checked(Outcome.FAILED, "c001", n=2, after=0.5)


def test_a_case_without_a_reply_leaves_the_gate_inconclusive_unless_another_is_wrong():
    alone = check_must_pass(without_replies(made([1.0], "c000"), ["c000"]), None)
    three = without_replies(made([1.0, 1.0, 1.0], "c000", "c001", "c002"), ["c000"])
    wrong = without_replies(made([1.0, 0.0, 1.0], "c000", "c001", "c002"), ["c000"])

    assert alone == checked(Outcome.INCONCLUSIVE, n=0, after=0.0, missing=1)
    assert check_must_pass(three, None) == checked(Outcome.INCONCLUSIVE, n=2, after=1.0, missing=1)
    assert check_must_pass(wrong, None) == checked(
        Outcome.FAILED, "c001", n=2, after=0.5, missing=1
    )
    assert wrong_must_pass_ids(wrong) == ("c001",)


def test_a_case_whose_id_holds_a_comma_is_the_first_regressed_case():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)
    rows = made([0.0, *MANY[1:]], "c000").results
    wrong = replace(rows["c000"], case=replace(rows["c000"].case, id="a, b0"))
    after = VariantScores("new", {**rows, "a, b0": wrong})

    verdict = evaluate_rate(
        suite(gate),
        gate,
        Comparison(after, variant_scores("current", MANY), must_pass=(after, None)),
    )

    assert verdict.check.case_ids == ("c000", "a, b0")
    assert [flip.case for flip in verdict.flips[:2]] == ["c000", "a, b0"]


def test_every_look_includes_the_must_pass_cases_and_only_wrong_ones_are_asked_again():
    cases = (replace(case("a"), must_pass=True), case("b"))

    assert must_pass_ids(replace(suite(), cases=cases)) == {"a"}

    assert wrong_must_pass_ids(made([0.0, 1.0, 0.0], "c000", "c001")) == ("c000",)
