"""What gates measure of a variant, where nothing is gated as well."""

from __future__ import annotations

from dataclasses import replace

from pytest_ftgate.gates.case_cost import cost_bound
from pytest_ftgate.gates.checks import pair_samples
from pytest_ftgate.gates.design import CONFIDENCE, Levels
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.figures import (
    known_times,
    latency_figure,
    price_figure,
    rate_figure,
    request_prices,
    sample_rate,
    token_figure,
)
from pytest_ftgate.gates.format_errors import format_error_fields
from pytest_ftgate.gates.judges import JudgeEvidence, check_graded_minimum, graded_rate
from pytest_ftgate.gates.next_steps import gate_place
from pytest_ftgate.gates.notes import Note
from pytest_ftgate.gates.samples import Samples, align, samples_from_scores
from pytest_ftgate.gates.statements import Statement, StatementKind, StepKind, Value, next_step
from pytest_ftgate.gates.tasks import pair_tasks
from pytest_ftgate.gates.verdict import Outcome, ShownChange, Verdict, ungated_verdict
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import PairedCounts, change_interval
from pytest_ftgate.stats.rates import MeanScore
from pytest_ftgate.stats.tasks import FEWEST_TASKS
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Gate, Suite, Variant
from pytest_ftgate.suite.providers import provider_spec


def rate_of_scores(gate: Gate, scores: VariantScores) -> MeanScore:
    """Return the rate that *gate* compares with its minimum, of the cases with a reply."""
    samples = samples_from_scores(scores, gate.sample)
    return sample_rate(samples.select(samples.has_reply))


def pairs_of_scores(
    gate: Gate, before: VariantScores, after: VariantScores, *, of_runs: bool = False
) -> PairedCounts:
    """Return what *gate* compares of two variants with replies to the same cases.

    With *of_runs* those are runs if the gate claims these tasks alone, and else cases.
    """
    sides = samples_from_scores(before, gate.sample), samples_from_scores(after, gate.sample)
    of_runs = of_runs and isinstance(gate, RateGate) and gate.claims_these
    return pairs_of_samples(*sides, of_runs=of_runs)


def pairs_of_samples(before: Samples, after: Samples, *, of_runs: bool = False) -> PairedCounts:
    """Return the paired counts of the cases to which both samples have a reply, or of their runs.

    Fewer than three tasks have no runs to compare.
    """
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    pairing = pair_tasks if of_runs and answered.sum() >= FEWEST_TASKS else pair_samples
    return pairing(before.select(answered), after.select(answered))


#: The quantiles of the latency, by name: the ends of its spread, its middle half, its median.
_QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def variant_figures(
    suite: Suite,
    scores: VariantScores,
    judges: JudgeEvidence | None = None,
) -> dict[str, Figure]:
    """Return the figures of a variant by name, those without any value left out.

    They are ``accuracy``, ``format``, ``usd_per_1k``, ``tokens``, and ``p05``,
    ``p25``, ``p50``, ``p75`` and ``p95`` of the latency. Where the labels of *judges* correct the
    accuracy, ``accuracy.graded`` is that of the grades.
    """
    variant = suite.variants[scores.variant]
    samples = samples_from_scores(scores, "accuracy")
    graded = rate_figure(samples)
    figures = {"accuracy": graded_rate(judges, samples) if judges else graded}
    if figures["accuracy"] != graded:
        figures["accuracy.graded"] = graded
    figures["format"] = rate_figure(samples_from_scores(scores, "format"))
    prices = request_prices(scores, variant.tariff)
    bound = cost_bound(suite, variant, scores)
    figures["usd_per_1k"] = price_figure(prices, bound)
    figures["tokens"] = token_figure(scores)
    times = known_times(scores, timed=not provider_spec(variant.provider).classifier)
    figures |= {name: latency_figure(times, share) for name, share in _QUANTILES.items()}
    return {name: figure for name, figure in figures.items() if figure.n}


def measure_rate(
    suite: Suite,
    gate: RateGate,
    scores: VariantScores,
    baseline: VariantScores | None = None,
    judges: JudgeEvidence | None = None,
) -> Verdict:
    """Return the rate of an ungated variant, as a verdict that is only shown."""
    samples, judges = samples_from_scores(scores, gate.sample), judges or JudgeEvidence()
    check = check_graded_minimum(judges, samples, minimum=0.0, levels=Levels())
    verdict = ungated_verdict(suite, gate, scores.variant, check)
    change = shown_change(suite, gate, baseline, scores)
    return replace(verdict, shown_change=change, **format_error_fields(gate, None, scores))


def unmeasured_verdict(
    suite: Suite, variant: Variant, reason: Note, *, is_invalid: bool = False
) -> Verdict:
    """Return a verdict with the *reason* why an ungated variant could not be measured.

    *is_invalid* says that it is not what it claims to be.
    """
    return Verdict(
        suite=suite.name,
        line=variant.line,
        gate="measured",
        variant=variant.name,
        outcome=Outcome.INVALID,
        statement=Statement(
            StatementKind.NOT_SENT, reason.values_with("reason") | {"is_invalid": is_invalid}
        ),
        gated=False,
        measured=False,
    )


def shown_change(
    suite: Suite, gate: RateGate, before: VariantScores | None, after: VariantScores
) -> ShownChange | None:
    """Return the change from the baseline's scores *before*, which no check of *gate* limits.

    None without scores of the baseline, or without a case that both variants answered.
    """
    if before is None or before is after:
        return None
    sides = align(*(samples_from_scores(scores, gate.sample) for scores in (before, after)))
    if not (sides[0].has_reply & sides[1].has_reply).any():
        return None
    pairs = pairs_of_scores(gate, before, after)
    if pairs.n < 2:  # noqa: PLR2004 - one case shows nothing about a population
        return None
    low, high = change_interval(pairs, CONFIDENCE)
    variant = suite.variants[after.variant]
    key = gate.uncompared_key or ("few cases" if variant.compared else "compared: false")
    return ShownChange(
        against=before.variant, before=pairs.before, after=pairs.after, low=low, high=high,
        n=int(pairs.n), key=key if variant.gated else "",
    )  # fmt: skip


def not_gated_verdict(
    suite: Suite,
    gate: RateGate,
    scores: VariantScores,
    baseline: VariantScores | None,
    judges: JudgeEvidence,
) -> Verdict:
    """Return the measurement of a variant that nothing can fail, with what leaves nothing.

    *baseline* are the scores that the change is shown from, or None.
    """
    verdict = measure_rate(suite, gate, scores, baseline, judges)
    values: dict[str, Value] = {} if gate.min is None else {"minimum": gate.min}
    if baseline is None and gate.max_drop is not None:
        values["key"] = "baseline"
    elif gate.uncompared_key:
        values["key"] = gate.uncompared_key
    else:
        values["cases"] = len(gate.evaluated_cases(suite.cases))
    step = next_step(StepKind.ADD_MINIMUM, where=gate_place(suite, gate, "min"))
    statement = Statement(StatementKind.NOT_GATED, values)
    return replace(verdict, statement=statement, next=(step,))
