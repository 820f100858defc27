from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.agent_scores import agent_scores, costing
from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.usage import evaluate_cost, evaluate_usage
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.suite.gate_kinds import CostGate, RateGate, UsageGate

THESE = RateGate(kind="accuracy", line=1, claim="these_tasks", max_drop=0.5)
LIMIT = CostGate(line=2, max_usd_per_success=0.5)


def of(gate, *, these=True):
    made = suite(gate)
    return replace(made, gates={"accuracy": THESE, **made.gates} if these else made.gates)


def cost(gate, after, before=None, *, these=True):
    return evaluate_cost(of(gate, these=these), gate, after, before or after)


def costs(mean, spread=0.3, tasks=8, runs=5, seed=0):
    draws = np.random.default_rng(seed).lognormal(0.0, spread, (tasks, runs))
    return (mean * draws / draws.mean()).tolist()


@pytest.mark.parametrize(
    ("mean", "outcome"), [(0.4, "passed"), (0.51, "inconclusive"), (0.7, "failed")]
)
def test_the_whole_interval_must_lie_on_one_side_of_the_limit(mean, outcome):
    verdict = cost(LIMIT, costing("new", costs(mean)))
    assert verdict.outcome == outcome
    assert (verdict.check.n, verdict.check.tasks, verdict.check.effective) == (40, 8, 40)


def test_beyond_the_limit_by_the_95_percent_interval_alone_is_not_surely_beyond():
    check = cost(LIMIT, costing("new", costs(0.55))).check
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.low > check.limit
    assert [one.kind for one in check.notes] == [NoteKind.NOT_SURELY_BEYOND]


def test_a_pass_says_how_many_runs_may_be_unlike_those_that_it_saw():
    (unseen,) = cost(LIMIT, costing("new", costs(0.3))).check.notes
    assert unseen.values["share"] == pytest.approx(1.0 - 0.025 ** (1 / 40))
    assert cost(LIMIT, costing("new", costs(0.3, tasks=30, runs=10))).check.notes == ()


def test_the_repeats_of_a_step_are_those_that_settle_the_same_result():
    verdict = cost(LIMIT, costing("new", costs(0.47)))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    (step,) = [one for one in verdict.next if one.kind is StepKind.REPEAT_RUNS]
    more = step.values["repeats"] / 5
    width = (verdict.check.high - verdict.check.after) / np.sqrt(more)
    assert verdict.check.after + width <= LIMIT.max_usd_per_success


@pytest.mark.parametrize(("missing", "decided"), [(2, True), (3, False)])
def test_more_than_one_run_in_twenty_without_a_cost_decides_nothing(missing, decided):
    tasks = [[(1.0, {"cost_usd": 0.1 + 0.01 * run})] for run in range(40 - missing)]
    tasks += [[(1.0, {"tool_calls": 1})]] * missing
    verdict = cost(LIMIT, agent_scores("new", tasks))
    assert (verdict.outcome is Outcome.PASSED) == decided
    assert verdict.check.missing == missing
    assert (NoteKind.UNKNOWN_RUNS in [one.kind for one in verdict.check.notes]) != decided


def test_a_side_of_a_comparison_with_too_few_known_runs_decides_nothing():
    gate = replace(LIMIT, max_rise=0.5)
    known, rows = costing("new", costs(0.2)), costs(0.2, seed=1)
    before = [
        [
            (1.0, {"cost_usd": cost} if place else {"tool_calls": 1})
            for place, cost in enumerate(row)
        ]
        for row in rows
    ]
    nothing = [[(1.0, {"tool_calls": 1})] * 5] * 8
    for tasks, missing in ((before, 8), (nothing, 40)):
        made = replace(of(gate), places={"variants.current": "s.yaml:4"})
        verdict = evaluate_cost(made, gate, known, agent_scores("current", tasks))
        rise = verdict.checks[1]
        assert (rise.outcome, rise.missing, rise.n) == (Outcome.INCONCLUSIVE, missing, 40)
        # It is the baseline whose runs are to state it.
        assert [one.values["variant"] for one in rise.notes] == ["current"]
        (step,) = verdict.next
        assert step.kind is StepKind.STATE_AMOUNT
        assert (step.values["missing"], step.values["where"]) == (missing, "s.yaml:4")


@pytest.mark.parametrize(
    ("runs", "evidence", "outcome"),
    [(5, "statistics", "failed"), (1, "statistics", "inconclusive"), (1, "point", "failed")],
)
def test_no_success_fails_if_even_the_most_likely_number_left_possible_costs_more(
    runs, evidence, outcome
):
    scores = costing("new", costs(0.1, tasks=3, runs=runs), right=0.0)
    verdict = cost(replace(LIMIT, evidence=evidence, max_usd_per_success=0.2), scores)
    assert verdict.outcome == outcome
    assert verdict.check.after == pytest.approx(0.1 / (1.0 - 0.005 ** (1 / (3 * runs))))
    assert verdict.next[0].kind is StepKind.CHECK_SCORE


def test_failures_that_cost_nothing_fail_nothing():
    free = costing("new", [[0.0] * 5] * 8, right=0.0)
    assert cost(LIMIT, free).outcome is Outcome.INCONCLUSIVE


def test_both_limits_of_a_cost_hold_for_the_rise_of_both():
    gate = CostGate(line=2, max_usd_per_1k=1.0, max_usd_per_success=0.5, max_rise=0.2)
    checks = cost(gate, costing("new", costs(0.2)), costing("current", costs(0.2, seed=1))).checks
    assert [(check.unit, check.before is None) for check in checks] == [
        ("usd", True), ("usd", False), ("usd_per_success", True), ("usd_per_success", False)
    ]  # fmt: skip


def test_the_same_replies_are_unchanged_however_few_they_are():
    gate, scores = CostGate(line=2, max_usd_per_success=0.5, max_rise=0.1), costs(0.2, runs=2)
    before = costing("same", scores)
    after = replace(before, variant="new")
    rise = cost(gate, after, replace(before, variant="current")).checks[1]
    assert (rise.outcome, rise.is_unchanged) == (Outcome.PASSED, True)


@pytest.mark.parametrize(
    ("right", "kind"), [(0.0, NoteKind.NO_SUCCESS_OF), (1.0, NoteKind.FREE_BASELINE)]
)
def test_a_rise_over_nothing_is_ignored_beside_the_limit(right, kind):
    gate = CostGate(line=2, max_usd_per_success=0.5, max_rise=0.1)
    before = costing("current", costs(0.0 if right else 0.2), right=right)
    verdict = cost(gate, costing("new", costs(0.2)), before)
    assert verdict.outcome is Outcome.PASSED
    assert [one.kind for one in verdict.checks[1].notes] == [kind]


def test_of_tasks_like_these_thirty_are_needed_and_more_are_asked_for():
    few = cost(LIMIT, costing("new", costs(0.2, tasks=29)), these=False)
    assert few.check.notes[0].values == {"n": 29, "noun": "task", "needed": 30}
    assert few.next[0].kind is StepKind.ADD_CASES
    many = cost(LIMIT, costing("new", costs(0.2, tasks=30)), these=False)
    assert (many.outcome, many.check.tasks) == (Outcome.PASSED, 0)


def test_runs_that_are_copies_show_no_more_than_one():
    scores = costing("new", [[0.1] * 5] * 8)
    copies = {key: replace(row, replies=row.replies[:1] * 5) for key, row in scores.results.items()}
    found = cost(LIMIT, replace(scores, results=copies))
    assert found.check.outcome is Outcome.INCONCLUSIVE
    assert [one.kind for one in found.check.notes] == [NoteKind.COPIES]
    # Neither is the limit why it is open, nor would a tighter one pass.
    assert [step.kind for step in found.next] == [StepKind.CLAIM_OTHERS]


def test_a_rise_of_usage_alone_reads_what_is_known_and_says_so_where_nothing_is():
    gate = UsageGate(line=2, max_rise=0.2)
    calls = agent_scores("new", [[(1.0, {"tool_calls": 3 + run}) for run in range(5)]] * 8)
    before = agent_scores("current", [[(1.0, {"tool_calls": 3 + run}) for run in range(5)]] * 8)
    (check,) = evaluate_usage(of(gate), gate, calls, before).checks
    assert (check.unit, check.outcome) == ("tool_calls", Outcome.PASSED)
    nothing = costing("new", costs(0.1))
    verdict = evaluate_usage(of(gate), gate, nothing, costing("current", costs(0.1)))
    assert (verdict.outcome, verdict.check.n) == (Outcome.INCONCLUSIVE, 0)


def test_a_variant_that_costs_nothing_costs_less_a_success_than_one_that_does():
    gate, free = replace(LIMIT, max_rise=0.1), costing("new", [[0.0] * 5] * 8)
    rise = cost(gate, free, costing("current", costs(0.2))).checks[1]
    assert (rise.outcome, rise.rise, rise.high) == (Outcome.PASSED, -1.0, -1.0)


@every_row(("mean", "outcome"), [(0.5, Outcome.PASSED), (0.51, Outcome.FAILED)])
def test_a_plain_threshold_decides_by_the_observed_amount_of_known_runs(mean, outcome):
    gate = replace(LIMIT, evidence="point")
    verdict = cost(gate, costing("new", [[mean - 0.25, mean + 0.25]]))
    assert (verdict.check.method, verdict.outcome) == ("point", outcome)
    unknown = [[(1.0, {"cost_usd": mean}), (1.0, {"tool_calls": 1})]]
    assert cost(gate, agent_scores("new", unknown)).outcome is Outcome.INCONCLUSIVE


def test_no_number_of_runs_settles_a_mean_that_lies_at_its_limit():
    verdict = cost(LIMIT, costing("new", [[0.25, 0.75]] * 20))
    assert (verdict.outcome, verdict.check.needed) == (Outcome.INCONCLUSIVE, None)
    assert [step.kind for step in verdict.next] == [StepKind.SET_LIMIT]


# Steps --------------------------------------------------------------------------------------------


def test_a_rise_over_a_free_baseline_asks_for_a_limit_of_its_own():
    gate, free = UsageGate(line=2, max_rise=0.1), [[(1.0, {"tool_calls": 0})]] * 8
    after = agent_scores("new", [[(1.0, {"tool_calls": 1})]] * 8)
    verdict = evaluate_usage(of(gate), gate, after, agent_scores("current", free))
    assert verdict.next == (NextStep(StepKind.DECLARE_LIMIT, {"where": "suite.ftgate.yaml:2"}),)


def test_runs_that_brought_no_reply_are_to_be_run_again():
    verdict = cost(LIMIT, agent_scores("new", [[(None, {})] * 2] * 3))
    assert verdict.next == (
        NextStep(StepKind.RUN_AGAIN, {"missing": 6, "suite": "suite.ftgate.yaml"}),
    )


@every_row(
    ("name", "line", "by_tool"),
    [("runs.jsonl", '{"id": "t00", "text": "x"}', False), ("runs.eval", "", True)],
)
def test_an_amount_of_recorded_runs_is_to_be_stated_where_these_are_written(
    tmp_path, name, line, by_tool
):
    file = tmp_path / name
    file.write_text(line, "utf-8")
    made = of(LIMIT)
    new = replace(made.variants["new"], provider="recorded", replies=file)
    scores = agent_scores("new", [[(1.0, {"tool_calls": 1})]] * 3)
    made = replace(made, variants={**made.variants, "new": new})
    (step,) = evaluate_cost(made, LIMIT, scores, scores).next
    assert step.kind is StepKind.STATE_AMOUNT
    assert (step.values["file"], step.values["by_tool"], step.values["missing"]) == (
        name, by_tool, 3,
    )  # fmt: skip
