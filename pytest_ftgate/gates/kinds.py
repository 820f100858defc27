"""The kinds of gates: what each can show, and how it is evaluated.

The classes are light. What evaluates a gate is imported in the methods, since every kind needs
another part of SciPy, and a run of pytest collects gates that it may never evaluate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.gates.feasibility import (
    Problem,
    cost_problems,
    divergence_problems,
    latency_problems,
    rate_problems,
    skill_problems,
)
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.preflight import find_skill_contamination
from pytest_ftgate.requests.request_groups import base_variant, replies_vary
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    DivergenceGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.model import Gate, Suite, Variant
from pytest_ftgate.suite.skill_levels import LevelChoice

if TYPE_CHECKING:
    from pytest_ftgate.gates.divergence import CaseDivergence
    from pytest_ftgate.gates.figures import ReplyTimes
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.gates.rates import Comparison
    from pytest_ftgate.gates.samples import Samples


@dataclass(frozen=True, slots=True)
class GateEvidence:
    """What the evaluation of one gate reads, at one look. A method computes what it returns.

    A subclass defines what its gates read. The defaults are those of replies that nothing else
    is known of.

    Attributes:
        suite: the suite of the gate.
        variant: the evaluated variant.
        look: the replies that count.
    """

    suite: Suite
    variant: Variant
    look: Look

    @property
    def levels(self) -> Levels:
        """The error rates of each drop check of the suite."""
        raise NotImplementedError

    def task_scores(self, variant: Variant, *, graded: bool = False) -> VariantScores:
        """Return the scores of the suite's cases; judges grade only if *graded*."""
        raise NotImplementedError

    def shown_baseline(self, *, graded: bool) -> VariantScores | None:  # noqa: ARG002
        """Return the scores of the baseline's replies that this run requests anyway, if any.

        None as well for the baseline itself.
        """
        return None

    def must_pass_scores(self) -> tuple[VariantScores, VariantScores | None] | None:
        """Return the scores of must-pass cases, and of the repeated wrong ones, if any."""
        return None

    def accepted(self, gate: Gate) -> tuple[Samples | None, Samples | None]:  # noqa: ARG002
        """Return the samples of the variant that were accepted last, and first if others followed.

        None for those that there are not.
        """
        return None, None

    def baseline_drift(self) -> str:
        """Return how the baseline has drifted since it was recorded; "" without a drift."""
        return ""

    def judge_evidence(
        self, scores: VariantScores, baseline: VariantScores
    ) -> JudgeEvidence | None:
        """Return the evidence on the judges that graded *scores*, or None without judges."""
        del scores, baseline
        return None

    def skill_scores(self, variant: Variant, gate: Gate, mode: str) -> VariantScores:
        """Return the scores of the skill cases in a prompt mode."""
        raise NotImplementedError

    def repeated_skill_scores(
        self, variant: Variant, gate: Gate, case_ids: Sequence[str]
    ) -> VariantScores:
        """Return the scores of some skill cases, from repeated requests."""
        raise NotImplementedError

    def level_choices(self, variant: Variant) -> tuple[LevelChoice, ...]:
        """Return the levels of the families of skills that have some, as the base chose them."""
        raise NotImplementedError

    def divergences(self, variant: Variant, gate: Gate) -> Sequence[CaseDivergence]:
        """Return how far a tuned variant is from its base, for each reply of the base."""
        raise NotImplementedError

    def reply_times(self, variant: Variant) -> ReplyTimes:
        """Return the latencies of the replies."""
        raise NotImplementedError

    @property
    def peak_in_flight(self) -> int:
        """The largest number of concurrent requests."""
        raise NotImplementedError


_Gate = TypeVar("_Gate", bound=Gate)


class GateKind(ABC, Generic[_Gate]):
    """What one kind of gate does. What it declares is a class of ``suite.model``."""

    def problems(self, suite: Suite, gate: _Gate) -> Iterable[Problem]:  # noqa: ARG002
        """Yield why no replies could pass *gate*, each with what would help."""
        return ()

    @abstractmethod
    def evaluate(self, gate: _Gate, evidence: GateEvidence) -> Verdict:
        """Return the verdict on the variant."""

    def measure(self, gate: _Gate, evidence: GateEvidence) -> Iterable[Verdict]:  # noqa: ARG002
        """Yield what the gate measures of a variant without gates."""
        return ()


class _RateKind(GateKind[RateGate]):
    """Accuracy and format: a share against a minimum, and against earlier results."""

    def problems(self, suite: Suite, gate: RateGate) -> Iterable[Problem]:
        return rate_problems(suite, gate)

    def evaluate(self, gate: RateGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.rates import evaluate_rate

        comparison, (accepted, anchor) = _comparison(gate, evidence), evidence.accepted(gate)
        comparison = replace(comparison, accepted=accepted, anchor=anchor, levels=evidence.levels)
        return evaluate_rate(evidence.suite, gate, comparison, evidence.look)

    def measure(self, gate: RateGate, evidence: GateEvidence) -> Iterator[Verdict]:
        from pytest_ftgate.gates.measures import measure_rate

        scores = evidence.task_scores(evidence.variant, graded=True)
        yield measure_rate(evidence.suite, gate, scores, evidence.shown_baseline(graded=True))


def _comparison(gate: RateGate, evidence: GateEvidence) -> Comparison:
    """Return the scores of the variant and of what it is compared with."""
    from pytest_ftgate.gates.rates import Comparison

    suite, variant = evidence.suite, evidence.variant
    # Judges cost money, so only the gate that reads their grades asks for them.
    graded = gate.reads_grades
    scores = evidence.task_scores(variant, graded=graded)
    must_pass = evidence.must_pass_scores() if graded else None
    compares = gate.compares(variant)
    drift = evidence.baseline_drift() if compares else ""
    reference = suite.variants[suite.baseline] if compares else variant
    comparison = Comparison(
        scores,
        baseline := evidence.task_scores(reference, graded=graded),
        must_pass=must_pass,
        baseline_drift=drift,
        shown_baseline=None if compares else evidence.shown_baseline(graded=graded),
    )
    judges = evidence.judge_evidence(scores, baseline) if graded else None
    return replace(comparison, judge_evidence=judges) if judges else comparison


class _ForgettingKind(GateKind[ForgettingGate]):
    """Forgetting: the skills of a fine-tuned variant against those of its base."""

    def problems(self, suite: Suite, gate: ForgettingGate) -> Iterable[Problem]:
        return skill_problems(suite, gate)

    def evaluate(self, gate: ForgettingGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.forgetting import (
            SkillComparison,
            broken_must_keep_ids,
            evaluate_forgetting,
        )

        variant, base = evidence.variant, base_variant(evidence.variant)
        pairs = {
            mode: (
                evidence.skill_scores(variant, gate, mode),
                evidence.skill_scores(base, gate, mode),
            )
            for mode in gate.prompt_modes
        }
        comparison = SkillComparison(
            pairs,
            contamination=find_skill_contamination(pairs[""][0].cases, variant),
            levels=evidence.levels,
            choices=evidence.level_choices(variant),
        )
        regressed = broken_must_keep_ids(*pairs[""])
        if regressed and (replies_vary(variant) or replies_vary(base)):
            of_variant, of_base = (
                evidence.repeated_skill_scores(side, gate, regressed) for side in (variant, base)
            )
            comparison = replace(comparison, repeated=(of_variant, of_base))
        return evaluate_forgetting(evidence.suite, gate, comparison)


class _CostKind(GateKind[CostGate]):
    """Cost: the mean price of a request against a limit, and against the baseline."""

    def problems(self, suite: Suite, gate: CostGate) -> Iterable[Problem]:
        return cost_problems(suite, gate)

    def evaluate(self, gate: CostGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.usage import evaluate_cost

        suite, scores = evidence.suite, evidence.task_scores(evidence.variant)
        # Prices are current ones, so a drift of older replies does not affect them.
        reference = suite.variants[suite.baseline] if gate.has_comparison else evidence.variant
        return evaluate_cost(suite, gate, scores, evidence.task_scores(reference))

    def measure(self, gate: CostGate, evidence: GateEvidence) -> Iterator[Verdict]:
        from pytest_ftgate.gates.usage import measure_cost

        scores = evidence.task_scores(evidence.variant, graded=True)
        yield from measure_cost(evidence.suite, gate, scores)


class _LatencyKind(GateKind[LatencyGate]):
    """Latency: the median or the 95th percentile against limits, and against the baseline."""

    def problems(self, suite: Suite, gate: LatencyGate) -> Iterable[Problem]:
        return latency_problems(gate, len(gate.evaluated_cases(suite.cases)))

    def evaluate(self, gate: LatencyGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.usage import evaluate_latency

        suite, variant, baseline = evidence.suite, evidence.variant, None
        if gate.has_comparison and variant.name != suite.baseline:
            baseline = evidence.reply_times(suite.variants[suite.baseline])
        times = evidence.reply_times(variant)
        return evaluate_latency(suite, gate, times, baseline, evidence.peak_in_flight)

    def measure(self, gate: LatencyGate, evidence: GateEvidence) -> Iterator[Verdict]:
        from pytest_ftgate.gates.usage import measure_latency

        yield from measure_latency(evidence.suite, gate, evidence.reply_times(evidence.variant))


class _DivergenceKind(GateKind[DivergenceGate]):
    """Divergence: a tuned variant's distributions against its base's, on the base's replies."""

    def problems(self, suite: Suite, gate: DivergenceGate) -> Iterable[Problem]:
        return divergence_problems(suite, gate)

    def evaluate(self, gate: DivergenceGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.divergence import evaluate_divergence

        cases = evidence.divergences(evidence.variant, gate)
        return evaluate_divergence(evidence.suite, gate, evidence.variant.name, cases)


class _DataKind(GateKind[DataGate]):
    """Training data: the findings in the file that a variant was trained on."""

    def evaluate(self, gate: DataGate, evidence: GateEvidence) -> Verdict:
        from pytest_ftgate.gates.training_data import evaluate_data

        return evaluate_data(evidence.suite, gate, evidence.variant)


_KINDS: Mapping[type[Gate], GateKind[Any]] = {
    RateGate: _RateKind(),
    ForgettingGate: _ForgettingKind(),
    CostGate: _CostKind(),
    LatencyGate: _LatencyKind(),
    DivergenceGate: _DivergenceKind(),
    DataGate: _DataKind(),
}


def kind_of(gate: Gate) -> GateKind[Any]:
    """Return what *gate* does."""
    return _KINDS[type(gate)]


def infeasible_limits(suite: Suite) -> Iterator[tuple[Gate, Problem]]:
    """Yield the gates with a limit that their cases can never show to hold, and what they need."""
    for gate in suite.gates.values():
        for problem in kind_of(gate).problems(suite, gate):
            yield gate, problem
