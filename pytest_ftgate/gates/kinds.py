"""The kinds of gates: what each can show, what it needs, and how it is evaluated.

The classes are light. What evaluates a gate is imported in the methods, since every kind needs
another part of SciPy, and a run of pytest collects gates that it may never evaluate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_ftgate.gates.design import (
    MUST_PASS_REPEATS,
    Look,
    must_pass_ids,
    plan_looks,
    skill_looks,
    wrong_must_pass_ids,
)
from pytest_ftgate.gates.feasibility import (
    Problem,
    cost_problems,
    latency_problems,
    rate_problems,
    skill_problems,
)
from pytest_ftgate.gates.needs import (
    Given,
    Need,
    ScoreRequest,
    Sides,
    TimesRequest,
    When,
)
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.request_groups import base_label, base_variant, replies_vary
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
    UsageGate,
)
from pytest_ftgate.suite.model import Gate, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.labelled import InputReplies
    from pytest_ftgate.gates.rates import Comparison

_Gate = TypeVar("_Gate", bound=Gate)


class GateKind(ABC, Generic[_Gate]):
    """What one kind of gate does. What it declares is a class of ``suite.gate_kinds``."""

    def problems(self, suite: Suite, gate: _Gate) -> Iterable[Problem]:  # noqa: ARG002
        """Yield why no replies could pass *gate*, each with what would help."""
        return ()

    def looks(self, suite: Suite, gate: _Gate, *, replies_vary: bool) -> tuple[Look, ...]:
        """Return the looks of *gate*; the last one includes all replies.

        *replies_vary* is True if a repeated request may get a different reply, from the variant
        or from the baseline.
        """
        return plan_looks(suite, gate, replies_vary=replies_vary)

    @abstractmethod
    def needs(self, gate: _Gate, sides: Sides) -> Iterable[Need]:
        """Yield what the evaluation reads, in the order in which it is to be sent."""

    @abstractmethod
    def evaluate(self, gate: _Gate, given: Given) -> Verdict:
        """Return the verdict on the variant."""

    def measure(self, gate: _Gate, given: Given) -> Iterable[Verdict]:  # noqa: ARG002
        """Yield what the gate measures of a variant without gates."""
        return ()


def _with_baseline(gate: Gate, sides: Sides, *, graded: bool = False) -> list[ScoreRequest]:
    """Return the requests for task scores: of the baseline if the gate compares, and its own."""
    names = [sides.suite.baseline] * gate.compares(sides.variant) + [""]
    return [sides.task(name, graded=graded) for name in names]


class _RateKind(GateKind[RateGate]):
    """Accuracy and format: a share against a minimum, and against earlier results."""

    problems = staticmethod(rate_problems)

    def needs(self, gate: RateGate, sides: Sides) -> Iterator[Need]:
        suite, graded = sides.suite, gate.is_graded
        baseline = sides.task(suite.baseline, graded=graded)
        # Judges cost money, so only the gate that reads their grades asks for them.
        judges = suite.judges if graded else ()
        if gate.compares(sides.variant) or any(judge.is_pairwise for judge in judges):
            yield baseline
        else:
            yield replace(baseline, when=When.IF_SENT)
        yield sides.task(graded=graded)
        if pools_inputs(suite, gate, sides.variant):
            yield sides.of_inputs(suite.baseline)
            yield sides.of_inputs()
        if graded and (ids := must_pass_ids(suite)):
            yield (first := _must_pass(sides, ids))
            yield _repeated(first, ids)

    def evaluate(self, gate: RateGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.rates import evaluate_rate

        comparison = _comparison(gate, given)
        verdict = evaluate_rate(given.suite, gate, comparison, given.look)
        if not _rates_runs(gate, comparison.scores):
            return verdict
        from pytest_ftgate.gates.run_figures import in_tasks, run_rows

        rows = run_rows(given.suite, gate, comparison.compared_scores, comparison.scores)
        return in_tasks(replace(verdict, runs=tuple(rows)))

    def measure(self, gate: RateGate, given: Given) -> Iterator[Verdict]:
        from pytest_ftgate.gates.measures import measure_rate

        source, baseline = given.source, given.task(given.suite.baseline, graded=True)
        scores = source.scores(given.task(graded=True))
        yield measure_rate(given.suite, gate, scores, source.sent_scores(baseline))


def _rates_runs(gate: RateGate, scores: VariantScores) -> bool:
    """Return True if *gate* rates the runs of tasks: it claims these, or they are of an agent."""
    if not gate.reads_grades or gate.metric != "accuracy":
        return False
    first = next((result.replies[0] for result in scores.case_results if result.replies), None)
    return gate.claims_these or (first is not None and first.run is not None)


def pools_inputs(suite: Suite, gate: Gate, variant: Variant) -> bool:
    """Return True if *gate* compares the replies of *variant* to the inputs with the baseline's."""
    reads = isinstance(gate, RateGate) and gate.reads_inputs
    is_other = variant.name != suite.baseline and variant.compared
    return suite.inputs is not None and reads and is_other


def _must_pass(sides: Sides, ids: frozenset[str]) -> ScoreRequest:
    return replace(sides.task(graded=True), ids=ids, when=When.IF_WRONG)


def _repeated(request: ScoreRequest, ids: Iterable[str]) -> ScoreRequest:
    """Return the request for several replies to the cases *ids*, which were wrong."""
    return replace(request, ids=frozenset(ids), repeats=max(MUST_PASS_REPEATS, request.repeats))


def _comparison(gate: RateGate, given: Given) -> Comparison:
    """Return the scores of the variant and of what it is compared with."""
    from pytest_ftgate.gates.rates import Comparison

    suite, source, compares = given.suite, given.source, gate.compares(given.variant)
    graded = gate.is_graded
    scores = source.scores(given.task(graded=graded))
    must_pass = _must_pass_scores(given) if graded else None
    drift = source.baseline_drift() if compares else None
    request = given.task(suite.baseline, graded=graded)
    baseline = source.scores(request) if compares else scores
    comparison = Comparison(
        scores,
        baseline,
        accepted=given.accepted,
        anchor=given.anchor,
        must_pass=must_pass,
        baseline_drift=drift,
        levels=given.levels,
        shown_baseline=None if compares else source.sent_scores(request),
        inputs=_input_replies(gate, given),
    )
    judges = source.judge_evidence(scores, baseline) if graded else None
    return replace(comparison, judge_evidence=judges) if judges else comparison


def _input_replies(gate: RateGate, given: Given) -> InputReplies | None:
    suite, inputs = given.suite, given.suite.inputs
    if inputs is None or not pools_inputs(suite, gate, given.variant):
        return None
    from pytest_ftgate.gates.labelled import InputReplies

    names = (suite.baseline, given.variant.name)
    return InputReplies(inputs, *(given.source.scores(given.of_inputs(name)) for name in names))


def _must_pass_scores(given: Given) -> tuple[VariantScores, VariantScores | None] | None:
    """Return the scores of the must-pass cases, and of the repeated wrong ones, if any."""
    ids = must_pass_ids(given.suite)
    if not ids:
        return None
    request = _must_pass(given, ids)
    scores = given.source.scores(request)
    wrong = wrong_must_pass_ids(scores) if replies_vary(given.variant) else ()
    return scores, given.source.scores(_repeated(request, wrong)) if wrong else None


class _ForgettingKind(GateKind[ForgettingGate]):
    """Forgetting: the skills of a fine-tuned variant against those of its base."""

    problems = staticmethod(skill_problems)

    def looks(self, suite: Suite, gate: ForgettingGate, *, replies_vary: bool) -> tuple[Look, ...]:
        whole = Look(repeats=suite.repeats or 1, replies_vary=replies_vary)
        if not gate.stop_early:
            return (whole,)
        if not gate.leveled:
            return skill_looks(gate.cases, whole)
        from pytest_ftgate.suite.skill_levels import possible_cases

        return skill_looks(possible_cases(gate), whole)

    def needs(self, gate: ForgettingGate, sides: Sides) -> Iterator[Need]:
        for mode in gate.prompt_modes:
            yield from _skills(gate, sides, mode)
        if must_keep := frozenset(case.id for case in gate.cases if case.must_keep):
            yield from _repeated_skills(gate, sides, must_keep)

    def evaluate(self, gate: ForgettingGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.forgetting import (
            SkillComparison,
            broken_must_keep_ids,
            evaluate_forgetting,
        )
        from pytest_ftgate.requests.preflight import find_skill_contamination

        pairs = {
            mode: _of_variant_and_base(given, _skills(gate, given, mode))
            for mode in gate.prompt_modes
        }
        comparison = SkillComparison(
            pairs,
            contamination=find_skill_contamination(pairs[""][0].cases, given.variant),
            levels=given.levels,
            choices=given.skill_levels,
            against=base_label(given.suite, given.variant),
        )
        regressed = broken_must_keep_ids(*pairs[""])
        if regressed and any(map(replies_vary, (given.variant, base_variant(given.variant)))):
            again = _repeated_skills(gate, given, regressed)
            comparison = replace(comparison, repeated=_of_variant_and_base(given, again))
        return evaluate_forgetting(given.suite, gate, comparison, given.look)


def _skills(gate: ForgettingGate, sides: Sides, mode: str) -> tuple[ScoreRequest, ScoreRequest]:
    """Return the requests for the scores of skills, of the base and of the variant."""
    ids = sides.look.cases
    of_base = ScoreRequest(variant=sides.base, of_gate=gate.kind, ids=ids, under=mode)
    return of_base, replace(of_base, variant=sides.variant.name)


def _repeated_skills(
    gate: ForgettingGate, sides: Sides, ids: Iterable[str]
) -> tuple[ScoreRequest, ScoreRequest]:
    of_base = replace(_skills(gate, sides, "")[0], when=When.IF_WRONG)
    of_base = _repeated(of_base, ids)
    return of_base, replace(of_base, variant=sides.variant.name)


def _of_variant_and_base(
    given: Given, requests: tuple[ScoreRequest, ScoreRequest]
) -> tuple[VariantScores, VariantScores]:
    base, variant = requests
    return given.source.scores(variant), given.source.scores(base)


class _CostKind(GateKind[CostGate]):
    """Cost: the mean price of a request against a limit, and against the baseline."""

    problems = staticmethod(cost_problems)

    def needs(self, gate: CostGate, sides: Sides) -> Sequence[ScoreRequest]:
        # What is a success, a judge may have to say.
        return _with_baseline(gate, sides, graded=gate.max_usd_per_success is not None)

    def evaluate(self, gate: CostGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.usage import evaluate_cost

        # Prices are current ones, so a drift of older replies does not affect them.
        requests = self.needs(gate, given)
        scores, reference = (given.source.scores(requests[at]) for at in (-1, 0))
        return evaluate_cost(given.suite, gate, scores, reference)

    def measure(self, gate: CostGate, given: Given) -> Iterator[Verdict]:
        from pytest_ftgate.gates.usage import measure_cost

        yield from measure_cost(given.suite, gate, given.source.scores(given.task(graded=True)))


class _UsageKind(GateKind[UsageGate]):
    """Usage: what a run takes, in tokens, time and tool calls."""

    def needs(self, gate: UsageGate, sides: Sides) -> Sequence[ScoreRequest]:
        return _with_baseline(gate, sides)

    def evaluate(self, gate: UsageGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.usage import evaluate_usage

        scores, reference = (given.source.scores(self.needs(gate, given)[at]) for at in (-1, 0))
        return evaluate_usage(given.suite, gate, scores, reference)


class _LatencyKind(GateKind[LatencyGate]):
    """Latency: the median or the 95th percentile against limits, and against the baseline."""

    problems = staticmethod(latency_problems)

    def needs(self, gate: LatencyGate, sides: Sides) -> Iterator[TimesRequest]:
        return (TimesRequest(replies=replies) for replies in _with_baseline(gate, sides))

    def evaluate(self, gate: LatencyGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.usage import evaluate_latency

        *before, after = self.needs(gate, given)
        is_baseline = given.variant.name == given.suite.baseline
        baseline = given.source.times(before[0]) if before and not is_baseline else None
        times = given.source.times(after)
        return evaluate_latency(given.suite, gate, times, baseline, given.peak_in_flight)

    def measure(self, gate: LatencyGate, given: Given) -> Iterator[Verdict]:
        from pytest_ftgate.gates.usage import measure_latency

        times = given.source.times(TimesRequest(replies=given.task()))
        yield from measure_latency(given.suite, gate, times)


class _DataKind(GateKind[DataGate]):
    """Training data: the findings in the file that a variant was trained on."""

    def needs(self, gate: DataGate, sides: Sides) -> Iterable[Need]:  # noqa: ARG002
        return ()

    def evaluate(self, gate: DataGate, given: Given) -> Verdict:
        from pytest_ftgate.gates.training_data import evaluate_data

        return evaluate_data(given.suite, gate, given.variant)


KINDS: dict[str, GateKind[Any]] = {
    "accuracy": (_rate := _RateKind()),
    "format": _rate,
    "forgetting": _ForgettingKind(),
    "cost": _CostKind(),
    "latency": _LatencyKind(),
    "usage": _UsageKind(),
    "data": _DataKind(),
}


def kind_of(gate: Gate) -> GateKind[Any]:
    """Return what *gate* does: one of the kinds above, or ``KIND`` of the module of its name."""
    if gate.kind not in KINDS:
        KINDS[gate.kind] = import_module(f"pytest_ftgate.gates.{gate.kind}").KIND
    return KINDS[gate.kind]


def infeasible_limits(suite: Suite) -> Iterator[tuple[Gate, Problem]]:
    """Yield the gates with a limit that their cases can never show to hold, and what they need."""
    for gate in suite.gates.values():
        for problem in kind_of(gate).problems(suite, gate):
            yield gate, problem
