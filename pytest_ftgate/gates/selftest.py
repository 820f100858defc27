"""A gate on a variant that has not changed: how often it would fail it.

The self-test evaluates the gate that the suite has on drawn pairs of runs of one variant. The runs
of an agent are split in two halves in each task, of which one is the base and the other the
candidate. All splits share the same runs, so that they are no independent tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb, prod
from statistics import harmonic_mean

import numpy as np

from pytest_ftgate.gates.design import Levels, Look, design_of, shared_levels
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.needs import Given, GivenScores
from pytest_ftgate.gates.power import design_certifiable_limit
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.tasks import task_runs
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.power import flip_rate
from pytest_ftgate.stats.tasks import TaskPlan
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate
from pytest_ftgate.suite.model import Gate, Suite, Variant

#: The pairs of runs that are drawn.
PAIRS = 500
#: Evaluates one pair of runs, those of before and after.
_EvaluatePair = Callable[[VariantScores, VariantScores], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """The outcomes of a gate on pairs of runs of one variant. Rates are shares, 0 to 1.

    Attributes:
        margin: the largest allowed drop, or None without a limit for drops.
        minimum: the least share that passes, or None.
        pairs: the number of pairs of runs.
        discordance: the share of cases on which two runs differ.
        passed, failed: the share of pairs that pass, and that fail.
        flips: the probability that the gate disagrees on two pairs of runs.
        regressed: by skill or slice, the share of pairs in which it regressed.
    """

    gate: str
    cases: int
    margin: float | None
    minimum: float | None
    pairs: int
    discordance: float
    passed: float
    failed: float
    flips: float
    regressed: Mapping[str, float]

    @property
    def inconclusive(self) -> float:
        """The share of inconclusive pairs."""
        return 1.0 - self.passed - self.failed


@dataclass(frozen=True, slots=True)
class DrawnRuns:
    """How pairs of runs are drawn from the replies of one variant.

    Attributes:
        scores: the variant's scores, with several replies to each case.
        repeats: the number of replies to each case in a run.
        pairs: the number of pairs, which are the same each time.
    """

    scores: VariantScores
    repeats: int
    pairs: int

    def __iter__(self) -> Iterator[tuple[VariantScores, VariantScores]]:
        """Yield the scores of two runs, which share their cases and no reply.

        Each pair draws independent groups of cases anew, with replacement.
        """
        rng = np.random.default_rng(0)
        groups: dict[str, list[CaseResult]] = {}
        for case_id, result in self.scores.results.items():
            groups.setdefault(result.case.group or f"\0{case_id}", []).append(result)
        units = [*groups.values()]
        for _ in range(self.pairs):
            sides: tuple[dict[str, CaseResult], ...] = ({}, {})
            for number, index in enumerate(rng.integers(0, len(units), len(units))):
                for result in units[index]:
                    for side, drawn in zip(sides, self._draw(result, number, rng), strict=True):
                        side[drawn.case.id] = drawn
            before, after = (VariantScores(self.scores.variant, side) for side in sides)
            yield before, after

    def _draw(
        self, result: CaseResult, number: int, rng: np.random.Generator
    ) -> Iterator[CaseResult]:
        """Yield the case with other replies for each side; *number* makes its id unique."""
        case = result.case
        group = f"{case.group}#{number}" if case.group else None
        case = replace(case, id=f"{case.id}#{number}", group=group)
        order, half = rng.permutation(len(result.scores)), len(result.scores) // 2
        for replies in (order[:half], order[half:]):
            size = min(self.repeats, len(replies))
            # A run with more replies than one side has draws some of them twice.
            chosen = replies[:size] if size == self.repeats else rng.choice(replies, self.repeats)
            yield replace(_chosen(result, chosen, case.id), case=case)


def _chosen(result: CaseResult, chosen: Iterable[int], name: str) -> CaseResult:
    """Return the *chosen* runs of a case, with requests that have this *name*."""
    return CaseResult(
        case=result.case,
        replies=tuple(result.replies[run] for run in chosen),
        scores=tuple(result.scores[run] for run in chosen),
        fingerprints=tuple(f"{name} {run}" for run in chosen),
    )


def rate_selftest(
    suite: Suite, gate: RateGate, runs: DrawnRuns, looks: Sequence[Look], levels: Levels
) -> SelfTest:
    """Evaluate an accuracy or a format gate on drawn runs, look by look as a run does."""
    baseline = suite.variants[suite.baseline]
    again = replace(baseline, name=f"{baseline.name} again", compared=True)
    # Drawn cases have names of their own, and no case is a must.
    cases = tuple(replace(case, must_pass=False) for case in suite.cases)
    suite = replace(suite, cases=cases, variants={**suite.variants, again.name: again})

    def evaluate(before: VariantScores, after: VariantScores) -> Verdict:
        for look in looks:
            source = GivenScores(
                {baseline.name: _seen(before, look), again.name: _seen(after, look)}
            )
            given = Given(suite=suite, variant=again, look=look, source=source, levels=levels)
            verdict = kind_of(gate).evaluate(gate, given)
            if verdict.outcome in (Outcome.PASSED, Outcome.FAILED):
                break
        return verdict

    correct = gate.reads_grades
    return _selftest(
        gate, runs, evaluate, lambda result: result.correct if correct else result.valid
    )


def _seen(scores: VariantScores, look: Look) -> VariantScores:
    """Return the part of drawn *scores* that *look* includes."""
    results = {
        case_id: replace(
            result,
            replies=result.replies[: look.repeats],
            scores=result.scores[: look.repeats],
            fingerprints=result.fingerprints[: look.repeats],
        )
        for case_id, result in scores.results.items()
        if look.cases is None or case_id.rpartition("#")[0] in look.cases
    }
    return VariantScores(scores.variant, results)


def skills_selftest(
    suite: Suite, gate: ForgettingGate, variant: Variant, runs: DrawnRuns, levels: Levels
) -> SelfTest:
    """Evaluate the forgetting gate of the tuned *variant* on drawn runs of its base."""
    variant, base = replace(variant, training_data=None), base_name(variant)

    def evaluate(before: VariantScores, after: VariantScores) -> Verdict:
        source = GivenScores({base: before, variant.name: after})
        given = Given(suite=suite, variant=variant, look=Look(), source=source, levels=levels)
        return kind_of(gate).evaluate(gate, given)

    return _selftest(gate, runs, evaluate, lambda result: result.correct)


def _selftest(
    gate: Gate,
    runs: DrawnRuns,
    evaluate: _EvaluatePair,
    value: Callable[[CaseResult], float | None],
) -> SelfTest:
    outcomes, regressed, differing = Counter[Outcome](), Counter[str](), list[float]()
    for before, after in runs:
        verdict = evaluate(before, after)
        outcomes[verdict.outcome] += 1
        regressed.update({s.name for s in verdict.slices if s.gated and s.state == "regressed"})
        sides = zip(before.results.values(), after.results.values(), strict=True)
        differing.append(float(np.mean([value(first) != value(second) for first, second in sides])))
    passed = outcomes[Outcome.PASSED] / runs.pairs
    return SelfTest(
        gate=gate.kind,
        cases=len(runs.scores.results),
        margin=gate.max_drop,
        minimum=gate.min,
        pairs=runs.pairs,
        discordance=float(np.mean(differing)),
        passed=passed,
        failed=outcomes[Outcome.FAILED] / runs.pairs,
        flips=flip_rate(passed),
        regressed={name: count / runs.pairs for name, count in regressed.most_common()},
    )


# Halves of the runs of an agent -----------------------------------------------------------------

#: The most splits that are evaluated; of more possible ones as many are drawn.
MOST_SPLITS = 300
#: The drop at which a plain threshold is red, beside one that is so at any drop.
PLAIN_DROP = 0.05
#: What float sums of equal rates may differ by.
_ROUNDING = 1e-9
#: The positions of the runs of a task on either side of a split.
_Halves = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfComparison:
    """The verdicts of a gate on halves of the runs of one agent, which has not changed.

    Attributes:
        tasks: the number of tasks, each with two runs or more.
        runs, half: how many runs a task has, and how many of them a side of a split has; the
            harmonic means where tasks differ, rounded down.
        limit: the limit of the gate, a share.
        claims_these: True if the gate is about these tasks alone.
        splits: the number of evaluated splits, of so many *possible* ones.
        failed, inconclusive: the splits in which the gate was so.
        any_drop, large_drop: the splits in which the candidate was below the base, at all and by
            5 points or more.
        shown_by_half, shown_by_all: the smallest limit that an unchanged agent passes 9 times in 10
            with so many runs of each task on either side, a share; 1 for none.
    """

    tasks: int
    runs: int
    half: int
    limit: float
    claims_these: bool
    splits: int
    possible: int
    failed: int
    inconclusive: int
    any_drop: int
    large_drop: int
    shown_by_half: float
    shown_by_all: float

    @property
    def passed(self) -> int:
        """The number of splits in which the gate passed."""
        return self.splits - self.failed - self.inconclusive


def compare_halves(suite: Suite, gate: RateGate, results: Sequence[CaseResult]) -> SelfComparison:
    """Evaluate *gate* on halves of the runs in *results*, which are those of one agent.

    *suite* has two variants, and its gates and repeats are those of half of the runs. Every task
    needs two runs.
    """
    counts = [len(result.scores) for result in results]
    possible = prod(comb(n, n // 2) * comb(n - n // 2, n // 2) for n in counts)
    splits: Iterable[tuple[_Halves, ...]] = _drawn_splits(counts)
    if possible <= MOST_SPLITS:
        splits = product(*map(_halves_of, counts))
    verdicts = [_verdict(suite, gate, results, split) for split in splits]
    outcomes = [verdict.outcome for verdict in verdicts]
    drops = [_drop(verdict) for verdict in verdicts]
    half, runs = (int(harmonic_mean(n // share for n in counts)) for share in (2, 1))
    shown = [_shown_limit(suite, gate, results, number) for number in (half, runs)]
    return SelfComparison(
        tasks=len(results),
        runs=runs,
        half=half,
        limit=gate.max_drop or 0.0,
        claims_these=gate.claims_these,
        splits=len(verdicts),
        possible=possible,
        failed=outcomes.count(Outcome.FAILED),
        inconclusive=outcomes.count(Outcome.INCONCLUSIVE),
        any_drop=sum(drop > _ROUNDING for drop in drops),
        large_drop=sum(drop >= PLAIN_DROP - _ROUNDING for drop in drops),
        shown_by_half=shown[0],
        shown_by_all=shown[1],
    )


def _halves_of(n: int) -> list[_Halves]:
    """Return every way to choose two halves of *n* runs, of which an odd one is left out."""
    return [
        (first, second)
        for first in combinations(range(n), n // 2)
        for second in combinations([run for run in range(n) if run not in first], n // 2)
    ]


def _drawn_splits(counts: Sequence[int]) -> Iterator[tuple[_Halves, ...]]:
    """Yield random splits, the same ones each time."""
    rng = np.random.default_rng(0)
    for _ in range(MOST_SPLITS):
        orders = [tuple(map(int, rng.permutation(n))) for n in counts]
        yield tuple((order[: (n := len(order) // 2)], order[n : 2 * n]) for order in orders)


def _verdict(
    suite: Suite, gate: RateGate, results: Sequence[CaseResult], split: Sequence[_Halves]
) -> Verdict:
    from pytest_ftgate.gates.rates import Comparison, evaluate_rate

    sides: tuple[dict[str, CaseResult], ...] = ({}, {})
    for result, halves in zip(results, split, strict=True):
        for side, (scores, runs) in enumerate(zip(sides, halves, strict=True)):
            scores[result.case.id] = _chosen(result, runs, f"{side} {result.case.id}")
    before, after = map(VariantScores, suite.variants, sides)
    look = Look(repeats=suite.repeats or 1, replies_vary=True)
    comparison = Comparison(after, before, levels=shared_levels(suite))
    return evaluate_rate(suite, gate, comparison, look)


def _drop(verdict: Verdict) -> float:
    """Return how far the candidate is below the base, a share."""
    check = verdict.check
    return -(check.change or 0.0) if check else 0.0


def _shown_limit(suite: Suite, gate: RateGate, results: Sequence[CaseResult], n: int) -> float:
    """Return the smallest limit that *n* runs of each task show, as they vary; 1 for none."""
    scores = VariantScores("all", {result.case.id: result for result in results})
    runs = task_runs(samples_from_scores(scores, gate.sample))
    varies, is_graded = runs.disagreement, not runs.is_counted
    if gate.claims_these:
        plan = TaskPlan(tasks=len(results), runs=(n, n), disagreement=varies, is_graded=is_graded)
        return plan.limit()
    design = replace(design_of(suite, gate, (n, n)), is_graded=is_graded)
    return design_certifiable_limit(design, varies) or 1.0
