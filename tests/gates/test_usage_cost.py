from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from columns import suite, variant_scores
from scipy import stats

from pytest_ftgate.gates.usage import evaluate_cost, measure_cost
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_text
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.means import mean_interval, ratio_interval
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
        replies = () if count is None else (Reply(text="refund", usage={"output": count}),)
        scores, reasons = (row.scores, ()) if replies else ((), ("gone",))
        fingerprints = (f"{key} {variant}",)
        rows[key] = replace(
            row,
            case=case,
            replies=replies,
            scores=scores,
            missing_reasons=reasons,
            fingerprints=fingerprints,
        )
    return VariantScores(variant, rows)


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


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [(400, Outcome.PASSED), (500, Outcome.INCONCLUSIVE), (600, Outcome.FAILED)],
)
def test_a_limit_is_held_inconclusive_or_broken_by_where_the_whole_interval_lies(mean, outcome):
    verdict = evaluated(LIMIT, drawn(mean))

    assert verdict.outcome is outcome
    assert verdict.check.unit == "usd"


def test_the_interval_is_that_of_the_skewed_mean():
    tokens = np.random.default_rng(1).lognormal(5.5, 1.0, 80).round()

    check = evaluated(LIMIT, [int(count) for count in tokens]).check

    assert (check.low, check.high) == pytest.approx(mean_interval(tokens / 1000, 0.95))
    student = stats.ttest_1samp(tokens / 1000, 0.0).confidence_interval()
    assert (check.low > student.low, check.high > student.high) == (True, True)
    assert check.after == pytest.approx(np.mean(tokens) / 1000)


def test_the_interval_of_a_rise_is_that_of_the_ratio():
    rng = np.random.default_rng(2)
    before, after = (rng.lognormal(5.5, 1.0, 90).round() for _ in range(2))
    sides = [[int(count) for count in side] for side in (after, before)]

    check = evaluated(RISE, *sides, groups=45).check

    sums = [np.bincount(np.arange(90) % 45, side) for side in (after, before)]
    low, high = ratio_interval(*sums, 0.95)
    assert (check.low, check.high) == pytest.approx((low - 1, high - 1))


@pytest.mark.parametrize("groups", [None, 60])
def test_a_case_that_holds_over_a_tenth_of_the_cost_is_named(groups):
    # 120 cases cost 100 each, and one of them 1,500 more.
    tokens = [100] * 119 + [1600]
    unit = "case" if groups is None else "group of related cases"

    notes = evaluated(LIMIT, tokens, groups=groups).notes

    assert notes[0].startswith(f"one {unit} holds 1{'2' if groups is None else '3'}% of the cost")
    assert evaluated(LIMIT, [100] * 119 + [1000], groups=groups).notes == ()


def test_an_inconclusive_limit_says_how_many_more_cases_would_settle_it():
    verdict = evaluated(LIMIT, drawn(485))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "cases (settles it 9 times in 10" in step_text(verdict.next[0])


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, Outcome.PASSED), (1.3, Outcome.FAILED)])
def test_a_rise_is_a_share_of_the_baseline_paired_by_case(factor, outcome):
    before = drawn(400)
    after = [round(one * factor) + 1 for one in before]

    verdict = evaluated(RISE, after, before)

    assert verdict.outcome is outcome
    assert verdict.check.rise == pytest.approx(factor - 1, abs=0.01)
    # Though cases differ by a quarter, their rises hardly do.
    assert verdict.check.high - verdict.check.low < 0.01


def test_the_baseline_itself_has_nothing_to_rise_from():
    mine = written("current", drawn(400))

    verdict = evaluate_cost(of(RISE), RISE, mine, mine)

    assert (verdict.outcome, verdict.checks) == (Outcome.PASSED, ())


def test_a_baseline_that_costs_nothing_leaves_a_rise_inconclusive():
    free = Tariff(per_1m_input=0.0, per_1m_output=0.0)

    verdict = evaluated(RISE, drawn(400), current=free)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "costs nothing" in verdict.notes[0]


def test_related_cases_count_as_one():
    tokens = [300 + 20 * (i % 30) for i in range(300)]

    alone, grouped = (evaluated(LIMIT, tokens, groups=groups).check for groups in (None, 30))

    assert grouped.effective == 30
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize("groups", [None, 29])
def test_few_unrelated_cases_conclude_nothing(groups):
    tokens = drawn(100, n=29 if groups is None else 87)

    verdict = evaluated(LIMIT, tokens, groups=groups)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "at least 30 are needed" in verdict.notes[0]


@pytest.mark.parametrize(("flat", "outcome"), [(0.4, Outcome.PASSED), (0.6, Outcome.FAILED)])
def test_a_flat_price_is_known_and_needs_no_cases(flat, outcome):
    assert evaluated(LIMIT, [1, 1], new=Tariff(per_1k=flat)).outcome is outcome


def test_a_flat_price_is_explained_without_statistics():
    told = " ".join(explain(evaluated(LIMIT, [1, 1], new=Tariff(per_1k=0.6))))

    assert told == "The price is 0.60 USD, and 0.50 USD is allowed; so it failed."


@pytest.mark.parametrize(("gone", "outcome"), [(4, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_above_five_in_a_hundred_missing_replies_leave_it_inconclusive(gone, outcome):
    verdict = evaluated(LIMIT, [*drawn(400)[gone:], *[None] * gone])

    assert verdict.outcome is outcome
    assert f"no reply to {gone} cases; first: gone" in verdict.notes


def test_replies_that_tell_no_tokens_are_named_and_never_counted_as_free():
    verdict = evaluated(LIMIT, [0] * 100)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.check.n == 0


def test_an_ungated_variant_is_told_its_price_and_not_evaluated():
    (beside,) = measure_cost(of(LIMIT), LIMIT, written("new", [600] * 20))

    assert (beside.gated, beside.outcome) == (False, Outcome.PASSED)
    assert headline(beside) == "0.60 USD a thousand requests"


def test_an_ungated_variant_without_a_price_is_passed_over():
    assert list(measure_cost(of(LIMIT, new=Tariff()), LIMIT, written("new", [6] * 20))) == []
