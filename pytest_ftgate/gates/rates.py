"""The accuracy gate and the format gate: minimum, drop, accepted result, must-pass cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from pytest_ftgate.gates.checks import (
    check_macro_drop,
    check_macro_minimum,
    check_minimum,
    check_point,
)
from pytest_ftgate.gates.flips import Regressions, find_regressions, flips
from pytest_ftgate.gates.format_errors import (
    changed_habit,
    drift_notes,
    error_shares,
    format_error_fields,
    reply_drifts,
)
from pytest_ftgate.gates.judges import (
    JudgeEvidence,
    check_graded_drop,
    check_graded_minimum,
    inconclusive_if_unqualified,
    judge_notes,
    with_judge_evidence,
)
from pytest_ftgate.gates.levels import MAX_MISSING_SHARE, Levels, shared_levels
from pytest_ftgate.gates.looks import Look, look_levels
from pytest_ftgate.gates.must_pass import check_must_pass
from pytest_ftgate.gates.samples import Samples, samples_from_scores
from pytest_ftgate.gates.slices import retrieval_notes, slice_members, slice_results
from pytest_ftgate.gates.units import percent, points, quantity, unsigned_points
from pytest_ftgate.gates.verdict import (
    Check,
    CheckKind,
    Drift,
    NextStep,
    Outcome,
    Slice,
    Verdict,
    combine_checks,
)
from pytest_ftgate.scoring.classification import label_metrics, label_predictions
from pytest_ftgate.scoring.label_metrics import LabelMetrics
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.model import Gate, RateGate, Suite, Variant

__all__ = [
    "NOTHING_TO_COMPARE",
    "AcceptedSamples",
    "Comparison",
    "evaluate_rate",
    "guess_rate",
    "measure_rate",
    "rate_headline",
    "rate_next_steps",
    "rate_notes",
    "unmeasured_verdict",
]

#: The remedy for a kind of format error, by default a change of the prompt.
_REMEDIES = {
    "truncated": "raise max_tokens, or ask for shorter replies",
    "refusal": "read what the model refused",
    "fenced": "ask for the bare answer without a code fence, or restrict the model to a schema",
    "preamble": "ask for the answer and nothing else",
    "trailing text": "ask for the answer and nothing else",
    "wrong label casing": "show the labels in the required spelling",
    "repetition loop": "ask for shorter replies, or raise the temperature",
}

#: The headline of a gate without a check.
NOTHING_TO_COMPARE = "nothing to compare with yet"
_HOLDS = {Outcome.PASSED: "holds", Outcome.FAILED: "is below"}
#: The largest number of repeats to advise; beyond it, more cases are better.
_MAX_REPEATS = 20


def rate_headline(
    gate: RateGate,
    outcome: Outcome,
    check: Check,
    regressed: tuple[Slice, ...],
    *,
    is_pairwise: bool = False,
) -> str:
    """Return the verdict in one line.

    Args:
        gate: the gate.
        outcome: its outcome.
        check: the check that decided.
        regressed: the regressed slices.
        is_pairwise: True if a judge's preferences are the only score.
    """
    what = _measured_name(gate, is_pairwise=is_pairwise)
    if check.kind is CheckKind.MUST_PASS:
        right = f"{round(check.after * check.n)} of {check.n} must-pass cases are right"
        wrong = f"; wrong: {', '.join(check.case_ids)}" if outcome is Outcome.FAILED else ""
        return right + (wrong or f"; {check.missing} brought no reply" * bool(check.missing))
    if check.before is None:
        relation = _HOLDS.get(check.outcome, "may not hold")
        # Without the number of cases, the rate of a few replies would mislead.
        if check.missing and check.outcome is Outcome.INCONCLUSIVE:
            cases = quantity(check.n, "case")
            relation = f"of {cases}, with no reply to {check.missing}, {relation}"
        text = f"{what} {percent(check.after)} {relation} the minimum of {percent(check.limit)}"
        return text + _regressed_slices_text(outcome, check, regressed)
    text = (
        f"{what} {percent(check.before)} → {percent(check.after)} against {check.against}, "
        f"{points(check.after - check.before)} points, allowed {points(-check.limit)}"
    )
    return text + _regressed_slices_text(outcome, check, regressed)


def _measured_name(gate: RateGate, *, is_pairwise: bool) -> str:
    if gate.function:
        # Names such as TestTone::test_never_promises[formal] read as a sentence.
        name = gate.function.rpartition("::")[2].removeprefix("test_")
        return name.replace("[", " (").replace("]", ")").replace("_", " ") + ":"
    if is_pairwise and gate.name == gate.metric == "accuracy":
        return "preferred"
    what = "replies in the right format" if gate.kind == "format" else gate.metric
    return what.replace("macro_f1", "macro-F1")


def _regressed_slices_text(outcome: Outcome, check: Check, regressed: tuple[Slice, ...]) -> str:
    """Return the regressed slices if they alone fail the gate, else ""."""
    if outcome is not Outcome.FAILED or check.outcome is Outcome.FAILED or not regressed:
        return ""
    return f", but regressed: {', '.join(f'{part.kind} {part.name}' for part in regressed)}"


def rate_notes(
    gate: RateGate, scores: VariantScores, checks: tuple[Check, ...], look: Look, stale: int
) -> Iterator[str]:
    """Yield the notes of the verdict, each a sentence."""
    unscored = 0 if gate.kind == "format" else len(scores.results) - int(scores.scorable.sum())
    if unscored:
        yield f"{unscored} of {len(scores.results)} cases expect nothing and are left out"
    yield from (check.note for check in checks if check.note)
    if look.of > 1:
        yield f"decided at look {look.number} of {look.of}, after {_look_extent(scores, look)}"
    if stale:
        reason = "the case or how it is scored has changed; accept again with --ftgate-accept"
        yield f"{stale} accepted case{'s are' if stale != 1 else ' is'} stale: {reason}"
    stops = scores.stop_reasons
    for stop, word in (("refusal", "refused"), ("length", "cut off by max_tokens")):
        if stops[stop]:
            wrong = ", which counts as wrong" if gate.name == "accuracy" else ""
            yield f"{stops[stop]} of {stops.total()} replies were {word}{wrong}"
    if scores.unanswered:
        first = scores.unanswered[0].missing_reasons[0]
        yield f"no reply to {quantity(len(scores.unanswered), 'case')}; first: {first}"


def _look_extent(scores: VariantScores, look: Look) -> str:
    """Return how many replies or cases a look includes, as text."""
    if look.cases is None:
        return f"{look.repeats} {'reply' if look.repeats == 1 else 'replies'} to each case"
    share = look.fractions[-1]
    return f"{len(scores.results):,} of {round(len(scores.results) / share):,} cases"


def rate_next_steps(
    gate: RateGate, outcome: Outcome, check: Check | None, scores: VariantScores, look: Look
) -> Iterator[str]:
    """Yield the next steps, each a sentence."""
    if check is None and gate.metric == "macro_f1":
        remedy = "macro-F1 is compared with the baseline alone; add min: to evaluate this one"
        yield f"{NOTHING_TO_COMPARE}: {remedy}"
    elif check is None:
        yield f"{NOTHING_TO_COMPARE}; accept this run with --ftgate-accept"
    elif outcome is Outcome.INCONCLUSIVE:
        yield _advice_if_inconclusive(check, look, "repeats=" if gate.function else "settle: ")
    elif outcome is Outcome.FAILED and check.kind is CheckKind.MUST_PASS:
        repeated = ", also when repeated" if look.replies_vary else ""
        yield f"a must-pass case is wrong{repeated}; it is the first of the regressed cases"
    elif outcome is Outcome.FAILED and gate.kind == "format" and scores.format_errors:
        kind, count = scores.format_errors.most_common(1)[0]
        remedy = _REMEDIES.get(kind, "change the prompt")
        yield f"the most common format error is “{kind}” ({count} replies); {remedy}"
    elif outcome is Outcome.FAILED:
        yield "read the regressed cases; if the drop is intended, accept it in a reviewed change"


def _advice_if_inconclusive(check: Check, look: Look, repeats_key: str) -> str:
    """Return what would settle an inconclusive check; *repeats_key* is the setting of repeats."""
    if check.has_drifted:
        return "request all replies again, so that both sides are current: --ftgate-replies=fresh"
    if not check.informative:
        return "declare a minimum (min:): this comparison cannot show a drop"
    parts = []
    if check.certifiable is not None and check.before is not None:
        parts.append(
            f"{check.n} cases cannot rule out a drop of {unsigned_points(check.limit)} points "
            f"(they can certify {unsigned_points(check.certifiable)})"
        )
    if check.needed is not None:
        more = quantity(check.needed, "more case")
        alternative = _repeats_alternative(check, look, repeats_key)
        parts.append(f"about {more} would settle it{alternative}")
    if check.missing:
        parts = ["run again for the missing replies", *parts]
    return "; ".join(parts) or "more cases are needed"


def _repeats_alternative(check: Check, look: Look, repeats_key: str) -> str:
    """Return the number of repeats that replace the needed cases, or "" if repeats do not help."""
    if not look.replies_vary or look.cases is not None:
        return ""
    if check.before is None or check.needed is None:
        return ""
    repeats = ceil(look.repeats * (1 + check.needed / check.n))
    return f", or {repeats_key}{repeats}" if repeats <= _MAX_REPEATS else ""


@dataclass(frozen=True, slots=True)
class AcceptedSamples:
    """The accepted samples of a variant, and the number of stale cases among those accepted."""

    samples: Samples
    stale: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The input of the accuracy gate and the format gate.

    Attributes:
        scores: the variant's scores.
        baseline: the baseline's scores; the same object if the variant is the baseline.
        accepted: the accepted samples of the variant, or None if none are accepted.
        must_pass: the scores of the must-pass cases, and those of the wrong ones with repeated
            requests, or None; None without must-pass cases.
        baseline_drift: how the baseline has drifted since its replies were recorded, or "".
        judge_evidence: the evidence about the judges that graded the replies.
    """

    scores: VariantScores
    baseline: VariantScores
    accepted: AcceptedSamples | None = None
    must_pass: tuple[VariantScores, VariantScores | None] | None = None
    baseline_drift: str = ""
    judge_evidence: JudgeEvidence = field(default_factory=JudgeEvidence)

    @property
    def compared_scores(self) -> VariantScores | None:
        """The baseline's scores, or None if the variant is the baseline."""
        return None if self.scores is self.baseline else self.baseline

    @property
    def shown_scores(self) -> VariantScores:
        """The variant's scores, including must-pass cases outside the look."""
        more = self.must_pass[0].results if self.must_pass else {}
        return VariantScores(self.scores.variant, {**more, **self.scores.results})


def evaluate_rate(
    suite: Suite, gate: RateGate, comparison: Comparison, look: Look | None = None
) -> Verdict:
    """Return the verdict of the accuracy gate or the format gate about one variant.

    Args:
        suite: the suite, for its limits and the number of its checks.
        gate: the gate.
        comparison: the scores to compare.
        look: the look that *comparison* belongs to; by default all replies.
    """
    look, scores = look or Look(), comparison.scores
    checks = _without_lone_must_pass(_checks(suite, gate, comparison, look))
    outcome, deciding = combine_checks(checks) if checks else (Outcome.PASSED, 0)
    check = checks[deciding] if checks else None
    parts = _slices(suite, gate, comparison, look)
    regressed = tuple(part for part in parts if part.state == "regressed")
    outcome = Outcome.FAILED if _slices_decide(check, regressed) else outcome
    regressions, compared = _regressions(gate, comparison, check)
    drift = reply_drifts(suite, gate, comparison.compared_scores, scores)
    verdict = Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.name,
        variant=scores.variant,
        outcome=outcome,
        headline=_headline(gate, outcome, check, regressed, comparison),
        checks=checks,
        deciding=deciding,
        slices=parts,
        labels=_label_metrics(suite, gate, comparison) if outcome is not Outcome.PASSED else (),
        flips=flips(compared, comparison.shown_scores, regressions),
        regressed=len(regressions.regressed),
        fixed=len(regressions.fixed),
        **format_error_fields(gate, comparison.compared_scores, scores),
        drifts=drift,
        notes=tuple(_notes(gate, comparison, checks, look, regressions, drift)),
        next=tuple(map(NextStep, rate_next_steps(gate, outcome, check, scores, look))),
    )
    return with_judge_evidence(verdict, comparison.judge_evidence)


def _slices_decide(check: Check | None, regressed: tuple[Slice, ...]) -> bool:
    """Return True if regressed slices fail the gate; with too few replies they do not."""
    few = check is None or check.missing > MAX_MISSING_SHARE * (check.n + check.missing)
    return bool(regressed) and not few


def _headline(
    gate: RateGate,
    outcome: Outcome,
    check: Check | None,
    regressed: tuple[Slice, ...],
    comparison: Comparison,
) -> str:
    if check is None:
        return NOTHING_TO_COMPARE
    cause = changed_habit(gate, check, comparison.compared_scores, comparison.scores)
    is_pairwise = comparison.judge_evidence.is_pairwise
    headline = rate_headline(gate, outcome, check, regressed, is_pairwise=is_pairwise)
    return f"{cause}; {headline}" if cause else headline


def _notes(
    gate: RateGate,
    comparison: Comparison,
    checks: tuple[Check, ...],
    look: Look,
    regressions: Regressions,
    drift: tuple[Drift, ...],
) -> Iterator[str]:
    stale = comparison.accepted.stale if comparison.accepted else 0
    yield from rate_notes(gate, comparison.scores, checks, look, stale)
    yield from retrieval_notes(gate, comparison.shown_scores, regressions.regressed)
    yield from judge_notes(comparison.judge_evidence) if gate.kind == "accuracy" else ()
    passed = all(check.outcome is Outcome.PASSED for check in checks)
    shares = error_shares(comparison.compared_scores, comparison.scores) if drift else ()
    yield from drift_notes(drift, gate, shares, passed=passed)


def _without_lone_must_pass(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Return the checks, or none if the only check is of must-pass cases, and it passed."""
    checks = tuple(checks)
    alone = all(c.kind is CheckKind.MUST_PASS and c.outcome is Outcome.PASSED for c in checks)
    return () if alone else checks


def _checks(suite: Suite, gate: RateGate, comparison: Comparison, look: Look) -> Iterator[Check]:
    if gate.kind == "accuracy":
        check = check_must_pass(*comparison.must_pass) if comparison.must_pass else None
        yield from [inconclusive_if_unqualified(check, comparison.judge_evidence)] if check else []
    levels = [look_levels(look, total) for total in (Levels(), shared_levels(suite))]
    rate_checks = _macro_checks if gate.metric == "macro_f1" else _mean_checks
    for rate_check in rate_checks(suite, gate, comparison, *levels):
        check = rate_check
        if gate.kind == "accuracy":
            check = inconclusive_if_unqualified(rate_check, comparison.judge_evidence)
        if comparison.baseline_drift and check.kind is CheckKind.BASELINE:
            drift = comparison.baseline_drift
            yield replace(check, outcome=Outcome.INCONCLUSIVE, has_drifted=True, note=drift)
        else:
            yield check_point(check) if gate.evidence == "point" else check


def _mean_checks(
    suite: Suite, gate: RateGate, comparison: Comparison, unshared: Levels, shared: Levels
) -> Iterator[Check]:
    samples, accepted = samples_from_scores(comparison.scores, gate.kind), comparison.accepted
    evidence = comparison.judge_evidence if gate.kind == "accuracy" else JudgeEvidence()
    if gate.min is not None:
        yield check_graded_minimum(evidence, samples, minimum=gate.min, levels=unshared)
    if gate.max_drop is None:
        return
    check_against = partial(
        check_graded_drop,
        evidence,
        margin=gate.max_drop,
        levels=shared,
        guess_rate=guess_rate(suite, gate),
    )
    if comparison.scores is not comparison.baseline:
        baseline = samples_from_scores(comparison.baseline, gate.kind)
        yield check_against(baseline, samples, against=suite.baseline)
    # There is nothing to compare with if all accepted cases are stale, or if a judge compared the
    # accepted replies with another baseline.
    if accepted is not None and len(accepted.samples) and not evidence.is_pairwise:
        kind = CheckKind.ACCEPTED
        check = check_against(accepted.samples, samples, against="accepted", kind=kind)
        yield replace(check, stale=accepted.stale)


def _macro_checks(
    suite: Suite, gate: RateGate, comparison: Comparison, unshared: Levels, shared: Levels
) -> Iterator[Check]:
    labels = suite.labels
    after = label_predictions(comparison.scores, labels)
    if gate.min is not None:
        yield check_macro_minimum(after, minimum=gate.min, levels=unshared)
    if gate.max_drop is not None and comparison.scores is not comparison.baseline:
        before, margin = label_predictions(comparison.baseline, labels), gate.max_drop
        yield check_macro_drop(before, after, against=suite.baseline, margin=margin, levels=shared)


def _slices(suite: Suite, gate: RateGate, comparison: Comparison, look: Look) -> tuple[Slice, ...]:
    is_baseline = comparison.scores is comparison.baseline
    nothing = comparison.accepted is None if is_baseline else bool(comparison.baseline_drift)
    if not gate.slices or gate.max_drop is None or nothing:
        return ()
    levels = look_levels(look, shared_levels(suite))
    after = samples_from_scores(comparison.scores, gate.kind)
    # The baseline is compared with its accepted samples.
    accepted = comparison.accepted.samples if is_baseline and comparison.accepted else None
    before = samples_from_scores(comparison.baseline, gate.kind) if accepted is None else accepted
    members = slice_members(comparison.scores.cases, gate.slices)
    return slice_results(before, after, members, margin=gate.max_drop, levels=levels)


def _label_metrics(
    suite: Suite, gate: RateGate, comparison: Comparison
) -> tuple[LabelMetrics, ...]:
    labels = suite.labels
    if gate.kind != "accuracy" or not labels:
        return ()
    before = (
        None
        if comparison.scores is comparison.baseline
        else label_predictions(comparison.baseline, labels)
    )
    return label_metrics(label_predictions(comparison.scores, labels), before)


def _regressions(
    gate: RateGate, comparison: Comparison, check: Check | None
) -> tuple[Regressions, VariantScores | None]:
    """Return the regressions of the deciding check, or of the baseline, with its scores."""
    after, accepted = samples_from_scores(comparison.scores, gate.kind), comparison.accepted
    compared, kind = comparison.compared_scores, check.kind if check else None
    is_accepted = kind is CheckKind.ACCEPTED
    if accepted is not None and (is_accepted or (not compared and len(accepted.samples))):
        compared = None
        before: Samples | None = accepted.samples
    else:
        before = samples_from_scores(compared, gate.kind) if compared else None
    regressions = find_regressions(before, after)
    if gate.kind == "format":
        return regressions.interleaved_by_format_error(comparison.scores), compared
    if check and kind is CheckKind.MUST_PASS:
        return regressions.with_first(check.case_ids), compared
    return regressions, compared


def guess_rate(suite: Suite, gate: Gate) -> float:
    """Return the accuracy of guessing: 1 / number of labels, or 0 without labels."""
    labels = suite.labels
    return 1 / len(labels) if labels and gate.reads_grades else 0.0


def measure_rate(suite: Suite, gate: RateGate, scores: VariantScores) -> Verdict:
    """Return the rate of an ungated variant, as a verdict that is only shown."""
    if gate.metric == "macro_f1":
        predictions = label_predictions(scores, suite.labels)
        check = check_macro_minimum(predictions, minimum=0.0, levels=Levels())
    else:
        check = check_minimum(samples_from_scores(scores, gate.kind), minimum=0.0)
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=scores.variant,
        outcome=Outcome.PASSED,
        headline=f"{percent(check.after)}",
        gated=False,
        checks=(check,),
        **format_error_fields(gate, None, scores),
    )


def unmeasured_verdict(suite: Suite, variant: Variant, reason: str) -> Verdict:
    """Return a verdict with the *reason* why an ungated variant could not be measured."""
    return Verdict(
        suite=suite.name,
        line=variant.line,
        gate="measured",
        variant=variant.name,
        outcome=Outcome.INVALID,
        headline=f"no request could be sent: {reason}",
        gated=False,
        measured=False,
    )
