"""What an accuracy or a format gate tells the user to do, by the check that decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from columns import suite, variant_scores

from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.next_steps import rate_next_steps
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.label_metrics import LabelMetrics
from pytest_ftgate.suite.gate_kinds import RateGate

GATE = RateGate(kind="accuracy", line=7, max_drop=0.05)


def made(temperature: float = 1.0):
    """Return a suite whose replies vary, unless the temperature is 0."""
    plain = suite(GATE)
    sampling = {"temperature": temperature}
    variants = {name: replace(one, sampling=sampling) for name, one in plain.variants.items()}
    return replace(plain, variants=variants)


def verdict(lost: int, n: int = 100, *, gate=GATE, look=None):
    sides = [variant_scores("new", [0.0] * lost + [1.0] * (n - lost))]
    sides.append(variant_scores("current", [1.0] * n, text="late_delivery"))
    return evaluate_rate(made(), gate, Comparison(*sides), look or Look())


def steps(found, *, look=None, gate=GATE, of=None, errors=()):
    given = (of or made(), gate, found, look or Look(), Counter(errors))
    return {step.kind: step.values for step in rate_next_steps(*given)}


@pytest.mark.parametrize(
    ("function", "setting"), [("", "settle: 8"), ("test_refunds", "repeats=8")]
)
def test_an_open_gate_whose_replies_vary_offers_the_repeats_that_would_settle_it(function, setting):
    found = verdict(3)
    check = replace(found.check, needed=150)
    found = replace(found, checks=(check,))
    gate = replace(GATE, function=function)

    offered = steps(found, gate=gate, look=Look(repeats=3, replies_vary=True))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert offered[StepKind.SETTLE]["setting"] == setting
    assert offered[StepKind.ADD_CASES]["needed"] == 150


@pytest.mark.parametrize(
    ("look", "needed"),
    [(Look(replies_vary=False), 150), (Look(replies_vary=True, cases=frozenset("a")), 150),
     (Look(replies_vary=True), 5_000), (Look(replies_vary=True), None)],
)  # fmt: skip
def test_repeats_are_offered_only_where_they_help_and_are_few(look, needed):
    found = verdict(3)
    found = replace(found, checks=(replace(found.check, needed=needed),))

    assert StepKind.SETTLE not in steps(found, look=look)


def test_more_repeats_of_the_baseline_are_offered_where_they_let_more_variants_pass():
    offered = steps(verdict(3))[StepKind.REPEAT_BASELINE]

    assert offered["repeats"] == 10
    assert offered["passes"] > offered["now"] + 0.05


def test_repeats_of_the_baseline_are_not_offered_where_they_change_little_or_nothing():
    found = verdict(3)
    related = replace(found, checks=(replace(found.check, units=50),))
    graded = replace(found, checks=(replace(found.check, discordance=None),))

    for given, more in (
        (related, {}),
        (graded, {}),
        (found, {"of": made(0.0)}),
        (found, {"of": replace(made(), baseline_repeats=10)}),
        (verdict(1, 6), {}),
    ):
        assert StepKind.REPEAT_BASELINE not in steps(given, **more)


def test_a_changed_habit_of_thinking_is_to_be_kept():
    found = verdict(40)
    found = replace(found, checks=(replace(found.check, measure="thoughts"),))

    kept = steps(found)[StepKind.KEEP_THOUGHTS]

    assert kept == {"variant": "new", "where": "suite.ftgate.yaml:7"}


def test_the_most_frequent_error_of_a_format_is_to_be_mended_first():
    gate = replace(GATE, kind="format")

    found = steps(verdict(40), gate=gate, errors=["no JSON", "no JSON", "prose"])

    assert next(iter(found)) is StepKind.FIX_FORMAT
    assert found[StepKind.FIX_FORMAT] == {"format_error": "no JSON", "replies": 2}


def failed_minimum(**more):
    """A verdict that fails a minimum, with 40 wrong cases."""
    found = verdict(40)
    below = replace(found.check, before=None)
    return replace(found, checks=(below,), statement=replace(found.statement, values={}), **more)


def test_below_a_minimum_a_format_that_half_of_the_wrong_replies_break_is_to_be_mended_first():
    mended, left = (steps(failed_minimum(), errors=["no JSON"] * count) for count in (20, 19))

    assert next(iter(mended)) is StepKind.FIX_FORMAT
    assert StepKind.FIX_FORMAT not in left


def test_below_a_minimum_the_label_that_is_mistaken_most_often_is_to_be_told_from_the_other():
    rates = [
        LabelMetrics(label=label, n=50, precision=0.5, recall=0.5, f1=0.5, taken_for=other)
        for label, other in (("refund", {"billing": 12, "login": 3}), ("login", {"billing": 4}))
    ]

    found = steps(failed_minimum(labels=tuple(rates)))

    told = {"label": "refund", "taken_for": "billing", "replies": 12}
    assert found[StepKind.FIX_LABEL] == told
    assert next(iter(found)) is StepKind.FIX_LABEL
    assert StepKind.FIX_LABEL not in steps(replace(verdict(40), labels=tuple(rates)))


@pytest.mark.parametrize(
    ("replies", "judges", "kinds"),
    [
        (Path("new.jsonl"), (), [StepKind.ADD_REPLIES]),
        (Path("new.jsonl"), ("tone",), [StepKind.IMPROVE_JUDGE, StepKind.RUN_AGAIN]),
        (None, ("tone",), [StepKind.IMPROVE_JUDGE, StepKind.RUN_AGAIN]),
        (None, (), [StepKind.RUN_AGAIN]),
    ],
    ids=["file", "file and judge", "judge", "model"],
)
def test_missing_replies_come_from_a_file_or_a_run_and_missing_grades_from_a_judge(
    replies, judges, kinds
):
    found = verdict(3)
    found = replace(found, checks=(replace(found.check, missing=30),))
    of = made()
    variants = {**of.variants, "new": replace(of.variants["new"], replies=replies)}
    of = replace(of, variants=variants, judges=dict.fromkeys(judges))

    offered = steps(found, of=of)

    assert [*offered] == kinds
    assert {*offered[kinds[0]].values()} >= {30}
