"""Judges in a gate: their validation by human labels, and corrected checks of their grades."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import mean

import numpy as np
from scipy.special import stdtr

from pytest_ftgate.gates.checks import ROUNDING, check_drop, check_minimum
from pytest_ftgate.gates.levels import CONFIDENCE, Levels
from pytest_ftgate.gates.samples import FloatArray, Samples, align
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.units import percent, points
from pytest_ftgate.gates.verdict import (
    Check,
    CheckKind,
    IntervalEstimate,
    JudgeValidation,
    Outcome,
    Verdict,
)
from pytest_ftgate.scoring.classification import cohen_kappa
from pytest_ftgate.scoring.judges import JudgeGrades
from pytest_ftgate.stats.proportions import binomial_sf, wilson
from pytest_ftgate.stats.resampling import MeanEstimate, kappa_bounds, two_phase_mean
from pytest_ftgate.suite.model import JUDGE_METRICS, Judge, Label

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
        ungraded_note: a sentence about this variant's replies without a grade, or "".
        constant_grades: the number of graded replies if all grades of the run are equal, else 0.
    """

    validations: tuple[JudgeValidation, ...] = ()
    is_sole_score: bool = False
    human_scores: Mapping[str, float] = field(default_factory=dict)
    baseline_human_scores: Mapping[str, float] = field(default_factory=dict)
    is_pairwise: bool = False
    ungraded_note: str = ""
    constant_grades: int = 0

    @property
    def error(self) -> str:
        """Why a judge is not qualified, or ""."""
        errors = (
            f"{validation.judge}: {validation.error}"
            for validation in self.validations
            if validation.error
        )
        return next(errors, "")

    @property
    def human_changes(self) -> dict[str, float]:
        """The change of the human score by case id, this variant's reply minus the baseline's."""
        both = self.human_scores.keys() & self.baseline_human_scores.keys()
        return {
            case_id: self.human_scores[case_id] - self.baseline_human_scores[case_id]
            for case_id in both
        }

    @property
    def found_shares(self) -> tuple[IntervalEstimate, IntervalEstimate] | None:
        """The shares of good and of bad replies that the one judge finds; None if unknown."""
        if not self.is_sole_score or len(self.validations) != 1:
            return None
        return self.validations[0].found_shares

    @property
    def uncorrected_reason(self) -> str:
        """Why verdicts rest on uncorrected grades, or ""."""
        if not self.validations or self.error:
            return ""
        if not _all_validated(self):
            return "no labels have examined it"
        is_corrected = self.found_shares or len(self.human_changes) >= MIN_CORRECTION_LABELS
        return "" if is_corrected else "nothing corrects it"


def _all_validated(evidence: JudgeEvidence) -> bool:
    return all(validation.labels for validation in evidence.validations)


def inconclusive_if_unqualified(check: Check, evidence: JudgeEvidence) -> Check:
    """Return *check*; inconclusive if a judge is not qualified."""
    if not evidence.error:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, needed=None, certifiable=None)


def with_judge_evidence(verdict: Verdict, evidence: JudgeEvidence) -> Verdict:
    """Return *verdict* of the accuracy gate with its judges; inconclusive if one is unqualified.

    Verdicts of other gates are returned unchanged.
    """
    if verdict.gate != "accuracy" or not evidence.validations:
        return verdict
    verdict = replace(verdict, judges=evidence.validations)
    if evidence.error:
        return replace(
            verdict,
            outcome=Outcome.INCONCLUSIVE,
            statement=Statement(StatementKind.UNQUALIFIED_JUDGE),
            next=(NextStep(StepKind.IMPROVE_JUDGE),),
        )
    if evidence.uncorrected_reason and verdict.check:
        return replace(verdict, statement=verdict.statement.add(judge_relative=True))
    return verdict


def judge_notes(evidence: JudgeEvidence) -> Sequence[str]:
    """Return notes about the judges for the reader of a verdict, a sentence each."""
    notes = []
    if evidence.uncorrected_reason:
        reason = evidence.uncorrected_reason
        notes.append(f"judge-relative: {reason}, so this is true of its grades only")
    for validation in evidence.validations:
        notes += [f"{validation.judge}: {warning}" for warning in validation.warnings]
    if evidence.ungraded_note:
        notes.append(evidence.ungraded_note)
    if evidence.constant_grades and not _all_validated(evidence):
        notes.append(f"the judge says the same of all {evidence.constant_grades} replies")
    return notes


# Drops ------------------------------------------------------------------------------------------


def check_graded_drop(  # noqa: PLR0913 - the rule's parameters, each by name
    evidence: JudgeEvidence,
    before: Samples,
    after: Samples,
    *,
    against: str,
    margin: float,
    levels: Levels,
    kind: CheckKind = CheckKind.BASELINE,
    guess_rate: float = 0.0,
) -> Check:
    """Return the drop check of grades, corrected by human labels if there are enough.

    The parameters are those of *check_drop*, which makes the check if there are no judges. The
    values of *before* are replaced if pairwise grades compare with them.
    """
    if evidence.is_pairwise and kind is CheckKind.BASELINE:
        before, after = align(before, after)
        before = replace(before, values=1.0 - after.values)
    check_margin = partial(check_drop, before, after, against=against, kind=kind, levels=levels)
    plain = check_margin(margin=margin, guess_rate=guess_rate)
    has_qualified_judges = evidence.validations and not evidence.error
    if not has_qualified_judges or plain.is_unchanged or not plain.informative:
        return plain
    if kind is CheckKind.BASELINE:
        corrected = _drop_by_labels(plain, before, after, evidence, levels)
        if corrected:
            return corrected
    found = evidence.found_shares
    if found is None:
        return plain
    lower_bound = found[0].low + found[1].low - 1
    if lower_bound <= 0:
        return replace(plain, outcome=Outcome.INCONCLUSIVE, note=_UNRELATED_GRADES)
    check = check_margin(margin=margin * lower_bound)
    return _with_true_change(check, margin, found)


_UNRELATED_GRADES = "labels cannot rule out that the judge shows nothing of a true change"


def _with_true_change(
    check: Check, margin: float, found: tuple[IntervalEstimate, IntervalEstimate]
) -> Check:
    """Return a check of grades with its numbers converted to the true change behind them."""
    good, bad = found
    index, lower_bound = good.value + bad.value - 1, good.low + bad.low - 1
    shown = f"the judge shows {percent(index)} of a true change, at least {percent(lower_bound)}"
    note = f"{shown}; the limit was compared with that"
    return replace(
        check,
        limit=margin,
        before=_true_rate(check.before or 0.0, found),
        after=_true_rate(check.after, found),
        low=_clamp((check.low or 0.0) / index, -1.0),
        high=_clamp((check.high or 0.0) / index, -1.0),
        certifiable=_true_drop(check.certifiable, lower_bound),
        detectable=_true_drop(check.detectable, lower_bound),
        shown_limit=None,
        method="judge",
        note=f"{check.note}; {note}" if check.note else note,
    )


def _true_drop(drop: float | None, lower_bound: float) -> float | None:
    return None if drop is None or drop >= lower_bound else drop / lower_bound


def _clamp(value: float, low: float) -> float:
    return min(1.0, max(low, value))


def _true_rate(rate: float, found: tuple[IntervalEstimate, IntervalEstimate]) -> float:
    """Return the share of replies that are good if the judge grades the share *rate* as good."""
    sensitivity, specificity = found[0].value, found[1].value
    return _clamp((rate + specificity - 1) / (sensitivity + specificity - 1), 0.0)


def _drop_by_labels(
    plain: Check, before: Samples, after: Samples, evidence: JudgeEvidence, levels: Levels
) -> Check | None:
    """Return the drop check by the two-phase estimate; None with too few labels."""
    before, after = align(before, after)
    both = before.has_reply & after.has_reply
    before, after = before.select(both), after.select(both)
    changes: FloatArray = after.values - before.values
    change = _mean_by_labels(plain, after, changes, evidence.human_changes)
    if change is None:
        return None
    estimate = change[0]
    baseline = _mean_by_labels(plain, before, before.values, evidence.baseline_human_scores)
    rate = _clamp(baseline[0].mean if baseline else plain.before or 0.0, 0.0)
    p_pass, p_fail = estimate.p_above(-plain.limit), estimate.p_below(0.0)
    alone = f"the judge alone saw {points(float(np.mean(changes)))} points"
    check = _corrected(plain, change, alone, _drop_outcome(plain, estimate, levels), lowest=-1.0)
    after_rate = _clamp(rate + estimate.mean, 0.0)
    return replace(
        check, before=rate, after=after_rate, p_pass=p_pass, p_fail=p_fail, shown_limit=None
    )


def _drop_outcome(plain: Check, estimate: MeanEstimate, levels: Levels) -> Outcome:
    """Return the outcome of a drop check by *estimate*; see `drop_outcome`."""
    outcome = _outcome(estimate.p_above(-plain.limit), estimate.p_below(0.0), levels)
    is_beyond = levels.last and estimate.p_below(-plain.limit) <= levels.beyond
    if outcome is Outcome.FAILED and estimate.mean > ROUNDING - plain.limit:
        return Outcome.INCONCLUSIVE
    return Outcome.FAILED if is_beyond else outcome


def _corrected(
    plain: Check,
    corrected: tuple[MeanEstimate, int],
    alone: str,
    outcome: Outcome,
    lowest: float,
) -> Check:
    """Return *plain* with a mean corrected by labels; *alone* is what the judge alone shows."""
    estimate, label_count = corrected
    low, high = estimate.interval(CONFIDENCE)
    return replace(
        plain,
        outcome=outcome,
        after=_clamp(estimate.mean, 0.0),
        low=_clamp(low, lowest),
        high=_clamp(high, lowest),
        method="labels",
        needed=None,
        certifiable=None,
        note=f"corrected by {label_count} labels of these replies: {alone}",
    )


def _mean_by_labels(
    plain: Check, samples: Samples, values: FloatArray, labels: Mapping[str, float]
) -> tuple[MeanEstimate, int] | None:
    """Return the mean of *values* corrected by *labels*, and the number of labels; None if few."""
    labelled = [index for index, case_id in enumerate(samples.case_ids) if case_id in labels]
    is_plain_sample = samples.groups is None and samples.weights is None and not plain.missing
    if len(labelled) < MIN_CORRECTION_LABELS or not is_plain_sample:
        return None
    label_values = [labels[samples.case_ids[index]] for index in labelled]
    return two_phase_mean(values, label_values, labelled), len(labelled)


def _outcome(p_pass: float, p_fail: float, levels: Levels) -> Outcome:
    if p_pass <= levels.miss:
        return Outcome.PASSED
    return Outcome.FAILED if p_fail <= levels.alarm else Outcome.INCONCLUSIVE


# Minimums ---------------------------------------------------------------------------------------


def check_graded_minimum(
    evidence: JudgeEvidence, after: Samples, *, minimum: float, levels: Levels
) -> Check:
    """Return the minimum check of grades, corrected by human labels if there are enough."""
    plain = check_minimum(after, minimum=minimum, levels=levels)
    if not evidence.validations or evidence.error:
        return plain
    corrected = _minimum_by_labels(plain, after, evidence.human_scores, levels)
    if corrected or evidence.found_shares is None:
        return corrected or plain
    return _minimum_of_grades(plain, after, evidence.found_shares, levels)


def _minimum_of_grades(
    plain: Check, after: Samples, found: tuple[IntervalEstimate, IntervalEstimate], levels: Levels
) -> Check:
    """Return the minimum check with the minimum converted to a rate of the judge's grades."""
    strict, lenient = _grade_minimums(plain.limit, *found)
    strict_check, lenient_check = (
        check_minimum(after, minimum=minimum, levels=levels) for minimum in (strict, lenient)
    )
    outcome = Outcome.INCONCLUSIVE
    if strict_check.outcome is Outcome.PASSED:
        outcome = Outcome.PASSED
    elif lenient_check.outcome is Outcome.FAILED:
        outcome = Outcome.FAILED
    return replace(
        plain,
        outcome=outcome,
        after=_true_rate(plain.after, found),
        low=_true_rate(plain.low or 0.0, found),
        high=_true_rate(plain.high or 0.0, found),
        needed=strict_check.needed if outcome is Outcome.INCONCLUSIVE else None,
        method="judge",
        note=_minimum_note(plain, *found, strict),
    )


def _grade_minimums(
    minimum: float, sensitivity: IntervalEstimate, specificity: IntervalEstimate
) -> tuple[float, float]:
    """Return the rates of good grades that are certainly, and possibly, enough for *minimum*."""
    strict, lenient = (
        _clamp(minimum * true_positive + (1 - minimum) * (1 - true_negative), 0.0)
        for true_positive, true_negative in (
            (sensitivity.high, specificity.low),
            (sensitivity.low, specificity.high),
        )
    )
    return strict, lenient


def _minimum_note(
    plain: Check, sensitivity: IntervalEstimate, specificity: IntervalEstimate, strict: float
) -> str:
    return (
        f"of good replies the judge finds {percent(sensitivity.value)}, of bad "
        f"{percent(specificity.value)}; it calls {percent(plain.after)} good, "
        f"{percent(strict)} would reach the minimum"
    )


def _minimum_by_labels(
    plain: Check, after: Samples, human_scores: Mapping[str, float], levels: Levels
) -> Check | None:
    """Return the minimum check by the two-phase estimate; None with too few labels."""
    answered = after.select(after.has_reply)
    corrected = _mean_by_labels(plain, answered, answered.values, human_scores)
    if corrected is None:
        return None
    p_pass, p_fail = corrected[0].p_above(plain.limit), corrected[0].p_below(plain.limit)
    alone = f"the judge alone calls {percent(plain.after)} good"
    return _corrected(plain, corrected, alone, _outcome(p_pass, p_fail, levels), lowest=0.0)


# Validation -------------------------------------------------------------------------------------

#: With fewer labels, or fewer labels of good or of bad replies, a judge cannot be validated.
_MIN_LABELS, _MIN_LABELS_OF_A_KIND = 50, 10
#: A reply with at least this score counts as good.
_GOOD_SCORE = 0.5
#: A judge without a readable grade for a larger share of the replies is not qualified.
_MAX_UNREAD_SHARE = 0.05
#: A bias is reported if its p-value is below this.
_BIAS_ALPHA = 0.01

_LabelledGrades = Sequence[tuple[Label, JudgeGrades]]


def validate_judge(
    judge: Judge,
    labelled: _LabelledGrades,
    padded: Sequence[tuple[JudgeGrades, JudgeGrades]],
) -> JudgeValidation:
    """Return the validation of *judge* by human labels.

    *labelled* has each human label with the judge's grades of the same reply, *padded* the grades
    of bad replies and of the same replies with their text doubled.
    """
    validation = JudgeValidation(
        judge=judge.name,
        provider=judge.variant.provider,
        rubric=" ".join(judge.rubric.split())[:80],
        labels=len(labelled),
        minimum=judge.minimum,
        is_binary=judge.is_binary,
    )
    if not labelled:
        return validation
    readable = [(label, grades) for label, grades in labelled if grades.value is not None]
    validation = replace(validation, unread=len(labelled) - len(readable))
    if readable:
        validation = _with_metrics(validation, judge, readable, padded)
    error = next(_errors(validation, judge, labelled, readable), "")
    # A reader wants to know the agreement first, so the error always contains it.
    kappa_error = _minimum_error(validation, "kappa")
    if error and kappa_error and error != kappa_error:
        error = f"{error}; {kappa_error}"
    return replace(validation, error=error, warnings=tuple(_warnings(validation)))


def _with_metrics(
    validation: JudgeValidation,
    judge: Judge,
    readable: _LabelledGrades,
    padded: Sequence[tuple[JudgeGrades, JudgeGrades]],
) -> JudgeValidation:
    pairs = [(label.grade, _mean_grade(judge, grades)) for label, grades in readable]
    repeats = [grades.self_agreement for _, grades in readable]
    orders = [grades.consistent for _, grades in readable]
    length, length_p = _length_correlation(judge, readable)
    padded_values = [
        (once.value, doubled.value)
        for once, doubled in padded
        if once.value is not None and doubled.value is not None
    ]
    return replace(
        validation,
        agreement=_share([human == grade for human, grade in pairs]),
        kappa=_kappa(judge, pairs),
        sensitivity=None if judge.is_pairwise else _found_share(judge, pairs, good=True),
        specificity=None if judge.is_pairwise else _found_share(judge, pairs, good=False),
        consistency=_share([is_same for is_same in orders if is_same is not None]),
        repeats=_share([share for share in repeats if share is not None]),
        length=length,
        length_p=length_p,
        padded=len(padded_values),
        padded_up=sum(doubled > once for once, doubled in padded_values),
        padded_down=sum(doubled < once for once, doubled in padded_values),
    )


def _mean_grade(judge: Judge, grades: JudgeGrades) -> str:
    return judge.nearest_grade(grades.value or 0.0)


def _share(values: Sequence[float]) -> IntervalEstimate | None:
    """Return the mean of *values* (0 to 1) with its interval; None without values."""
    if not values:
        return None
    low, high = wilson(float(sum(values)), len(values), CONFIDENCE)
    return IntervalEstimate(
        value=mean(map(float, values)), low=float(low), high=float(high), n=len(values)
    )


def _found_share(
    judge: Judge, pairs: Sequence[tuple[str, str]], *, good: bool
) -> IntervalEstimate | None:
    """Return the share of good (or bad) replies, by human label, that the judge grades so too."""
    kinds = [
        (judge.grades[human] >= _GOOD_SCORE, judge.grades[grade] >= _GOOD_SCORE)
        for human, grade in pairs
    ]
    return _share([judge_good is good for human_good, judge_good in kinds if human_good is good])


def _kappa(judge: Judge, pairs: Sequence[tuple[str, str]]) -> IntervalEstimate:
    ranked = sorted(judge.grades, key=lambda grade: judge.grades[grade])
    human_ranks, judge_ranks = ([ranked.index(pair[i]) for pair in pairs] for i in (0, 1))
    weighted = len(ranked) > 2  # noqa: PLR2004 - with two grades, weights change nothing
    bounds = kappa_bounds(human_ranks, judge_ranks, len(ranked), weighted=weighted)
    value = cohen_kappa(human_ranks, judge_ranks, len(ranked), weighted=weighted)
    return IntervalEstimate(value=value, low=bounds.lower, high=bounds.upper, n=len(pairs))


def _length_correlation(
    judge: Judge, readable: _LabelledGrades
) -> tuple[float | None, float | None]:
    """Return the correlation of the judge's error with the reply's length, and its p-value.

    Errors and lengths are centred within each human grade: any judge that makes errors grades bad
    replies too high and good replies too low, whatever their length. Both are None with too few
    labels, and if all errors or all lengths are equal.
    """
    grade_values, lengths, kinds = [], [], 0
    for grade in judge.grades:
        same_label = [(label, grades) for label, grades in readable if label.grade == grade]
        kinds += bool(same_label)
        grade_values += _centred([grades.value or 0.0 for _, grades in same_label])
        sizes = [len(label.reply) - len(label.second_reply or "") for label, _ in same_label]
        lengths += _centred(_ranks(sizes))
    errors, ranks = np.array(grade_values), np.array(lengths)
    freedom = len(grade_values) - kinds - 1
    spread = float(np.sqrt(np.sum(errors**2) * np.sum(ranks**2)))
    if len(readable) < _MIN_LABELS or not spread:
        return None, None
    r = float(np.clip(np.sum(errors * ranks) / spread, -1.0, 1.0))
    unexplained = max(1 - r**2, np.finfo(float).tiny)
    return r, 2 * float(stdtr(freedom, -abs(r) * np.sqrt(freedom / unexplained)))


def _centred(values: Sequence[float]) -> list[float]:
    middle = mean(values) if values else 0.0
    return [value - middle for value in values]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value, scaled to 0 to 1; equal values have the same rank."""
    ranked = sorted(values)
    last = max(1, len(values) - 1)
    return [(bisect_left(ranked, v) + bisect_right(ranked, v) - 1) / 2 / last for v in values]


def _errors(
    validation: JudgeValidation,
    judge: Judge,
    labelled: _LabelledGrades,
    readable: _LabelledGrades,
) -> Iterator[str]:
    """Yield the reasons why the judge is not qualified, the most important first."""
    if validation.unread > _MAX_UNREAD_SHARE * validation.labels:
        first = next(grades.unreadable[0] for _, grades in labelled if grades.value is None)
        count = f"{validation.unread} of {validation.labels} cases"
        yield f"it gave no grade in {count}, the first: {first.reason}"
    is_good = [judge.grades[label.grade] >= _GOOD_SCORE for label, _ in labelled]
    rarer = min(sum(is_good), len(is_good) - sum(is_good))
    if validation.labels < _MIN_LABELS or rarer < _MIN_LABELS_OF_A_KIND:
        yield (
            f"{validation.labels} labels, {rarer} of the rarer kind, do not examine it; at least "
            f"{_MIN_LABELS} are needed, {_MIN_LABELS_OF_A_KIND} of either kind"
        )
    given = {_mean_grade(judge, grades) for _, grades in readable}
    if len(given) == 1:
        yield f'it says "{given.pop()}" of all {len(readable)} labelled replies'
    yield from filter(None, (_minimum_error(validation, metric) for metric in JUDGE_METRICS))


def _minimum_error(validation: JudgeValidation, metric: str) -> str:
    """Return an error if the interval of *metric* does not reach the required minimum, else ""."""
    estimate, minimum = getattr(validation, metric), validation.minimum.get(metric)
    if minimum is None:
        return ""
    if estimate is None:
        return f"its {metric} is not known, minimum {minimum:.2f}"
    if estimate.low >= minimum:
        return ""
    interval = f"({estimate.low:.2f} to {estimate.high:.2f})"
    return f"{metric} {estimate.value:.2f} {interval}, minimum {minimum:.2f}"


def _warnings(validation: JudgeValidation) -> Iterator[str]:
    length, p = validation.length, validation.length_p
    # The p-value of a judge that follows the length alone is 0.
    if length is not None and p is not None and p < _BIAS_ALPHA:
        favoured = "longer" if length > 0 else "shorter"
        correlation = f"rank correlation {length:+.2f} with its error"
        yield f"it favours {favoured} replies ({correlation})"
    up, moved = validation.padded_up, validation.padded_up + validation.padded_down
    p_up = float(binomial_sf(up - 1, moved, 0.5)) if up else 1.0
    if p_up < _BIAS_ALPHA:
        better = f"{up} of {validation.padded} bad replies got a better grade"
        yield f"{better} when its text was doubled"
    repeats, consistency = validation.repeats, validation.consistency
    if repeats is not None and repeats.value < 1 - 2 * _MAX_UNREAD_SHARE:
        yield f"two samples of it agree in {percent(repeats.value)}"
    if consistency is not None and consistency.value < 1 - 2 * _MAX_UNREAD_SHARE:
        yield f"both orders agree in {percent(consistency.value)}"
