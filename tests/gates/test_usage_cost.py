from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import suite, variant_scores, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.usage import evaluate_cost, interval_outcome, measure_cost
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import mean_interval, ratio_interval
from pytest_ftgate.suite.gate_kinds import CostGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.prices import Tariff

#: A token written costs a millionth of a dollar, so a thousand requests that write n cost n / 1000.
BY_TOKENS = Tariff(per_1m_input=0.0, per_1m_output=1.0)
LIMIT = CostGate(line=1, max_usd_per_1k=0.5)
RISE = CostGate(line=1, max_rise=0.1)


def written(variant: str, tokens: Sequence[int | None], groups: int | None = None) -> VariantScores:
    """Make scores whose replies have so many *tokens*; None for one that did not come."""
    plain = variant_scores(variant, [1.0] * len(tokens))
    rows = {}
    for i, ((key, row), count) in enumerate(zip(plain.results.items(), tokens, strict=True)):
        case = replace(row.case, group=None if groups is None else f"g{i % groups}")
        replies = (Reply(text="refund", usage={"output": count or 0}),)
        rows[key] = replace(row, case=case, replies=replies, fingerprints=(f"{key} {variant}",))
    gone = [key for key, count in zip(plain.results, tokens, strict=True) if count is None]
    return without_replies(VariantScores(variant, rows), gone)


def of(gate: CostGate, **tariffs: Tariff) -> Suite:
    made = suite(gate)
    variants = {
        name: replace(one, tariff=tariffs.get(name, BY_TOKENS))
        for name, one in made.variants.items()
    }
    return replace(made, variants=variants)


def evaluated(gate, after, before=None, groups=None, **tariffs):
    mine = written("new", after, groups)
    theirs = written("current", before if before is not None else after, groups)
    return evaluate_cost(of(gate, **tariffs), gate, mine, theirs)


def drawn(mean: float, n: int = 100, spread: float = 100.0) -> list[int]:
    """Draw tokens whose own mean is *mean*."""
    found = np.random.default_rng(7).normal(0.0, spread, n)
    return [round(one) for one in mean + found - found.mean()]


def test_the_interval_of_a_rise_is_that_of_the_ratio_of_the_sums_of_groups():
    rng = np.random.default_rng(2)
    before, after = (rng.lognormal(5.5, 1.0, 90).round().astype(int) for _ in range(2))

    check = evaluated(RISE, after.tolist(), before.tolist(), groups=45).check

    sums = [np.bincount(np.arange(90) % 45, side) for side in (after, before)]
    low, high = ratio_interval(*sums, 0.95)
    assert (check.low, check.high) == pytest.approx((low - 1, high - 1))
    assert check.effective == 45


@every_row("groups", [None, 60])
def test_a_case_is_named_that_holds_more_than_a_tenth_of_the_cost(groups):
    # 120 cases cost 100 each, and one of them 1,500 more.
    tokens = [100] * 119 + [1600]
    kind, others = (NoteKind.LARGE_CASE, 0) if groups is None else (NoteKind.LARGE_GROUP, 100)

    notes = evaluated(LIMIT, tokens, groups=groups).notes

    assert notes == (note(kind, share=pytest.approx((1600 + others) / sum(tokens))),)
    assert evaluated(LIMIT, [100] * 119 + [1000], groups=groups).notes == ()
    # All of these prices are exact: 90 cases cost 0.125, and one of them 1.25.
    assert evaluated(LIMIT, [125] * 90 + [1250]).notes == ()


def test_a_price_of_nothing_holds_a_limit_and_leaves_a_rise_open_and_the_baseline_has_no_rise():
    free = Tariff(per_1m_input=0.0, per_1m_output=0.0)

    verdict = evaluated(RISE, drawn(400), current=free)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.notes == (note(NoteKind.FREE_BASELINE, baseline="current"),)
    assert (verdict.check.before, verdict.check.rise) == (0.0, None)
    assert verdict.next == (NextStep(StepKind.DECLARE_LIMIT, {"where": "suite.ftgate.yaml:1"}),)

    verdict = evaluated(RISE, drawn(400), current=Tariff())

    assert (verdict.check.n, verdict.check.informative, verdict.notes) == (0, True, ())

    verdict = evaluated(LIMIT, drawn(400), new=free)

    assert (verdict.outcome, verdict.check.after, verdict.notes) == (Outcome.PASSED, 0.0, ())

    mine = written("current", drawn(400))

    verdict = evaluate_cost(of(RISE), RISE, mine, mine)

    assert (verdict.outcome, verdict.checks) == (Outcome.PASSED, ())


@every_row("groups", [None, 29])
def test_few_unrelated_cases_conclude_nothing(groups):
    tokens = drawn(400, n=29 if groups is None else 87)

    verdict = evaluated(LIMIT, tokens, groups=groups)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    kind = NoteKind.FEW_CASES if groups is None else NoteKind.FEW_GROUPS
    assert verdict.notes == (note(kind, n=29, needed=30),)
    assert verdict.next == ()


def test_thirty_unrelated_cases_bound_the_cost():
    assert evaluated(LIMIT, drawn(100, n=30)).outcome is Outcome.PASSED


@every_row(("flat", "outcome"), [(0.4, Outcome.PASSED), (0.6, Outcome.FAILED)])
def test_a_flat_price_is_known_and_needs_no_cases(flat, outcome):
    verdict = evaluated(LIMIT, [1, *[None] * 9], new=Tariff(per_1k=flat))

    assert (verdict.outcome, verdict.check.low, verdict.check.high) == (outcome, flat, flat)
    told = " ".join(explain(verdict))
    assert f"is {flat:.2f} USD, and 0.50 USD is allowed" in told
    assert "CI" not in told


@every_row(("gone", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_above_five_in_a_hundred_missing_replies_leave_it_inconclusive(gone, outcome):
    verdict = evaluated(LIMIT, [*drawn(400)[gone:], *[None] * gone])

    assert verdict.outcome is outcome
    assert note(NoteKind.NO_PRICE, n=gone, first="gone") in verdict.notes
    again = NextStep(StepKind.RUN_AGAIN, {"missing": gone, "suite": "suite.ftgate.yaml"})
    assert verdict.next == (() if outcome is Outcome.PASSED else (again,))


def test_replies_that_tell_no_tokens_are_noted_before_missing_ones_and_never_free():
    verdict = evaluated(LIMIT, [0] * 100)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.check.n == 0

    tokens = [*drawn(400, 96), 0, 0, None, None]
    verdict = evaluated(LIMIT, tokens)

    assert verdict.check.missing == 4
    assert verdict.notes == (
        note(NoteKind.NO_TOKENS, n=2, of=98),
        note(NoteKind.NO_PRICE, n=2, first="gone"),
    )


def test_an_ungated_variant_is_told_its_price_if_it_has_one_and_not_evaluated():
    (beside,) = measure_cost(of(LIMIT), LIMIT, written("new", [600] * 20))

    price = Check(
        kind=CheckKind.MEAN, outcome=Outcome.PASSED, limit=0.0, n=20, effective=20,
        after=pytest.approx(0.6), unit="usd", method="t",
        notes=(note(NoteKind.FEW_CASES, n=20, needed=30),),
    )  # fmt: skip
    assert beside == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="cost", variant="new", outcome=Outcome.PASSED,
        statement=Statement(StatementKind.UNGATED), gated=False, checks=(price,),
    )  # fmt: skip
    assert headline(beside).startswith("0.60 USD")

    assert list(measure_cost(of(LIMIT, new=Tariff()), LIMIT, written("new", [6] * 20))) == []


# The whole result ----------------------------------------------------------------------------


@every_row(
    ("low", "high", "outcome"),
    [
        (0.1, 0.5, Outcome.PASSED),
        (0.1, 0.51, Outcome.INCONCLUSIVE),
        (0.5, 0.6, Outcome.INCONCLUSIVE),
        (0.51, 0.6, Outcome.FAILED),
        (None, 0.4, Outcome.PASSED),
        (None, 0.6, Outcome.INCONCLUSIVE),
        (0.6, None, Outcome.FAILED),
        (0.4, None, Outcome.INCONCLUSIVE),
        (None, None, Outcome.INCONCLUSIVE),
    ],
)
def test_an_amount_may_equal_its_limit_and_an_unknown_bound_proves_nothing(low, high, outcome):
    assert interval_outcome(low, high, 0.5) is outcome


def test_a_broken_limit_is_reported_with_its_figures_and_the_limit_that_these_replies_keep():
    tokens = drawn(600)

    verdict = evaluated(LIMIT, tokens)

    low, high = mean_interval(np.array(tokens) / 1000, 0.95)
    price = Check(
        kind=CheckKind.MEAN, outcome=Outcome.FAILED, limit=0.5, n=100, effective=100,
        after=pytest.approx(np.mean(tokens) / 1000), low=pytest.approx(low),
        high=pytest.approx(high), unit="usd", method="t",
    )  # fmt: skip
    assert 0.617 < high < 0.618
    assert verdict == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="cost", variant="new", outcome=Outcome.FAILED,
        statement=Statement(StatementKind.USAGE), checks=(price,),
        next=(NextStep(StepKind.LOWER_USAGE), limit_to("max_usd_per_1k: 0.618")),
    )  # fmt: skip


def limit_to(setting: str) -> NextStep:
    return NextStep(StepKind.SET_LIMIT, {"setting": setting, "where": "suite.ftgate.yaml:1"})


def test_a_rise_is_reported_with_both_prices():
    before, after = drawn(400), [2 * one for one in drawn(400)]

    (check,) = evaluated(RISE, after, before).checks

    assert check == Check(
        kind=CheckKind.BASELINE, against="current", outcome=Outcome.FAILED, limit=0.1, n=100,
        effective=100, before=pytest.approx(np.mean(before) / 1000),
        after=pytest.approx(np.mean(after) / 1000), rise=pytest.approx(1.0),
        low=pytest.approx(1.0), high=pytest.approx(1.0), unit="usd", method="t",
    )  # fmt: skip


def test_a_rise_and_a_limit_that_are_broken_together_are_raised_in_one_step():
    gate = CostGate(line=1, max_usd_per_1k=0.5, max_rise=0.3)

    verdict = evaluated(gate, [1, 1], new=Tariff(per_1k=0.61), current=Tariff(per_1k=0.4))

    assert verdict.checks[1].rise == pytest.approx(0.525)
    assert verdict.deciding == 1
    assert verdict.next == (
        NextStep(StepKind.LOWER_USAGE),
        limit_to("max_rise: 0.53, max_usd_per_1k: 0.61"),
    )


def test_a_rise_of_a_flat_price_over_one_by_tokens_is_not_exact():
    check = evaluated(RISE, drawn(400), new=Tariff(per_1k=0.4)).check

    assert check.low < check.rise < check.high


def test_only_the_same_replies_at_the_same_price_are_unchanged():
    same = written("new", [*drawn(400), 400]).results
    sides = VariantScores("new", same), VariantScores("current", same)

    (check,) = evaluate_cost(of(RISE), RISE, *sides).checks

    assert (check.outcome, check.is_unchanged) == (Outcome.PASSED, True)
    assert (check.low, check.high, check.rise) == (0.0, 0.0, 0.0)

    with_gap = written("new", [*drawn(400), None]).results

    other = evaluated(RISE, drawn(400)).check
    gap = evaluate_cost(
        of(RISE), RISE, VariantScores("new", with_gap), VariantScores("current", with_gap)
    ).check

    assert (other.is_unchanged, gap.is_unchanged) == (False, False)
    assert (gap.n, gap.missing) == (100, 1)


def test_replies_that_are_missing_on_either_side_are_missing_from_a_rise():
    verdict = evaluated(RISE, [*drawn(500, 97), 1, 1, None], [*drawn(400, 97), None, 1, 1])

    assert (verdict.check.n, verdict.check.missing, verdict.outcome) == (98, 2, Outcome.FAILED)
    # A limit from these replies would not count those that are missing.
    assert verdict.next == (NextStep(StepKind.LOWER_USAGE),)


@every_row(("limit", "rise"), [(0.51, None), (0.49, None), (None, 0.27), (None, 0.23)])
def test_with_the_advised_cases_the_interval_just_keeps_to_one_side_of_the_limit(limit, rise):
    gate = CostGate(line=1, max_usd_per_1k=limit, max_rise=rise)
    rng = np.random.default_rng(4)
    before = np.array(drawn(400))
    after = [round(1.25 * one) for one in (before + rng.normal(0, 80, 100)).tolist()]

    verdict = evaluated(gate, after, before.tolist())
    check, steps = verdict.check, {step.kind: step.values for step in verdict.next}

    needed = check.needed
    value = check.after if rise is None else check.rise
    end = check.high if value < check.limit else check.low
    distances = [
        abs(end - value) * np.sqrt(check.n / (check.n + more)) for more in (needed, needed - 1)
    ]
    assert distances[0] <= abs(value - check.limit) < distances[1]
    if needed <= 5 * check.n:
        counts = {"needed": needed, "unchanged": 0, "cases": "case", "default": False}
        counts["fails"] = value > check.limit
        assert steps[StepKind.ADD_CASES] == counts
    else:
        assert steps[StepKind.DECIDE_OTHERWISE] == {"n": check.n, "cases": "case"}
    assert StepKind.SET_LIMIT in steps


def test_an_interval_that_touches_the_limit_takes_one_more_case():
    low = evaluated(LIMIT, drawn(500)).check.low

    check = evaluated(CostGate(line=1, max_usd_per_1k=low), drawn(500)).check

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, 1)


@every_row(("limit", "is_advised"), [(0.5, False), (0.4999, False), (0.495, True)])
def test_no_number_of_cases_is_advised_for_a_mean_that_lies_at_its_limit(limit, is_advised):
    tokens = [400, 600] * 60

    check = evaluated(CostGate(line=1, max_usd_per_1k=limit), tokens).check

    assert check.outcome is Outcome.INCONCLUSIVE
    assert (check.needed is not None) is is_advised


def test_a_rise_that_the_baseline_leaves_unbounded_is_settled_by_no_limit():
    verdict = evaluated(RISE, [400] * 40, [1] * 39 + [16_000])

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (verdict.check.high, verdict.check.needed) == (None, None)
    assert verdict.next == ()


def test_a_case_counts_by_its_weight_and_its_replies_by_their_mean():
    rows = written("new", drawn(400)).results
    weights = {key: float(i % 3) for i, key in enumerate(rows)}
    weighted = {
        key: replace(
            row,
            case=replace(row.case, weight=weights[key]),
            replies=(*row.replies, Reply(text="refund", usage={"output": 100})),
            scores=row.scores * 2,
        )
        for key, row in rows.items()
    }

    check = evaluate_cost(of(LIMIT), LIMIT, VariantScores("new", weighted), None).check

    weight = np.array([one for one in weights.values() if one])
    prices = np.array([(one + 100) / 2000 for one in drawn(400)])[np.array([*weights.values()]) > 0]
    assert check.n == 66
    assert check.after == pytest.approx(np.average(prices, weights=weight))
    assert (check.low, check.high) == pytest.approx(ratio_interval(prices * weight, weight, 0.95))
