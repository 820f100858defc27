"""The rows of an agent's runs: how often they succeed, what they take, which skills they used."""

from __future__ import annotations

import pytest
from ftgate_testing.agent_scores import agent_scores

from pytest_ftgate import compare
from pytest_ftgate.gates.measures import pairs_of_scores
from pytest_ftgate.gates.run_rows import run_rows
from pytest_ftgate.suite.gate_kinds import THESE_TASKS, RateGate

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

    tasks, these = (pairs_of_scores(suite, GATE, *sides, of_runs=of) for of in (False, True))

    assert (tasks.n, these.n) == (3, 9)
    assert these.regressed == these.fixed == pytest.approx(2.0)
