"""Figures of amounts: differences of the same cases, and prices under another way to ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples, changed, variant_scores
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.gates.figures import difference_figure, request_prices
from pytest_ftgate.suite.prices import Tariff

#: Forty savings without skewness, around 5.
SAVED = np.tile([2.0, 4.0, 6.0, 8.0], 10)


@every_row("weights", [None, np.tile([1.0, 3.0, 3.0, 1.0], 10)])
def test_the_interval_of_a_difference_is_that_of_its_weighted_terms(weights):
    before = case_samples([*(10.0 + SAVED), None, 3.0], weights=_padded(weights))
    after = case_samples([*np.full(40, 10.0), 3.0, None], weights=_padded(weights))

    figure = difference_figure(before, after, "usd")

    w = np.ones(40) if weights is None else weights
    terms = 5.0 + (SAVED - 5.0) * w / w.mean()
    ends = stats.ttest_1samp(terms, 0.0).confidence_interval(0.95)
    assert (figure.value, figure.n, figure.missing, figure.unit) == (5.0, 40, 2, "usd")
    assert (figure.low, figure.high) == pytest.approx((ends.low, ends.high))


def _padded(weights):
    return None if weights is None else [*weights, 9.0, 9.0]


@every_row(
    ("saved", "ends"),
    [(SAVED[:29], (None, None)), ([5.0, 5.0], (5.0, 5.0)), ([], (None, None))],
)
def test_a_difference_of_few_cases_has_an_interval_only_if_it_is_always_the_same(saved, ends):
    before, after = case_samples(saved), case_samples([0.0] * len(saved))

    figure = difference_figure(before, after, "usd")

    assert (figure.low, figure.high) == ends
    assert figure.value == pytest.approx(float(np.mean(saved)) if len(saved) else 0.0)


DECLARED = Tariff(per_1m_input=10.0, per_1m_output=20.0, per_1m_cached=1.0)


@every_row(
    ("tariff", "shares", "usd"),
    [
        # 1,000 input tokens, of which 200 came from the cache, and 100 output tokens.
        (DECLARED, {}, 8.0 + 0.2 + 2.0),
        (DECLARED, {"cached": 0.9}, 1.0 + 0.9 + 2.0),
        (DECLARED, {"batched": 0.5}, 10.2 * 0.75),
        (DECLARED, {"cached": 0.9, "batched": 1.0}, 3.9 / 2),
        (Tariff(per_1k=4.0), {"cached": 0.9, "batched": 1.0}, 2.0),
        (Tariff(local=True), {"batched": 1.0}, None),
    ],
)
def test_shares_of_cached_tokens_and_of_batches_move_the_price(tariff, shares, usd):
    usage = {"input": 500, "cache_read": 200, "cache_write": 300, "output": 100}
    scores = changed(
        variant_scores("new", [1.0]),
        lambda _, row: replace(row, replies=(replace(row.replies[0], usage=usage),)),
    )

    (price,) = request_prices(scores, tariff, **shares).values

    assert price == pytest.approx(np.nan if usd is None else usd, nan_ok=True)
