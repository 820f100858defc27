"""What the runs of agents took, and their rows: how often they succeed, which skills they used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.agent_scores import agent_scores, costing
from ftgate_testing.score_columns import case, changed, with_case
from ftgate_testing.tables import every_row

from pytest_ftgate import compare
from pytest_ftgate.gates.measures import pairs_of_scores
from pytest_ftgate.gates.run_figures import Amount, run_amount, run_figure, run_rise, run_rows
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.resampling import mean_interval
from pytest_ftgate.suite.gate_kinds import THESE_TASKS, RateGate
from pytest_ftgate.suite.prices import Tariff

NO_PRICE, TARIFF = Tariff(), Tariff(per_1m_input=1.0, per_1m_output=2.0)
COSTS = [[0.1 * (1 + task % 3) + 0.01 * run for run in range(5)] for task in range(8)]


def known_figures(scores):
    figures = {one: run_figure(scores, one, NO_PRICE, these_tasks=True) for one in Amount}
    return {amount: figure for amount, figure in figures.items() if figure}


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


@every_row(
    ("amount", "odd", "value"),
    [
        (Amount.COST, {"weight": 0.0}, 1.0),
        (Amount.COST, {"expected": None}, 2.0),
        (Amount.COST_PER_SUCCESS, {"expected": None}, 1.0),
    ],
)
def test_a_task_without_weight_costs_nothing_and_one_without_an_answer_no_success(
    amount, odd, value
):
    scores = changed(
        costing("new", [[1.0], [3.0]]), lambda n, row: with_case(row, **odd) if n else row
    )
    assert run_figure(scores, amount, NO_PRICE, these_tasks=True).value == value


def test_what_is_not_known_has_no_figure_and_a_run_without_it_is_missing():
    tasks = [[(1.0, {"tool_calls": 3}), (1.0, {}), (None, {})]] * 5
    found = known_figures(agent_scores("new", tasks))
    assert [*found] == [Amount.TOOL_CALLS]
    assert (found[Amount.TOOL_CALLS].n, found[Amount.TOOL_CALLS].missing) == (5, 10)


def test_without_a_success_there_is_no_cost_per_success():
    assert [*known_figures(costing("new", COSTS, right=0.0))] == [Amount.COST]


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


# Rows --------------------------------------------------------------------------------------------

GATE = RateGate(kind="accuracy", line=1, claim=THESE_TASKS)


@pytest.fixture
def suite():
    """A suite with the variants base and candidate."""
    rows = [{"id": f"t{n}", "score": 1, "reply": "x"} for n in range(3)]
    return compare(rows, [{**row, "reply": "y"} for row in rows]).suite.suite


def scores(suite, place, tasks):
    return agent_scores([*suite.variants][place], tasks)


def rows(suite, *sides, gate=GATE):
    known = [scores(suite, place, tasks) if tasks else None for place, tasks in enumerate(sides)]
    return {(row.name, row.skill): row for row in run_rows(suite, gate, *known)}


def runs(*rewards, **facts):
    return [(reward, facts) for reward in rewards]


def test_success_is_that_of_one_run_and_of_three_without_bias(suite):
    before = [runs(1, 1, 1, 1, 0), runs(1, 1, 1, 1, 1), runs(0, 0, 0, 1, 1)]
    after = [runs(1, 1, 1, 1, 1)] * 3

    found = rows(suite, before, after)

    assert found["pass@1", ""].before.value == pytest.approx((0.8 + 1 + 0.4) / 3)
    # Of 4 right runs of 5, C(4, 3) / C(5, 3) of the threes are right; of 2 none.
    assert found["pass^3", ""].before.value == pytest.approx((0.4 + 1 + 0) / 3)
    assert found["pass^3", ""].after.value == 1.0
    assert found["pass@1", ""].before.low < 0.73 < found["pass@1", ""].before.high


def test_the_k_is_the_number_of_runs_where_these_are_fewer_than_three(suite):
    found = rows(suite, [runs(1, 1)] * 3, [runs(1, 0, 1)] * 3)

    assert ("pass^2", "") in found
    assert not {name for name, _ in found} & {"pass^1", "pass^3"}


def test_graded_runs_have_a_mean_score_and_no_pass_rate(suite):
    found = rows(suite, [runs(0.5, 1)] * 3, [runs(1, 1)] * 3)

    assert [*found] == [("score", "")]
    assert found["score", ""].before.value == 0.75


def test_only_tasks_that_both_sides_ran_have_a_success(suite):
    before = [runs(0, 0), runs(1, 1), runs(1, 1), runs(1, 1)]

    found = rows(suite, before, [runs(None, None), runs(1, 1), runs(1, 1), runs(1, 1)])

    assert found["pass@1", ""].before.value == 1.0


def test_fewer_than_three_tasks_or_unequal_ones_have_no_success(suite):
    unequal = changed(
        scores(suite, 1, [runs(1, 1)] * 3), lambda n, row: with_case(row, weight=1.0 + n)
    )

    assert rows(suite, None, [runs(1, 1)] * 2) == {}
    assert [*run_rows(suite, GATE, None, unequal)] == []


def test_amounts_have_their_change_and_what_no_file_states_has_no_row(suite):
    before = [runs(1, 1, cost_usd=0.2)] * 12
    after = [runs(1, 0, cost_usd=0.2)] * 12

    found = rows(suite, before, after)

    assert found["usd_per_success", ""].rise.value == pytest.approx(1.0)
    assert found["usd_per_run", ""].rise.value == 0.0
    assert not {name for name, _ in found} & {"tokens", "seconds", "tool_calls", "uses"}


def test_the_use_of_a_skill_is_counted_among_the_runs_with_a_trace(suite):
    before = [runs(1, uses=()), runs(1), runs(1, uses=())]
    after = [runs(1, uses=("pdf", "pdf")), runs(1, uses=["xlsx", "pdf"]), runs(1, uses=())]

    found = rows(suite, before, after)

    pdf = found["uses", "pdf"]
    assert (pdf.before.value, pdf.before.n) == (0.0, 2)
    assert (round(pdf.after.value * pdf.after.n), pdf.after.n) == (2, 3)


def test_a_variant_without_a_baseline_has_its_own_rows(suite):
    found = rows(suite, None, [runs(1, 0, seconds=3.0)] * 3)

    assert found["pass@1", ""].before is None
    assert found["seconds", ""].after.value == 3.0


def test_an_amount_that_only_some_runs_state_has_no_rise(suite):
    known = [runs(1, 1, 1, cost_usd=0.5)] * 3
    some = [[*runs(1, 1, cost_usd=0.1), *runs(0)]] * 3

    found = rows(suite, known, some)["usd_per_success", ""]

    assert (found.after.missing, found.rise) == (3, None)


def test_of_these_tasks_the_runs_are_compared_that_a_plan_measures(suite):
    sides = [scores(suite, place, [runs(1, 1, 0)] * 3) for place in (0, 1)]

    tasks, these = (pairs_of_scores(GATE, *sides, of_runs=of) for of in (False, True))

    assert (tasks.n, these.n) == (3, 9)
    assert these.regressed == these.fixed == pytest.approx(2.0)
