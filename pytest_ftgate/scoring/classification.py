"""Metrics of classification: precision, recall and F1 by label, confusions, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.scoring.score import NO_LABEL, LabelMetrics
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.scoring.text_scorers import find_label


@dataclass(frozen=True, slots=True)
class LabelPredictions:
    """The expected and the predicted label of each of n cases, as indexes of *labels*.

    Attributes:
        expected: of shape (n,).
        predicted: of shape (n,); ``len(labels)`` for a reply that is no label, -1 for no reply.
        groups: of shape (n,), the numbers of the groups of related cases, or None.
    """

    labels: tuple[str, ...]
    case_ids: tuple[str, ...]
    expected: NDArray[np.intp]
    predicted: NDArray[np.intp]
    groups: NDArray[np.intp] | None = None

    @property
    def has_reply(self) -> NDArray[np.bool_]:
        """For each case, whether it has a reply."""
        return np.asarray(self.predicted >= 0)

    def select(self, mask: NDArray[np.bool_]) -> LabelPredictions:
        """Return the cases for which *mask*, of shape (n,), is true."""
        return self._at(np.flatnonzero(mask))

    def at_cases(self, case_ids: Sequence[str], *, right: NDArray[np.bool_]) -> LabelPredictions:
        """Return the cases *case_ids*, of shape (m,).

        A missing reply counts as correct where *right*, of shape (m,), is true, and else as no
        label.
        """
        index_of = {case_id: index for index, case_id in enumerate(self.case_ids)}
        chosen = self._at(np.array([index_of[case_id] for case_id in case_ids], dtype=np.intp))
        imputed = np.where(right, chosen.expected, len(self.labels))
        return replace(chosen, predicted=np.where(chosen.has_reply, chosen.predicted, imputed))

    def _at(self, indexes: NDArray[np.intp]) -> LabelPredictions:
        return LabelPredictions(
            self.labels,
            tuple(self.case_ids[index] for index in indexes),
            self.expected[indexes],
            self.predicted[indexes],
            None if self.groups is None else self.groups[indexes],
        )


def label_predictions(scores: VariantScores, labels: Sequence[str]) -> LabelPredictions:
    """Return the expected and the predicted label of each case; the first reply counts.

    If a case accepts several labels, the first one is the expected one, and a reply with another
    accepted label counts as the first one. Cases that expect no label are left out.
    """
    indexes = {label: index for index, label in enumerate(labels)}
    rows = [
        (number, indexes[label], _predicted(result, label, indexes))
        for number, result in enumerate(scores.case_results)
        for label in [result.case.expected_label(indexes)]
        if label is not None
    ]
    numbers, expected, predicted = np.array(rows, np.intp).reshape(-1, 3).T
    groups = scores.facts.group_numbers
    return LabelPredictions(
        tuple(labels),
        tuple(scores.case_ids[number] for number in numbers),
        expected,
        predicted,
        None if groups is None else groups[numbers],
    )


def _predicted(result: CaseResult, expected: str, indexes: Mapping[str, int]) -> int:
    if not result.replies:
        return -1
    synonyms = result.case.score.options.get("synonyms")
    label = find_label(result.replies[0].text, indexes, synonyms)
    is_accepted = label in {str(answer) for answer in result.case.answers if answer is not None}
    return indexes[expected] if is_accepted else indexes.get(label, len(indexes))


def label_metrics(
    predictions: LabelPredictions, before: LabelPredictions | None = None
) -> tuple[LabelMetrics, ...]:
    """Return the metrics of each label that a case expects, the largest loss of F1 first.

    Without *before*, the predictions of the variant compared with, the lowest F1 comes first.
    """
    predictions = predictions.select(predictions.has_reply)
    if not predictions.case_ids:
        return ()
    f1_before = {metrics.label: metrics.f1 for metrics in label_metrics(before)} if before else {}
    names = (*predictions.labels, NO_LABEL)
    table = count_pairs(predictions)
    by_label = (
        LabelMetrics(
            label=name,
            n=int(table[index].sum()),
            precision=_ratio(table[index, index], table[:, index].sum()),
            recall=_ratio(table[index, index], table[index].sum()),
            f1=_ratio(2 * table[index, index], table[index].sum() + table[:, index].sum()),
            taken_for=_taken_for(names, table[index], name),
            f1_before=f1_before.get(name),
        )
        for index, name in enumerate(names)
    )
    expected = (metrics for metrics in by_label if metrics.n)
    return tuple(sorted(expected, key=lambda m: (m.f1 - (m.f1_before or 0.0), m.label)))


# Only tests use scikit-learn's metrics, which are slow to import.
def count_pairs(predictions: LabelPredictions) -> NDArray[np.intp]:
    """Return how often each pair of labels occurs if every case has a reply.

    The shape is (k + 1, k + 1) for k labels; the last row and column are those of no label.
    """
    size = len(predictions.labels) + 1
    pairs = predictions.expected * size + predictions.predicted
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def _ratio(part: np.intp | int, whole: np.intp | int) -> float:
    return float(part / whole) if whole else 0.0


def _taken_for(
    names: Sequence[str], predicted_counts: NDArray[np.intp], label: str
) -> dict[str, int]:
    """Return how often each label other than *label* was predicted, the most frequent first."""
    counted = enumerate(predicted_counts.tolist())
    counts = Counter({names[index]: count for index, count in counted if count})
    del counts[label]
    return dict(counts.most_common())


class MacroF1(NamedTuple):
    """The mean F1 over the labels that a case expects, and what each case adds to it.

    Attributes:
        influence: of shape (n,), with mean 0. Macro-F1 is close to a mean over cases: the spread of
            its error is that of the mean of these values (linearization, or delta method).
        weights: of shape (n,), with mean 1: the weights with which each label counts the same.
    """

    value: float
    influence: NDArray[np.float64]
    weights: NDArray[np.float64]


def macro_f1(predictions: LabelPredictions) -> MacroF1:
    """Return the macro-F1 of predictions in which every case has a reply; at least one case."""
    labels, positions, sizes = np.unique(
        predictions.expected, return_inverse=True, return_counts=True
    )
    expected, predicted = (
        np.asarray(indexes[:, None] == labels, np.float64)
        for indexes in (predictions.expected, predictions.predicted)
    )
    hits, totals = expected * predicted, expected + predicted
    total = totals.sum(axis=0)
    f1 = 2.0 * hits.sum(axis=0) / total
    # The derivative of the mean of the ratios 2 x hits / total by how much each case counts.
    slopes = ((2.0 * hits - f1 * totals) / total).mean(axis=1)
    cases = len(predictions.case_ids)
    return MacroF1(float(f1.mean()), cases * slopes, cases / labels.size / sizes[positions])
