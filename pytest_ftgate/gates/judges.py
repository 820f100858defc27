"""Judges in a gate: notes about them, and checks of their grades corrected by human labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_ftgate.gates.checks import (
    DropRule,
    check_drop,
    check_minimum,
    drop_fails,
    shown_minimum,
)
from pytest_ftgate.gates.design import CONFIDENCE, Levels
from pytest_ftgate.gates.figure import Figure, IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.figures import rate_figure
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import FloatArray, Samples, align
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict

if TYPE_CHECKING:
    from pytest_ftgate.stats.resampling import MeanEstimate

    #: A mean that labels correct, and how many they are.
    _Estimate = tuple[MeanEstimate, int]
#: The shares of good and of bad replies that a judge finds.
_Shares = tuple[IntervalEstimate, IntervalEstimate]
#: The fields of a check that stay unknown where labels correct its mean, or where it shows nothing.
_UNKNOWN: Mapping[str, Any] = {"needed": None, "certifiable": None, "shown_limit": None}
#: With fewer labels of the compared replies, the labels do not correct the judge's mean.
MIN_CORRECTION_LABELS = 100


@dataclass(frozen=True, slots=True)
class JudgeEvidence:
    """What is known about the judges that graded one variant's replies.

    Attributes:
        validations: the validation of each judge.
        is_sole_score: True if the score is the grade of one judge and nothing else, so that human
            labels apply to the score.
        human_scores: the human scores of this variant's replies by case id, 0 to 1.
        baseline_human_scores: the human scores of the baseline's replies by case id, 0 to 1.
        is_pairwise: True if a grade is the preference for a reply over the baseline's reply. The
            baseline's score is then 1 minus the grade.
        ungraded: the note on this variant's replies without a grade, or None.
        constant_grades: the number of graded replies if all grades of the run are equal, else 0.
    """

    validations: tuple[JudgeValidation, ...] = ()
    is_sole_score: bool = False
    human_scores: Mapping[str, float] = field(default_factory=dict)
    baseline_human_scores: Mapping[str, float] = field(default_factory=dict)
    is_pairwise: bool = False
    ungraded: Note | None = None
    constant_grades: int = 0

    @property
    def is_unqualified(self) -> bool:
        """True if a judge is not qualified."""
        return any(validation.errors for validation in self.validations)

    @property
    def is_qualified(self) -> bool:
        """True if there are judges, and all of them are qualified."""
        return bool(self.validations) and not self.is_unqualified

    @property
    def human_changes(self) -> dict[str, float]:
        """The change of the human score by case id, this variant's reply minus the baseline's."""
        both = self.human_scores.keys() & self.baseline_human_scores.keys()
        return {
            case_id: self.human_scores[case_id] - self.baseline_human_scores[case_id]
            for case_id in both
        }

    @property
    def found_shares(self) -> _Shares | None:
        """The shares of good and of bad replies that the one judge finds; None if unknown."""
        if not self.is_sole_score or len(self.validations) != 1:
            return None
        return self.validations[0].found_shares

    @property
    def uncorrected(self) -> Note | None:
        """Why verdicts rest on uncorrected grades, or None."""
        if not self.is_qualified:
            return None
        if not _all_validated(self):
            return note(NoteKind.UNEXAMINED)
        is_corrected = self.found_shares or len(self.human_changes) >= MIN_CORRECTION_LABELS
        return None if is_corrected else note(NoteKind.UNCORRECTED)


def _all_validated(evidence: JudgeEvidence) -> bool:
    return all(validation.labels for validation in evidence.validations)


def inconclusive_if_unqualified(check: Check, evidence: JudgeEvidence) -> Check:
    """Return *check*; inconclusive if a judge is not qualified."""
    if not evidence.is_unqualified:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, needed=None, certifiable=None)


def with_judge_evidence(verdict: Verdict, evidence: JudgeEvidence) -> Verdict:
    """Return *verdict* of the accuracy gate with its judges; inconclusive if one is unqualified.

    Verdicts of other gates are returned unchanged.
    """
    if verdict.gate != "accuracy" or not evidence.validations:
        return verdict
    verdict = replace(verdict, judges=evidence.validations)
    if evidence.is_unqualified:
        return replace(
            verdict,
            outcome=Outcome.INCONCLUSIVE,
            statement=Statement(StatementKind.UNQUALIFIED_JUDGE),
            next=(NextStep(StepKind.IMPROVE_JUDGE),),
        )
    if evidence.uncorrected and verdict.check:
        return replace(verdict, statement=verdict.statement.add(judge_relative=True))
    return verdict


def judge_notes(evidence: JudgeEvidence) -> Iterator[Note]:
    """Yield notes about the judges for the reader of a verdict."""
    if evidence.uncorrected:
        yield evidence.uncorrected
    for validation in evidence.validations:
        yield from validation.warnings
    if evidence.ungraded:
        yield evidence.ungraded
    if evidence.constant_grades and not _all_validated(evidence):
        yield note(NoteKind.SAME_OF_ALL, n=evidence.constant_grades)


# Drops ------------------------------------------------------------------------------------------


def check_graded_drop(
    evidence: JudgeEvidence, before: Samples, after: Samples, rule: DropRule
) -> Check:
    """Return the drop check of grades, corrected by human labels if there are enough.

    Without judges *check_drop* makes the check. The values of *before* are replaced if pairwise
    grades compare with them.
    """
    is_baseline = rule.kind is CheckKind.BASELINE
    if evidence.is_pairwise and is_baseline:
        before, after = align(before, after)
        before = replace(before, values=1.0 - after.values)
    plain = check_drop(before, after, rule)
    if not evidence.is_qualified or plain.is_unchanged or not plain.informative:
        return plain
    if is_baseline:
        corrected = _drop_by_labels(plain, before, after, evidence, rule.levels)
        if corrected:
            return corrected
    found = evidence.found_shares
    if found is None:
        return plain
    if _least_shown(found) <= 0:
        return _undecidable(plain)
    shown = replace(rule, margin=rule.margin * _least_shown(found), guess_rate=0.0)
    check = _with_true_change(check_drop(before, after, shown), rule.margin, found)
    # A judge shows a true drop at most in full: half of the limit is surely lost if it shows half.
    return replace(check, p_half=plain.p_half, pairs=None)


def _least_shown(found: _Shares) -> float:
    """Return the share of a true change that the judge shows at least; 0 or less for none."""
    return found[0].low + found[1].low - 1


def _undecidable(plain: Check) -> Check:
    """Return *plain* as it is with a judge whose grades may be unrelated to the labels."""
    notes = (note(NoteKind.SHOWS_NOTHING),)
    return replace(plain, outcome=Outcome.INCONCLUSIVE, notes=notes, **_UNKNOWN)


def _with_true_change(check: Check, margin: float, found: _Shares) -> Check:
    """Return a check of grades with its numbers converted to the true change behind them."""
    good, bad = found
    index, least_shown = good.value + bad.value - 1, _least_shown(found)
    shown = note(NoteKind.SHOWS_LESS, share=index, least=least_shown)
    low, high = (
        None if bound is None else _clamp(bound / index, -1.0) for bound in (check.low, check.high)
    )
    return replace(
        check,
        limit=margin,
        before=_true_rate(check.before or 0.0, found),
        after=_true_rate(check.after, found),
        low=low,
        high=high,
        certifiable=_true_drop(check.certifiable, least_shown),
        detectable=_true_drop(check.detectable, least_shown),
        shown_limit=None,
        method="judge",
        notes=(*check.notes, shown),
    )


def _true_drop(drop: float | None, least_shown: float) -> float | None:
    return None if drop is None or drop >= least_shown else drop / least_shown


def _clamp(value: float, low: float) -> float:
    return min(1.0, max(low, value))


def _true_rate(rate: float, found: _Shares) -> float:
    """Return the share of replies that are good if the judge grades the share *rate* as good."""
    sensitivity, specificity = found[0].value, found[1].value
    return _clamp((rate + specificity - 1) / (sensitivity + specificity - 1), 0.0)


def _drop_by_labels(
    plain: Check, before: Samples, after: Samples, evidence: JudgeEvidence, levels: Levels
) -> Check | None:
    """Return the drop check by the two-phase estimate; None with too few labels."""
    before, after = align(before, after)
    changes: FloatArray = after.values - before.values
    change = _mean_by_labels(after, changes, evidence.human_changes)
    baseline = _mean_by_labels(before, before.values, evidence.baseline_human_scores)
    if change is None or baseline is None:
        return None
    estimate, rate = change[0], _clamp(baseline[0].mean, 0.0)
    alone = note(NoteKind.LABELS_CORRECT_DROP, labels=change[1], change=float(np.mean(changes)))
    p_pass, p_fail = estimate.p_above(-plain.limit), estimate.p_below(0.0)
    p_within = estimate.p_below(-plain.limit)
    fails = drop_fails(estimate.mean, p_fail, p_within, plain.limit, levels)
    outcome = Outcome.FAILED if fails else Outcome.INCONCLUSIVE
    low, high = (_clamp(bound, -1.0) for bound in estimate.interval(CONFIDENCE))
    return replace(
        plain,
        outcome=Outcome.PASSED if p_pass <= levels.miss else outcome,
        before=rate,
        after=_clamp(rate + estimate.mean, 0.0),
        low=low,
        high=high,
        p_pass=p_pass,
        p_fail=p_fail,
        p_half=estimate.p_below(-plain.limit / 2.0),
        pairs=None,
        method="labels",
        notes=(alone,),
        **_UNKNOWN,
    )


def _mean_by_labels(
    samples: Samples, values: FloatArray, labels: Mapping[str, float]
) -> _Estimate | None:
    """Return the mean of *values* corrected by *labels*, and the number of labels; None if few."""
    labelled = [index for index, case_id in enumerate(samples.case_ids) if case_id in labels]
    is_complete = not np.isnan(values).any()
    is_plain_sample = samples.groups is None and samples.weights is None and is_complete
    if len(labelled) < MIN_CORRECTION_LABELS or not is_plain_sample:
        return None
    from pytest_ftgate.stats.resampling import two_phase_mean

    label_values = [labels[samples.case_ids[index]] for index in labelled]
    return two_phase_mean(values, label_values, labelled), len(labelled)


# Minimums ---------------------------------------------------------------------------------------


def graded_rate(evidence: JudgeEvidence, samples: Samples) -> Figure:
    """Return the rate of good replies, corrected by human labels as far as these can correct it."""
    plain, found = rate_figure(samples), evidence.found_shares
    if not evidence.is_qualified:
        return plain
    corrected = _mean_by_labels(samples, samples.values, evidence.human_scores)
    if corrected:
        estimate, n = corrected[0], len(samples)
        lowest, highest = (_clamp(bound, 0.0) for bound in estimate.interval(CONFIDENCE))
        return Figure(
            unit="share", value=_clamp(estimate.mean, 0.0), low=lowest, high=highest, n=n, units=n,
            method="labels",
        )  # fmt: skip
    if found is None or _least_shown(found) <= 0:
        return plain
    return replace(plain.moved(lambda rate: _true_rate(rate, found)), method="judge")


def _with_figure(check: Check, figure: Figure, **more: Any) -> Check:
    low, high, method = figure.low, figure.high, figure.method
    return replace(check, after=figure.value, low=low, high=high, method=method, **more)


def check_graded_minimum(
    evidence: JudgeEvidence, after: Samples, *, minimum: float, levels: Levels
) -> Check:
    """Return the minimum check of grades, corrected by human labels if there are enough."""
    plain = check_minimum(after, minimum=minimum, levels=levels)
    if not evidence.is_qualified:
        return plain
    found, figure = evidence.found_shares, graded_rate(evidence, after)
    corrected = _mean_by_labels(after, after.values, evidence.human_scores)
    if corrected:
        return _minimum_by_labels(plain, figure, corrected, levels)
    if found is None:
        return plain
    if _least_shown(found) <= 0:
        return _undecidable(plain)
    return _minimum_of_grades(plain, figure, after, found, levels)


def _minimum_of_grades(
    plain: Check, figure: Figure, after: Samples, found: _Shares, levels: Levels
) -> Check:
    """Return the minimum check with the minimum converted to a rate of the judge's grades."""

    def holds(minimum: float) -> bool:
        strict = _grade_minimums(minimum, *found)[0]
        return check_minimum(after, minimum=strict, levels=levels).outcome is Outcome.PASSED

    strict, lenient = _grade_minimums(plain.limit, *found)
    strict_check, lenient_check = (
        check_minimum(after, minimum=minimum, levels=levels) for minimum in (strict, lenient)
    )
    is_missed = lenient_check.outcome is Outcome.FAILED
    outcome = Outcome.FAILED if is_missed else Outcome.INCONCLUSIVE
    outcome = Outcome.PASSED if strict_check.outcome is Outcome.PASSED else outcome
    finds = {"good": found[0].value, "bad": found[1].value}
    return _with_figure(
        plain,
        figure,
        outcome=outcome,
        p_pass=strict_check.p_pass,
        p_fail=lenient_check.p_fail,
        needed=strict_check.needed,
        shown_limit=_shown_minimum(plain, outcome, levels, holds),
        notes=(*plain.notes, note(NoteKind.JUDGE_FINDS, **finds, rate=plain.after, needed=strict)),
    )


def _grade_minimums(
    minimum: float, sensitivity: IntervalEstimate, specificity: IntervalEstimate
) -> tuple[float, float]:
    """Return the rates of good grades that are certainly, and possibly, enough for *minimum*."""
    if minimum <= 0.0:
        return 0.0, 0.0  # whatever the judge says
    strict, lenient = (
        minimum * true_positive + (1 - minimum) * (1 - true_negative)
        for true_positive, true_negative in (
            (sensitivity.high, specificity.low),
            (sensitivity.low, specificity.high),
        )
    )
    return strict, lenient


def _minimum_by_labels(plain: Check, figure: Figure, corrected: _Estimate, levels: Levels) -> Check:
    """Return the minimum check by the two-phase estimate."""
    estimate, labels = corrected

    def holds(minimum: float) -> bool:
        return minimum <= 0.0 or estimate.p_above(minimum) <= levels.miss

    p_pass, p_fail = estimate.p_above(plain.limit), estimate.p_below(plain.limit)
    outcome = Outcome.FAILED if p_fail <= levels.alarm else Outcome.INCONCLUSIVE
    outcome = Outcome.PASSED if holds(plain.limit) else outcome
    shown = _shown_minimum(plain, outcome, levels, holds)
    alone = note(NoteKind.LABELS_CORRECT_RATE, labels=labels, rate=plain.after)
    found = {"outcome": outcome, "p_pass": p_pass, "p_fail": p_fail, "notes": (alone,)}
    return _with_figure(plain, figure, **found, **{**_UNKNOWN, "shown_limit": shown})


def _shown_minimum(
    check: Check, outcome: Outcome, levels: Levels, holds: Callable[[float], bool]
) -> float | None:
    """Return the largest minimum, in whole points, that the same replies hold; None if none is.

    None as well if it would change nothing, or if replies are missing or still to come.
    """
    is_kept = outcome is Outcome.PASSED and check.limit > 0.0
    if is_kept or check.missing or not levels.last:
        return None
    return shown_minimum(holds)
