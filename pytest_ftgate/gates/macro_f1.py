"""Checks of macro-F1, the mean F1 over the labels: minimum and drop.

Macro-F1 is no mean over cases, but close to one of what each case adds to it. The tests of graded
scores apply to these values. Rules and error rates: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.checks import DropRule, check_drop, check_minimum
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.feasibility import macro_f1_shortage
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.figures import Rating, rate_figure
from pytest_ftgate.gates.samples import FloatArray, Samples, align, samples_from_values
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.scoring.classification import LabelPredictions, label_predictions, macro_f1
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import PairedCounts
from pytest_ftgate.stats.rates import MeanScore


def check_macro_drop(
    before: VariantScores, after: VariantScores, labels: Sequence[str], rule: DropRule
) -> Check:
    """Compare the macro-F1 of two variants on their shared cases."""
    then, now = (label_predictions(scores, labels) for scores in (before, after))
    old, new = align(_samples(before, then), _samples(after, now))

    def pairing(before: Samples, after: Samples) -> PairedCounts:
        return macro_f1_pairs(_imputed(then, before), _imputed(now, after))

    rule = replace(rule, guess_rate=1 / len(labels), pairing=pairing)
    check = check_drop(old, new, rule)
    return check if check.is_unchanged else _if_enough(check, now, new)


def check_macro_minimum(
    after: VariantScores, labels: Sequence[str], *, minimum: float, levels: Levels
) -> Check:
    """Compare the macro-F1 of one variant with a minimum."""
    predictions = label_predictions(after, labels)
    samples = _samples(after, predictions)
    check = check_minimum(samples, minimum=minimum, levels=levels, rating=_rating(predictions))
    return _if_enough(check, predictions, samples)


def macro_f1_figure(scores: VariantScores, labels: Sequence[str]) -> Figure:
    """Return the macro-F1 of one variant over the cases with a reply."""
    predictions = label_predictions(scores, labels)
    return rate_figure(_samples(scores, predictions), _rating(predictions), method="f1")


def macro_f1_pairs(before: LabelPredictions, after: LabelPredictions) -> PairedCounts:
    """Return the paired counts of the macro-F1 of two variants, with a reply to every case."""
    then, now = macro_f1(before), macro_f1(after)
    right = [side.predicted == side.expected for side in (before, after)]
    units = _units(after)
    return PairedCounts(
        n=float(len(after.case_ids)),
        delta=now.value - then.value,
        fixed=float(np.count_nonzero(right[1] & ~right[0])),
        regressed=float(np.count_nonzero(right[0] & ~right[1])),
        effective=float(len(after.case_ids)),
        countable=False,
        spread=_spread(now.influence - then.influence, units),
        largest=_average_unit(now.weights, units),
        groups=None if after.groups is None else int(units.max()) + 1,
        before=then.value,
        after=now.value,
    )


def macro_f1_score(predictions: LabelPredictions) -> MeanScore:
    """Return the macro-F1 of one variant, with a reply to every case."""
    found, units = macro_f1(predictions), _units(predictions)
    return MeanScore(
        n=len(predictions.case_ids),
        rate=found.value,
        countable=False,
        spread=_spread(found.influence, units),
        largest=_average_unit(found.weights, units),
        groups=None if predictions.groups is None else int(units.max()) + 1,
    )


def _rating(predictions: LabelPredictions) -> Rating:
    return lambda samples: macro_f1_score(_imputed(predictions, samples))


def _imputed(predictions: LabelPredictions, samples: Samples) -> LabelPredictions:
    """Return the predictions of *samples*, whose values are imputed where replies are missing."""
    return predictions.at_cases(samples.case_ids, right=samples.values == 1.0)


def _samples(scores: VariantScores, predictions: LabelPredictions) -> Samples:
    """Return, for each case that expects a label, whether the first reply has it."""
    expects_label = np.isin(scores.case_ids, predictions.case_ids)
    values = np.full(expects_label.size, np.nan)
    is_right = predictions.predicted == predictions.expected
    values[expects_label] = np.where(predictions.has_reply, is_right, np.nan)
    return samples_from_values(scores, values).select(expects_label)


def _units(predictions: LabelPredictions) -> NDArray[np.intp]:
    """Return the number of the group of each case, or of the case itself, from 0."""
    if predictions.groups is None:
        return np.arange(len(predictions.case_ids))
    return np.unique(predictions.groups, return_inverse=True)[1]


def _spread(influence: FloatArray, units: NDArray[np.intp]) -> float:
    """Return the variance of what the cases add, robust to groups."""
    sums = np.bincount(units, influence)
    factor = sums.size / max(sums.size - 1.0, 1.0)
    return float(np.sum(sums**2)) / influence.size * factor


def _average_unit(weights: FloatArray, units: NDArray[np.intp]) -> float:
    """Return the weight of the unit of a case, averaged over the weight.

    The unseen losses that a hypothesis supposes come in units of this weight.
    """
    return float(np.sum(np.bincount(units, weights) ** 2)) / weights.size


def _if_enough(check: Check, predictions: LabelPredictions, samples: Samples) -> Check:
    """Return *check*, inconclusive if the cases of *samples* are too few for macro-F1."""
    chosen = _imputed(predictions, samples)
    names = [chosen.labels[index] for index in chosen.expected]
    shortage = macro_f1_shortage(zip(names, _units(chosen).tolist(), strict=True))
    check = replace(check, method="f1")
    if shortage is None:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, p_half=None, notes=(shortage,))
