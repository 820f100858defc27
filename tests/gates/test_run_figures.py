from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.agent_scores import agent_scores, costing
from ftgate_testing.score_columns import case

from pytest_ftgate.gates.run_figures import Amount, run_amount, run_figure, run_figures, run_rise
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import mean_interval
from pytest_ftgate.suite.prices import Tariff

NO_PRICE, TARIFF = Tariff(), Tariff(per_1m_input=1.0, per_1m_output=2.0)
COSTS = [[0.1 * (1 + task % 3) + 0.01 * run for run in range(5)] for task in range(8)]


def test_the_mean_cost_of_these_tasks_has_the_interval_of_their_runs():
    figure = run_figure(costing("new", COSTS), Amount.COST, NO_PRICE, these_tasks=True)
    assert (figure.n, figure.units, figure.missing) == (40, 40, 0)
    assert figure.value == pytest.approx(np.mean(COSTS))
    assert (figure.low, figure.high) == pytest.approx(mean_interval(np.ravel(COSTS), 0.95))


def test_of_tasks_like_these_the_tasks_are_the_sample_and_few_have_no_interval():
    few = run_figure(costing("new", COSTS), Amount.COST, NO_PRICE, these_tasks=False)
    assert (few.n, few.units, few.low, few.high) == (40, 8, None, None)
    many = run_figure(costing("new", COSTS * 3), Amount.COST, NO_PRICE, these_tasks=False)
    ends = mean_interval(np.mean(COSTS * 3, axis=1), 0.95)
    assert (many.units, (many.low, many.high)) == (24, pytest.approx(ends))


def test_failures_pay_for_the_successes():
    runs = [[(1.0, {"cost_usd": 0.2}), (0.0, {"cost_usd": 0.4})]] * 12
    figure = run_figure(
        agent_scores("new", runs), Amount.COST_PER_SUCCESS, NO_PRICE, these_tasks=True
    )
    assert figure.value == pytest.approx(0.6)
    assert figure.low < 0.6 < figure.high


def test_each_task_weighs_the_same_however_often_it_ran():
    scores = costing("new", [[1.0] * 9, [3.0], [2.0]])
    assert run_figure(scores, Amount.COST, NO_PRICE, these_tasks=True).value == pytest.approx(2.0)


def test_what_is_not_known_has_no_figure_and_a_run_without_it_is_missing():
    tasks = [[(1.0, {"tool_calls": 3}), (1.0, {}), (None, {})]] * 5
    found = run_figures(agent_scores("new", tasks), NO_PRICE, these_tasks=True)
    assert [*found] == [Amount.TOOL_CALLS]
    assert (found[Amount.TOOL_CALLS].n, found[Amount.TOOL_CALLS].missing) == (5, 10)


def test_without_a_success_there_is_no_cost_per_success():
    found = run_figures(costing("new", COSTS, right=0.0), NO_PRICE, these_tasks=True)
    assert [*found] == [Amount.COST]


@pytest.mark.parametrize(
    ("amount", "reply", "value"),
    [
        (Amount.COST, Reply(text="", run=RunFacts(cost_usd=0.0)), 0.0),
        (Amount.COST, Reply(text="", usage={"input": 1000, "output": 500}), 0.002),
        (Amount.COST, Reply(text="", run=RunFacts(input_tokens=1e3, output_tokens=5e2)), 0.002),
        (Amount.COST, Reply(text="", run=RunFacts(total_tokens=1500)), None),
        (Amount.TOKENS, Reply(text="", usage={"input": 7, "cache_read": 2, "output": 1}), 10),
        (Amount.TOKENS, Reply(text="", usage={"input": 7}, run=RunFacts(total_tokens=90)), 90),
        (Amount.SECONDS, Reply(text="", seconds=2.0, run=RunFacts(seconds=61.0)), 61.0),
        (Amount.SECONDS, Reply(text="", seconds=2.0, run=RunFacts(model="m")), 2.0),
        (Amount.SECONDS, Reply(text=""), None),
        (Amount.TOOL_CALLS, Reply(text="", run=RunFacts(tool_calls=0)), 0),
    ],
)
def test_the_word_of_the_runner_comes_first_and_what_nobody_knows_is_none(amount, reply, value):
    assert run_amount(reply, amount, TARIFF) == value


@pytest.mark.parametrize("these_tasks", [True, False])
@pytest.mark.parametrize("amount", [Amount.COST, Amount.COST_PER_SUCCESS])
def test_a_rise_is_relative_to_the_baseline_of_the_same_tasks(amount, these_tasks):
    before = costing("current", COSTS * 3)
    after = costing("new", [[1.5 * cost for cost in row] for row in COSTS * 3 + [[99.0]]])
    rise = run_rise(before, after, amount, (NO_PRICE, NO_PRICE), these_tasks=these_tasks)
    assert (rise.value, rise.low, rise.high) == pytest.approx((0.5, 0.5, 0.5))
    assert (rise.n, rise.units) == (120, 120 if these_tasks else 24)


def test_fewer_successes_raise_what_one_costs():
    before, after = costing("current", COSTS), costing("new", COSTS, right=0.5)
    tariffs = (NO_PRICE, NO_PRICE)
    rise = run_rise(before, after, Amount.COST_PER_SUCCESS, tariffs, these_tasks=True)
    assert rise.value == pytest.approx(1.0)


def test_sides_with_different_numbers_of_runs_count_as_the_fewer():
    before, after = costing("current", [row[:2] for row in COSTS]), costing("new", COSTS)
    rise = run_rise(before, after, Amount.COST, (NO_PRICE, NO_PRICE), these_tasks=True)
    means = [np.mean([row[:2] for row in COSTS]), np.mean(COSTS)]
    assert (rise.units, rise.value) == (16, pytest.approx(means[1] / means[0] - 1.0))


def test_a_free_baseline_and_tasks_of_one_side_alone_have_no_rise():
    free, paid = costing("current", [[0.0] * 5] * 8), costing("new", COSTS)
    tariffs = (NO_PRICE, NO_PRICE)
    assert run_rise(free, paid, Amount.COST, tariffs, these_tasks=True) is None
    other = VariantScores("new", {"x": replace(paid.results["t00"], case=case("x"))})
    assert run_rise(paid, other, Amount.COST, tariffs, these_tasks=True) is None
