"""Metrics of classification: precision, recall and F1 by label, confusions, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.scoring.label_metrics import LabelMetrics
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.scoring.text_scorers import find_label
from pytest_ftgate.suite.model import Case


@dataclass(frozen=True, slots=True)
class LabelPredictions:
    """The expected and the predicted label of each of n cases, as indexes of *labels*.

    Attributes:
        expected: of shape (n,).
        predicted: of shape (n,); ``len(labels)`` for a reply that is no label, -1 for no reply.
        groups: of shape (n,), the groups of related cases, or None.
    """

    labels: tuple[str, ...]
    case_ids: tuple[str, ...]
    expected: NDArray[np.intp]
    predicted: NDArray[np.intp]
    groups: NDArray[np.str_] | None = None

    @property
    def has_reply(self) -> NDArray[np.bool_]:
        """For each case, whether it has a reply."""
        return np.asarray(self.predicted >= 0)

    def select(self, mask: NDArray[np.bool_]) -> LabelPredictions:
        """Return the cases for which *mask*, of shape (n,), is true."""
        return self._at(np.flatnonzero(mask))

    def shared_with(self, other: LabelPredictions) -> LabelPredictions:
        """Return the cases that *other* also has, in the order of their ids."""
        shared = set(self.case_ids) & set(other.case_ids)
        ordered = sorted((id_, index) for index, id_ in enumerate(self.case_ids) if id_ in shared)
        return self._at(np.array([index for _, index in ordered], dtype=np.intp))

    def _at(self, indexes: NDArray[np.intp]) -> LabelPredictions:
        return LabelPredictions(
            self.labels,
            tuple(self.case_ids[index] for index in indexes),
            self.expected[indexes],
            self.predicted[indexes],
            None if self.groups is None else self.groups[indexes],
        )

    def impute_missing(self, *, right: bool) -> LabelPredictions:
        """Return a copy where each missing reply counts as correct, or as no label."""
        imputed = self.expected if right else np.full_like(self.predicted, len(self.labels))
        return replace(self, predicted=np.where(self.has_reply, self.predicted, imputed))


def label_predictions(scores: VariantScores, labels: Sequence[str]) -> LabelPredictions:
    """Return the expected and the predicted label of each case; the first reply counts.

    If a case accepts several labels, the first one is the expected one, and a reply with another
    accepted label counts as the first one. Cases that expect no label are left out.
    """
    indexes = {label: index for index, label in enumerate(labels)}
    rows = [
        (case_id, indexes[accepted[0]], _predicted(result, accepted, indexes), result.case.group)
        for case_id, result in scores.results.items()
        for accepted in [[answer for answer in _answers(result.case) if answer in indexes]]
        if accepted
    ]
    has_groups = any(result.case.group for result in scores.results.values())
    # A case without a group is a group of its own.
    groups = [group or f"\0{case_id}" for case_id, _, _, group in rows] if has_groups else None
    return LabelPredictions(
        tuple(labels),
        tuple(case_id for case_id, _, _, _ in rows),
        np.array([expected for _, expected, _, _ in rows], dtype=np.intp),
        np.array([predicted for _, _, predicted, _ in rows], dtype=np.intp),
        None if groups is None else np.array(groups, dtype=np.str_),
    )


def _predicted(result: CaseResult, accepted: Sequence[str], indexes: Mapping[str, int]) -> int:
    if not result.replies:
        return -1
    synonyms = result.case.score.options.get("synonyms")
    label = find_label(result.replies[0].text, indexes, synonyms)
    return indexes[accepted[0]] if label in accepted else indexes.get(label, len(indexes))


def _answers(case: Case) -> list[str]:
    return [str(answer) for answer in case.answers if answer is not None]


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
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    indexes = range(len(predictions.labels) + 1)
    both = (predictions.expected, predictions.predicted)
    table = confusion_matrix(*both, labels=indexes)
    rates = precision_recall_fscore_support(*both, labels=indexes, zero_division=0.0)
    names, by_label = (*predictions.labels, "no label"), []
    for index, (precision, recall, f1, n) in enumerate(zip(*rates, strict=True)):
        by_label.append(
            LabelMetrics(
                label=names[index],
                n=int(n),
                precision=float(precision),
                recall=float(recall),
                f1=float(f1),
                taken_for=_taken_for(names, table[index], names[index]),
                f1_before=f1_before.get(names[index]),
            )
        )
    expected = (metrics for metrics in by_label if metrics.n)
    return tuple(sorted(expected, key=lambda m: (m.f1 - (m.f1_before or 0.0), m.label)))


def _taken_for(
    names: Sequence[str], predicted_counts: NDArray[np.intp], label: str
) -> dict[str, int]:
    """Return how often each label other than *label* was predicted, the most frequent first."""
    pairs = zip(names, predicted_counts, strict=True)
    counts = Counter({name: int(count) for name, count in pairs if count})
    del counts[label]
    return dict(counts.most_common())


def macro_f1(predictions: LabelPredictions, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 over the labels that a case expects, of shape (r,).

    *counts*, of shape (r, n), is how often each case counts: one row for each resample.
    """
    labels = np.unique(predictions.expected)
    expected, predicted = (
        indexes[:, None] == labels for indexes in (predictions.expected, predictions.predicted)
    )
    hits = np.asarray(expected & predicted, np.float64)
    twice_hits = 2.0 * (counts @ hits)
    total = counts @ (np.asarray(expected, np.float64) + np.asarray(predicted, np.float64))
    # As in scikit-learn, a label that a resample neither expects nor predicts counts as 0.
    return np.asarray(np.mean(twice_hits / np.maximum(total, 1e-12), axis=1))


def cohen_kappa(
    first: Sequence[int], second: Sequence[int], grades: int, *, weighted: bool
) -> float:
    """Return Cohen's kappa of two raters; 0 if both give one and the same grade to everything.

    *first* and *second* are indexes from 0 up, in the order of the grades; *grades* is the number
    of possible grades. If *weighted*, a disagreement counts by the square of its distance.
    """
    if len({*first, *second}) == 1:
        return 0.0
    from sklearn.metrics import cohen_kappa_score

    weights = "quadratic" if weighted else None
    return float(cohen_kappa_score(first, second, labels=[*range(grades)], weights=weights))
