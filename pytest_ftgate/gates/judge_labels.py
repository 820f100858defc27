"""Human labels of replies that a judge grades: they validate the judge."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np
from scipy.special import stdtr

from pytest_ftgate.gates.design import CONFIDENCE
from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.scoring.judges import JudgeGrades
from pytest_ftgate.stats.proportions import binomial_sf, wilson
from pytest_ftgate.stats.resampling import kappa_bounds
from pytest_ftgate.suite.model import JUDGE_METRICS, Judge, Label

#: With fewer labels, or fewer labels of good or of bad replies, a judge cannot be validated.
_MIN_LABELS, _MIN_LABELS_OF_A_KIND = 50, 10
#: A reply with at least this score counts as good.
_GOOD_SCORE = 0.5
#: A judge without a readable grade for a larger share of the replies is not qualified.
_MAX_UNREAD_SHARE = 0.05
#: A bias is reported if its p-value is below this.
_BIAS_ALPHA = 0.01

_LabelledGrades = Sequence[tuple[Label, JudgeGrades]]
#: The grades of replies, and of the same replies with their text doubled.
_PaddedGrades = Sequence[tuple[JudgeGrades, JudgeGrades]]


def validate_judge(
    judge: Judge, labelled: _LabelledGrades, padded: _PaddedGrades
) -> JudgeValidation:
    """Return the validation of *judge* by human labels.

    *labelled* has each human label with the judge's grades of the same reply, *padded* the grades
    of bad replies and of the same replies with their text doubled.
    """
    readable = [(label, grades) for label, grades in labelled if grades.value is not None]
    validation = JudgeValidation(
        judge=judge.name,
        provider=judge.variant.provider,
        rubric=" ".join(judge.rubric.split())[:80],
        labels=len(labelled),
        unread=len(labelled) - len(readable),
        minimum=judge.minimum,
        is_binary=judge.is_binary,
        **(_metrics(judge, readable, padded) if readable else {}),
    )
    if not labelled:
        return validation
    # A reader wants to know the agreement first, so the errors always contain it.
    kappa_errors = [*_minimum_errors(validation, "kappa")]
    errors = [*_errors(validation, judge, labelled, readable)][:1]
    errors += [error for error in kappa_errors if errors and error not in errors]
    return replace(validation, errors=tuple(errors), warnings=tuple(_warnings(validation)))


def _metrics(judge: Judge, readable: _LabelledGrades, padded: _PaddedGrades) -> dict[str, Any]:
    """Return the figures of a validation, by field."""
    pairs = [(label.grade, judge.nearest_grade(grades.value or 0.0)) for label, grades in readable]
    repeats = [grades.self_agreement for _, grades in readable]
    orders = [grades.consistent for _, grades in readable]
    length, length_p = _length_correlation(judge, readable)
    padded_values = [
        (once.value, doubled.value)
        for once, doubled in padded
        if once.value is not None and doubled.value is not None
    ]
    return {
        "agreement": _share([human == grade for human, grade in pairs]),
        "kappa": _kappa(judge, pairs),
        "sensitivity": None if judge.is_pairwise else _found_share(judge, pairs, good=True),
        "specificity": None if judge.is_pairwise else _found_share(judge, pairs, good=False),
        "consistency": _share([is_same for is_same in orders if is_same is not None]),
        "repeats": _share([share for share in repeats if share is not None]),
        "length": length,
        "length_p": length_p,
        "padded": len(padded_values),
        "padded_up": sum(doubled > once for once, doubled in padded_values),
        "padded_down": sum(doubled < once for once, doubled in padded_values),
    }


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
    # Of two grades, weights change nothing.
    bounds = kappa_bounds(human_ranks, judge_ranks, len(ranked))
    return IntervalEstimate(
        value=bounds.estimate, low=bounds.lower, high=bounds.upper, n=len(pairs)
    )


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
    r = float(np.sum(errors * ranks)) / spread
    unexplained = max(1 - r**2, np.finfo(float).eps)
    return r, 2 * float(stdtr(freedom, -abs(r) * np.sqrt(freedom / unexplained)))


def _centred(values: Sequence[float]) -> list[float]:
    middle = mean(values) if values else 0.0
    return [value - middle for value in values]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return twice the rank of each value, over the last one; equal values have the same rank."""
    ranked = sorted(values)
    last = max(1, len(values) - 1)
    return [(bisect_left(ranked, v) + bisect_right(ranked, v)) / last for v in values]


def _errors(
    validation: JudgeValidation, judge: Judge, labelled: _LabelledGrades, readable: _LabelledGrades
) -> Iterator[Note]:
    """Yield the reasons why the judge is not qualified, the most important first."""
    if validation.unread > _MAX_UNREAD_SHARE * validation.labels:
        first = next(grades.unreadable[0] for _, grades in labelled if grades.value is None)
        yield note(
            NoteKind.GAVE_NO_GRADE, n=validation.unread, of=validation.labels, first=first.reason
        )
    is_good = [judge.grades[label.grade] >= _GOOD_SCORE for label, _ in labelled]
    rarer = min(sum(is_good), len(is_good) - sum(is_good))
    if validation.labels < _MIN_LABELS or rarer < _MIN_LABELS_OF_A_KIND:
        needed = {"needed": _MIN_LABELS, "needed_of_a_kind": _MIN_LABELS_OF_A_KIND}
        yield note(NoteKind.FEW_LABELS, n=validation.labels, rarer=rarer, **needed)
    given = {judge.nearest_grade(grades.value or 0.0) for _, grades in readable}
    if len(given) == 1:
        yield note(NoteKind.SAME_OF_LABELLED, grade=given.pop(), n=len(readable))
    for metric in JUDGE_METRICS:
        yield from _minimum_errors(validation, metric)


def _minimum_errors(validation: JudgeValidation, metric: str) -> Iterator[Note]:
    """Yield an error if the interval of *metric* does not reach the required minimum."""
    estimate, minimum = getattr(validation, metric), validation.minimum.get(metric)
    if minimum is not None and estimate is None:
        yield note(NoteKind.METRIC_UNKNOWN, metric=metric, minimum=minimum)
    elif minimum is not None and estimate.low < minimum:
        found = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
        yield note(NoteKind.METRIC_BELOW, metric=metric, **found, minimum=minimum)


def _warnings(validation: JudgeValidation) -> Iterator[Note]:
    judge, length, p = validation.judge, validation.length, validation.length_p
    # The p-value of a judge that follows the length alone is 0.
    if length is not None and p is not None and p < _BIAS_ALPHA:
        favoured = "longer" if length > 0 else "shorter"
        yield note(
            NoteKind.FAVOURS_LENGTH, judge=judge, favoured=favoured, correlation=float(length)
        )
    up, moved = validation.padded_up, validation.padded_up + validation.padded_down
    if binomial_sf(up - 1, moved, 0.5) < _BIAS_ALPHA:
        yield note(NoteKind.FAVOURS_PADDING, judge=judge, n=up, of=validation.padded)
    for kind, estimate in (
        (NoteKind.SAMPLES_AGREE, validation.repeats),
        (NoteKind.ORDERS_AGREE, validation.consistency),
    ):
        if estimate is not None and estimate.value < 1 - 2 * _MAX_UNREAD_SHARE:
            yield note(kind, judge=judge, share=estimate.value)
