"""The self-test evaluates the suite's own gate on runs of one variant."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.score_columns import case_result, suite
from ftgate_testing.tables import every_row

from pytest_ftgate import self_compare
from pytest_ftgate.gates import forgetting, rates, selftest
from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.gates.selftest import (
    DrawnRuns,
    SelfComparison,
    SelfTest,
    rate_selftest,
    skills_selftest,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate


def repeated(index: int, values: list[float], **keys) -> CaseResult:
    once = case_result(f"c{index:03}", values[0], "refund")
    return replace(
        once,
        case=replace(once.case, **keys),
        replies=tuple(Reply(text=f"{number}") for number in range(len(values))),
        scores=tuple(Score(value, None) for value in values),
    )


def scores(
    count: int, wrong: int, replies: int = 4, *, each=lambda index: {}, **keys
) -> VariantScores:
    """Return cases of which *wrong* answer one reply in *replies* wrongly.

    Each case has *keys*, and those that *each* returns for its number.
    """
    results = [
        repeated(
            index, [float(index >= wrong or number > 0) for number in range(replies)],
            **keys, **each(index),
        )
        for index in range(count)
    ]  # fmt: skip
    return VariantScores("current", {result.case.id: result for result in results})


def run(gate: RateGate, runs: DrawnRuns, looks: tuple[Look, ...] = (Look(),)):
    return rate_selftest(suite(gate), gate, runs, looks, Levels())


GATE = RateGate(kind="accuracy", line=1, max_drop=0.05)


def test_a_minimum_alone_is_tested_as_well():
    gate = RateGate(kind="accuracy", line=1, min=0.99)

    found = run(gate, DrawnRuns(scores(200, 100), repeats=1, pairs=15))

    assert (found.margin, found.minimum) == (None, 0.99)
    assert found.failed > 0.9


def test_a_format_gate_is_tested_on_its_own_scores():
    broken = FormatError("fenced")
    results = {
        case_id: replace(result, scores=(Score(1.0, broken), *result.scores[1:]))
        for case_id, result in scores(100, 0).results.items()
    }
    gate = RateGate(kind="format", line=1, max_drop=0.05)

    found = run(gate, DrawnRuns(VariantScores("current", results), repeats=1, pairs=8))

    assert found.discordance == pytest.approx(0.5, abs=0.1)


# --- the draws -----------------------------------------------------------------------------------


def drawn(*, repeats, replies=4, count=20, pairs=3, **keys):
    return [*DrawnRuns(scores(count, count, replies, **keys), repeats, pairs)]


def texts(result):
    return [reply.text for reply in result.replies]


@every_row("repeats", [2, 3])
def test_each_side_of_a_pair_draws_from_its_own_half_of_the_replies(repeats):
    for before, after in drawn(repeats=repeats):
        for case_id, result in before.results.items():
            first, second = texts(result), texts(after.results[case_id])
            assert len(first) == len(second) == repeats
            assert not {*first} & {*second}
            if repeats == 2:
                assert sorted(first + second) == ["0", "1", "2", "3"]


def test_a_drawn_case_keeps_its_scores_and_has_an_id_and_requests_of_its_own():
    ((before, _),) = drawn(repeats=2, pairs=1)

    assert before.variant == "current"
    for number, (case_id, result) in enumerate(before.results.items()):
        name, _, suffix = case_id.partition("#")
        assert (result.case.id, suffix, result.case.group) == (case_id, str(number), None)
        assert result.case.input == f"ask {name}"
        assert result.fingerprints == tuple(f"{case_id} {text}" for text in texts(result))
        # The first reply to each case is wrong.
        assert [score.correct for score in result.scores] == [
            float(text != "0") for text in texts(result)
        ]


def test_groups_are_drawn_anew_with_replacement_and_twice_as_two():
    runs = drawn(repeats=2, count=20, pairs=30)
    ids = [[case_id.partition("#")[0] for case_id in before.results] for before, _ in runs]

    assert {len(names) for names in ids} == {20}
    assert {name for names in ids for name in names} == {f"c{n:03}" for n in range(20)}
    assert all(len({*names}) < 20 for names in ids)
    assert ids[0] != ids[1]

    for before, _ in drawn(repeats=2, count=3, pairs=10, group="g"):
        groups = {result.case.group for result in before.results.values()}
        assert (groups, len(before.results)) == ({"g#0"}, 3)


def test_the_runs_are_the_same_each_time():
    first, again = ([[*before.results] for before, _ in drawn(repeats=2)] for _ in range(2))

    assert first == again
    assert len({tuple(ids) for ids in first}) == len(first)


# --- the figures ---------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """Return what the self-test evaluates: each comparison and look with its verdict."""
    calls = []

    def spy(module, evaluate):
        def spied(suite, gate, comparison, *look):
            verdict = evaluate(suite, gate, comparison, *look)
            calls.append((comparison, *look, verdict))
            return verdict

        monkeypatch.setattr(module, evaluate.__name__, spied)

    spy(rates, rates.evaluate_rate)
    spy(forgetting, forgetting.evaluate_forgetting)
    return calls


def test_the_figures_count_the_verdicts_of_all_pairs(seen):
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05, min=0.4, slices=("tag",))
    tagged = scores(40, 40, 2, each=lambda n: {"tags": ("odd" if n % 2 else "even",)})
    drawn = DrawnRuns(tagged, repeats=1, pairs=20)

    found = rate_selftest(suite(gate), gate, drawn, (Look(),), Levels(alarm=0.3))

    verdicts = [verdict for *_, verdict in seen]
    outcomes = [verdict.outcome for verdict in verdicts]
    passed = outcomes.count(Outcome.PASSED) / 20
    differs = [
        old.correct != new.correct
        for comparison, *_ in seen
        for old, new in zip(
            comparison.baseline.results.values(), comparison.scores.results.values(), strict=True
        )
    ]
    names = [part.name for one in verdicts for part in one.slices if part.state == "regressed"]
    regressed = {name: names.count(name) / 20 for name in ("odd", "even")}
    assert found == SelfTest(
        gate="accuracy", cases=40, margin=0.05, minimum=0.4, pairs=20,
        discordance=pytest.approx(sum(differs) / len(differs)),
        passed=passed, failed=outcomes.count(Outcome.FAILED) / 20,
        flips=2 * passed * (1 - passed), regressed=regressed,
    )  # fmt: skip
    assert found.inconclusive == pytest.approx(outcomes.count(Outcome.INCONCLUSIVE) / 20)
    assert 0 < outcomes.count(Outcome.FAILED) < 20
    assert min(regressed.values()) > 0


def test_each_look_sees_its_cases_and_its_replies_until_one_concludes(seen):
    ids = [f"c#{index}" for index in range(60)]
    looks = (
        Look(number=1, of=3, cases=frozenset(ids[:1]), fractions=(0.1,)),
        Look(number=2, of=3, repeats=2, fractions=(0.1, 0.5)),
        Look(number=3, of=3, repeats=2, fractions=(0.1, 0.5, 1.0)),
    )
    drawn = DrawnRuns(scores(60, 0, each=lambda n: {"id": ids[n]}), repeats=2, pairs=1)
    gate = replace(GATE, max_drop=0.4)
    levels = Levels(alarm=0.02)

    found = rate_selftest(suite(gate), gate, drawn, looks, levels)

    assert [look for _, look, _ in seen] == [*looks[:2]]
    assert (found.passed, found.cases) == (1.0, 60)
    first, second = (comparison for comparison, *_ in seen)
    for side in (first.baseline, first.scores):
        assert {case_id.rpartition("#")[0] for case_id in side.results} <= {"c#0"}
        assert side.variant == "current"
    assert len(second.scores.results) == 60
    assert {
        (len(one.replies), len(one.scores), len(one.fingerprints))
        for comparison, size in ((first, 1), (second, 2))
        for one in comparison.scores.results.values()
    } == {(1, 1, 1), (2, 2, 2)}
    assert (first.levels, second.levels) == (levels, levels)


def test_forgetting_is_tested_in_every_prompt_mode_with_the_regressed_skills(seen):
    facts = scores(40, 40, 2, skill="facts")
    gate = ForgettingGate(
        line=1, cases=tuple(facts.cases), max_drop=0.1, each=0.02, under_prompt=True
    )
    runs = DrawnRuns(facts, repeats=1, pairs=3)

    made = suite(gate)
    found = skills_selftest(made, gate, made.variants["new"], runs, Levels(alarm=0.4))

    for (comparison, *_), (before, after) in zip(seen, runs, strict=True):
        assert [*comparison.scores] == ["", "prompt"]
        assert comparison.levels == Levels(alarm=0.4)
        for new, old in comparison.scores.values():
            assert [*new.results] == [*after.results]
            assert [*map(texts, new.results.values())] == [*map(texts, after.results.values())]
            assert [*map(texts, old.results.values())] == [*map(texts, before.results.values())]
    counts = [
        any(part.name == "facts" and part.state == "regressed" for part in verdict.slices)
        for *_, verdict in seen
    ]
    assert found.regressed == {"facts": sum(counts) / 3}
    assert (found.gate, found.margin, found.minimum) == ("forgetting", 0.1, None)
    assert found.discordance == 1.0


# --- halves of the runs of an agent --------------------------------------------------------------


def halves(*rewards: list[float], **declared: object) -> SelfComparison:
    """Return the comparison of an agent with itself, whose tasks have these rewards."""
    rows = [
        {"id": f"task-{task}", "score": reward, "reply": f"run {number}"}
        for task, several in enumerate(rewards)
        for number, reward in enumerate(several)
    ]
    return self_compare(rows, **declared).comparison


@every_row(
    ("tasks", "declared", "drops", "outcomes"),
    # Six tasks lose more than they gain in 22 of 64 splits, all of them in one, and gain in one.
    [(6, {"max_drop": 0.3}, 22, (1, 1))],
)
def test_every_split_of_few_runs_is_evaluated_once(tasks, declared, drops, outcomes):
    found = halves(*[[1, 0]] * tasks, **declared)

    assert (found.splits, found.possible, found.tasks) == (2**tasks, 2**tasks, tasks)
    assert (found.any_drop, found.large_drop) == (drops, drops)
    assert (found.failed, found.passed) == outcomes


def test_of_many_splits_some_are_drawn_and_always_the_same_ones(monkeypatch):
    monkeypatch.setattr(selftest, "MOST_SPLITS", 8)

    first, again = (halves(*[[1, 0, 1, 0, 1]] * 6, max_drop=0.5) for _ in range(2))

    assert first == again
    # Of five runs one is left out.
    assert (first.splits, first.possible, first.half) == (8, 30**6, 2)


def test_an_agent_that_always_does_the_same_is_never_red():
    found = halves(*[[1, 1]] * 3, max_drop=0.9)

    assert (found.passed, found.any_drop) == (8, 0)


def test_more_runs_of_a_task_show_smaller_limits_and_most_of_these_tasks_alone(monkeypatch):
    monkeypatch.setattr(selftest, "MOST_SPLITS", 1)
    claims = ("these_tasks", "tasks_like_these")
    these, others = (halves(*[[1, 0, 1, 1]] * 4, claim=claim, max_drop=0.5) for claim in claims)

    assert these.shown_by_all < these.shown_by_half
    assert these.shown_by_all < others.shown_by_all < others.shown_by_half
