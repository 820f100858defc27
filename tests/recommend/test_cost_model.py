"""Money: by hand, with the interval of what was measured, and never from nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.ladder_suites import score_rung
from ftgate_testing.tables import every_row

from pytest_ftgate.recommend.cost_model import cost_by_volume, variant_cost
from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.suite.declaration import Economics, Spend
from pytest_ftgate.suite.prices import Tariff


@pytest.fixture
def by_tokens(evidence, wrong_cases):
    """Return the reference case with prices by tokens: strong reads and writes more or less."""
    known = evidence(5_000)
    strong = Tariff(per_1m_input=10.0, per_1m_output=50.0)
    variants = {
        name: replace(one, tariff=strong if name == "strong" else one.tariff)
        for name, one in known.suite.variants.items()
    }
    columns = {
        **known.scores,
        "strong": score_rung(
            known.suite, "strong", wrong_cases["strong"], input=500, output=lambda n: n % 21
        ),
    }
    return replace(known, suite=replace(known.suite, variants=variants), scores=columns)


def test_the_interval_of_the_tokens_is_that_of_the_break_even(by_tokens):
    advice = advise(by_tokens)
    row = next(row for row in advice.rungs if row.variant == "strong")
    (pair,) = [
        one
        for one in advice.money.break_even
        if (one.variant, one.compared_with) == ("lora", "strong")
    ]

    assert row.usd_per_1k == pytest.approx(1000 * (500 * 10 + 9.99 * 50) / 1e6, rel=1e-3)
    assert pair.low < pair.calls_per_day < pair.high
    assert pair.days_low < pair.days < pair.days_high
    assert pair.calls_per_day == pytest.approx(150 / (row.usd_per_1k - 0.4) * 1000 / 30)


def test_a_line_of_the_plot_goes_through_the_declared_volume(by_tokens):
    money = advise(by_tokens).money
    at = money.volumes.index(5_000)
    lines = {one.variant: one for one in money.series}

    assert lines["lora"].usd[at] == pytest.approx(210)
    assert lines["lora"].fixed == 150
    assert lines["strong"].low[at] < lines["strong"].usd[at] < lines["strong"].high[at]
    assert all(len(one.usd) == len(money.volumes) for one in money.series)


@every_row("spend, per_1k, fixed", [
    (Spend(), 6.0, 0), (Spend(batched=0.5), 4.5, 0), (Spend(cached=0.8), 2.8, 0),
    (Spend(hosting_usd_per_month=600, adapters_on_server=4), 6.0, 150),
    (Spend(training_usd=120, retrainings_per_year=2), 6.0, 20),
    (Spend(evaluations_per_month=30, evaluation_usd=2), 6.0, 60),
    (Spend(evaluations_per_month=30), 6.0, 15),
])  # fmt: skip
def test_what_a_variant_takes_by_hand(evidence, wrong_cases, spend, per_1k, fixed):
    suite = evidence().suite
    tariff = Tariff(per_1m_input=10.0, per_1m_output=50.0, per_1m_cached=2.0)
    variant = replace(suite.variants["strong"], tariff=tariff)
    own = score_rung(suite, "strong", wrong_cases["strong"], input=500, output=20)

    cost = variant_cost(variant, own, spend, evaluation_usd=0.5)

    assert cost.per_1k.value == pytest.approx(per_1k)
    assert cost.fixed == fixed
    assert (cost.per_1k.low, cost.per_1k.high) == pytest.approx((per_1k, per_1k))


def test_a_model_here_costs_its_server_where_one_is_declared_and_else_nobody_knows(
    evidence, wrong_cases
):
    suite = evidence().suite
    variant = replace(suite.variants["lora"], tariff=Tariff(local=True))
    own = score_rung(suite, "lora", wrong_cases["lora"], input=500, output=20)

    assert variant_cost(variant, own, Spend()) is None
    assert (
        variant_cost(variant, own, Spend(hosting_usd_per_month=90)).usd_per_month(1_000).value == 90
    )


def test_the_fixed_costs_of_the_other_variant_count_against_those_of_the_fine_tune(
    evidence, wrong_cases
):
    suite = evidence().suite
    spends = {
        "lora": (1.0, Spend(hosting_usd_per_month=150, training_usd=30)),
        "strong": (3.0, Spend(hosting_usd_per_month=60)),
    }
    costs = {
        name: variant_cost(
            replace(suite.variants[name], tariff=Tariff(per_1k=usd)),
            score_rung(suite, name, wrong_cases[name]),
            spend,
        )
        for name, (usd, spend) in spends.items()
    }

    (pair,) = cost_by_volume(Economics(calls_per_day=3_000), costs, ["lora"], {}).break_even

    # 90 USD more a month for 2 USD less a thousand; 90,000 requests a month save 180 USD.
    found = (pair.calls_per_day, pair.saves_per_month, pair.days)
    assert found == pytest.approx((1_500, 90, 10))


def test_what_has_no_price_has_no_line_and_no_month(evidence):
    advice = advise(evidence(50_000, ("usd_per_1k: 0.4\n", "\n"), ("0.4, gated", "0.4, gated")))
    rows = {row.variant: row for row in advice.rungs}

    assert advice.money.unpriced == {"lora": "unpriced"}
    assert (rows["lora"].usd_per_1k, rows["lora"].usd_per_month) == (None, None)
    assert "lora" not in {one.variant for one in advice.money.series}
    assert {one.variant for one in advice.money.break_even} == {"hosted"}
