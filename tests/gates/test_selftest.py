"""The self-test evaluates the suite's own gate on runs of one variant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from columns import case_result, suite

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.selftest import DrawnRuns, rate_selftest, skills_selftest
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import CostGate, ForgettingGate, RateGate


def repeated(index: int, values: list[float], **keys) -> CaseResult:
    once = case_result(f"c{index:03}", values[0], "refund")
    return replace(
        once,
        case=replace(once.case, **keys),
        replies=tuple(Reply(text=f"{number}") for number in range(len(values))),
        scores=tuple(Score(value, None) for value in values),
    )


def scores(count: int, wrong: int, replies: int = 4, **keys) -> VariantScores:
    """Return cases of which *wrong* answer one reply in *replies* wrongly."""
    results = [
        repeated(index, [float(index >= wrong or number > 0) for number in range(replies)], **keys)
        for index in range(count)
    ]
    return VariantScores("current", {result.case.id: result for result in results})


def run(gate: RateGate, runs: DrawnRuns, looks: tuple[Look, ...] = (Look(),)):
    return rate_selftest(suite(gate), gate, runs, looks, Levels())


GATE = RateGate(kind="accuracy", line=1, max_drop=0.05)


def test_two_runs_share_their_cases_and_no_reply():
    drawn = DrawnRuns(scores(20, 20), repeats=2, pairs=5, seed=0)

    for before, after in drawn:
        assert [*before.results] == [*after.results]
        for case_id, result in before.results.items():
            texts = {reply.text for reply in result.replies}
            assert texts.isdisjoint(reply.text for reply in after.results[case_id].replies)
            assert len(result.scores) == 2


def test_a_steady_variant_passes_and_a_noisy_one_with_few_cases_does_not():
    steady = run(GATE, DrawnRuns(scores(100, 0), repeats=1, pairs=15, seed=0))
    noisy = run(GATE, DrawnRuns(scores(100, 50), repeats=1, pairs=15, seed=0))

    assert (steady.passed, steady.discordance) == (1.0, 0.0)
    assert noisy.passed < 0.5
    assert noisy.discordance == pytest.approx(0.25, abs=0.05)


def test_related_cases_are_drawn_together_and_make_passing_harder():
    results = {
        result.case.id: replace(result, case=replace(result.case, group=f"g{index // 10}"))
        for index, result in enumerate(scores(200, 20).results.values())
    }
    drawn = DrawnRuns(VariantScores("current", results), repeats=1, pairs=15, seed=0)
    before, _ = next(iter(drawn))
    groups = [result.case.group for result in before.results.values()]

    assert all(groups.count(group) == 10 for group in groups)
    assert run(GATE, drawn).passed < 0.1
    assert run(GATE, DrawnRuns(scores(200, 20), repeats=1, pairs=15, seed=0)).passed > 0.2


def test_a_minimum_is_tested_as_well():
    gate = RateGate(kind="accuracy", line=1, min=0.99)

    found = run(gate, DrawnRuns(scores(200, 100), repeats=1, pairs=15, seed=0))

    assert (found.margin, found.minimum) == (None, 0.99)
    assert found.failed > 0.9


def test_looks_end_as_soon_as_the_verdict_is_clear():
    ids = [f"c{index:03}" for index in range(200)]
    looks = (
        Look(number=1, of=2, cases=frozenset(ids[:100]), fractions=(0.5,)),
        Look(number=2, of=2, cases=frozenset(ids), fractions=(0.5, 1.0)),
    )
    drawn = DrawnRuns(scores(200, 20), repeats=1, pairs=15, seed=0)

    assert 0.0 < run(GATE, drawn, looks).passed <= run(GATE, drawn).passed + 0.1


def test_a_format_gate_is_tested_on_its_own_scores():
    broken = FormatError("fenced")
    results = {
        case_id: replace(result, scores=(Score(1.0, broken), *result.scores[1:]))
        for case_id, result in scores(100, 0).results.items()
    }
    gate = RateGate(kind="format", line=1, max_drop=0.05)

    found = run(gate, DrawnRuns(VariantScores("current", results), repeats=1, pairs=20, seed=0))

    assert found.discordance == pytest.approx(0.5, abs=0.1)


def test_a_gate_without_a_rate_is_refused():
    drawn = DrawnRuns(scores(10, 0), repeats=1, pairs=1, seed=0)

    with pytest.raises(TypeError, match="evaluates no rate"):
        rate_selftest(suite(GATE), CostGate(line=1, max_rise=0.1), drawn, (Look(),), Levels())


def test_what_neither_passed_nor_failed_is_inconclusive():
    found = run(GATE, DrawnRuns(scores(20, 0), repeats=1, pairs=5, seed=0))

    assert (found.passed, found.inconclusive) == (0.0, 1.0)


def test_forgetting_is_tested_on_drawn_runs_of_the_base():
    results = {
        name: replace(result, case=replace(result.case, skill="facts"))
        for name, result in scores(100, 0).results.items()
    }
    gate = ForgettingGate(line=1, cases=(), max_drop=0.1)
    runs = DrawnRuns(VariantScores("base", results), repeats=1, pairs=3, seed=0)

    assert skills_selftest(suite(gate), gate, runs, Levels()).passed == 1.0
