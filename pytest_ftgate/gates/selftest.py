"""The self-test: how often a gate would fail the variant that it compares with.

It evaluates the gate that the suite has on pairs of runs of one variant. Its true drop is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.needs import Given, GivenScores
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.power import flip_rate
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
            yield CaseResult(
                case=case,
                replies=tuple(result.replies[i] for i in chosen),
                scores=tuple(result.scores[i] for i in chosen),
                fingerprints=tuple(f"{case.id} {i}" for i in chosen),
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
