"""Metrics of classification: precision, recall and F1 by label, confusions, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """

    labels: tuple[str, ...]
    case_ids: tuple[str, ...]
    expected: NDArray[np.intp]
    predicted: NDArray[np.intp]

    @property
    def has_reply(self) -> NDArray[np.bool_]:
        """For each case, whether it has a reply."""
        return np.asarray(self.predicted >= 0)

    def select(self, mask: NDArray[np.bool_]) -> LabelPredictions:
        """Return the cases for which *mask*, of shape (n,), is true."""
        names = tuple(name for name, is_kept in zip(self.case_ids, mask, strict=True) if is_kept)
        return LabelPredictions(self.labels, names, self.expected[mask], self.predicted[mask])


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
    return LabelPredictions(
        tuple(labels),
        tuple(scores.case_ids[number] for number in numbers),
        expected,
        predicted,
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
