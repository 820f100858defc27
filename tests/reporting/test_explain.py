"""An explanation says where the interval lies, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.score_columns import suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Design, Levels, Look
from pytest_ftgate.gates.power import design_pass_probability
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.explain import explain, ruled_out
from pytest_ftgate.reporting.number_text import percent
from pytest_ftgate.suite.gate_kinds import RateGate


def explained(regressed: int, cases: int, limit: float, levels: Levels) -> tuple[Outcome, str]:
    gate = RateGate(kind="accuracy", line=7, max_drop=limit)
    after = variant_scores("new", [0.0] * regressed + [1.0] * (cases - regressed))
    before = variant_scores("current", [1.0] * cases)
    verdict = evaluate_rate(suite(gate), gate, Comparison(after, before, levels=levels))
    return verdict.outcome, " ".join(explain(verdict))


@every_row("regressed, cases, limit, levels, outcome, said", [
    (*(8, 20, 0.15, Levels(alarm=0.01 / 8, shared=8), Outcome.INCONCLUSIVE),
     "The 95 % CI lies beyond the limit, but not surely enough to fail the gate"),
    (*(10, 500, 0.03, Levels(), Outcome.INCONCLUSIVE),
     "The drop is real, and may or may not stay within the limit"),
    (30, 100, 0.05, Levels(), Outcome.FAILED,
     "The 95 % CI lies beyond the limit, surely enough to fail the gate."),
    (0, 100, 0.05, Levels(), Outcome.PASSED, "So this check passed."),
])  # fmt: skip
def test_the_conclusion_follows_from_where_the_interval_lies(
    regressed, cases, limit, levels, outcome, said
):
    found, text = explained(regressed, cases, limit, levels)

    assert found is outcome
    assert said in text


@every_row(
    ("number", "said"),
    [
        (1, "While others are left to ask, the drop must be shown to exceed 5 points as well."),
        (5, "It also fails if the drop is shown to exceed 5 points."),
    ],
)
def test_before_the_last_look_both_parts_of_the_rule_must_hold(number, said):
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)
    sides = variant_scores("new", [0.0] * 100), variant_scores("current", [1.0] * 100)
    look = Look(
        number=number,
        of=5,
        cases=frozenset(sides[0].results),
        fractions=tuple(n / 5 for n in range(1, number + 1)),
    )

    text = " ".join(explain(evaluate_rate(suite(gate), gate, Comparison(*sides), look)))

    assert said in text
    assert ("It also fails" in text) is (number == 5)


def test_how_often_an_unchanged_variant_passes_is_the_figure_of_the_plan():
    gate = RateGate(kind="accuracy", line=7, max_drop=0.1)
    before = variant_scores("current", [1.0] * 100)
    after = variant_scores("new", [0.0] * 4 + [1.0] * 96)
    (check,) = evaluate_rate(suite(gate), gate, Comparison(after, before)).checks
    design = Design(weights=(1.0,) * 100, groups=tuple(range(100)), miss=check.miss)

    _, text = explained(4, 100, 0.1, Levels())

    planned = design_pass_probability(design, check.discordance, 0.1)
    assert f"It passes an unchanged variant {percent(planned)} of the time." in text


@every_row("right, is_said", [(1.0, False), (0.0, True)])
def test_a_first_run_explains_what_later_ones_need(right, is_said):
    gate, scores = (
        RateGate(kind="accuracy", line=7, max_drop=0.1),
        variant_scores("new", [right] * 9),
    )

    text = " ".join(explain(evaluate_rate(suite(gate), gate, Comparison(scores, scores))))

    assert text.startswith("There was nothing to compare with, and no minimum was declared.")
    assert ("Later runs need 95 % of the replies" in text) is is_said


def test_the_limit_of_a_rise_is_explained_as_it_is_declared():
    check = Check(
        kind=CheckKind.MEAN, outcome=Outcome.FAILED, limit=0.125, n=50, effective=50,
        before=0.36, after=0.42, rise=1 / 6, low=0.128, high=0.2, unit="usd", method="t",
        against="current",
    )  # fmt: skip
    statement = Statement(StatementKind.USAGE)
    verdict = Verdict(
        suite="s", line=1, gate="cost", variant="new", outcome=Outcome.FAILED, statement=statement,
        checks=(check,),
    )  # fmt: skip

    text = " ".join(explain(verdict))

    assert "up 16.7 % (95 % CI 12.8 to 20.0 %)" in text
    assert "all of the 95 % CI is within +12.5 %" in text


WIDE = Check(
    kind=CheckKind.BASELINE, outcome=Outcome.PASSED, n=300, limit=0.05, before=0.98, after=0.97,
    low=-0.055, high=0.03,
)  # fmt: skip


@every_row("check, outcome, said", [
    (WIDE, Outcome.PASSED, "ruled out at 95 %: that test has one side, and the CI two"),
    (replace(WIDE, miss=0.025), Outcome.PASSED, "5 points or more is ruled out at 97.5 %"),
    (WIDE, Outcome.INCONCLUSIVE, ""), (replace(WIDE, low=-0.04), Outcome.PASSED, ""),
    (replace(WIDE, limit=0.01), Outcome.PASSED, "a drop of 1 point or more is ruled out"),
    (replace(WIDE, is_unchanged=True), Outcome.PASSED, ""),
])  # fmt: skip
def test_a_pass_with_an_interval_beyond_its_limit_says_why(check, outcome, said):
    assert bool(ruled_out(check, outcome)) == bool(said)
    assert said in ruled_out(check, outcome)
