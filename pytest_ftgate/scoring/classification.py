"""Precision, recall, F1 and confusions by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.scoring.scores import Column, Row
from pytest_ftgate.scoring.text_scorers import said_label
from pytest_ftgate.suite.model import Case

__all__ = ["Guess", "LabelRate", "guesses", "kappa", "label_rates", "macro_f1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRate:
    """How well one label is told from the others; rates are shares, 0 to 1.

    Attributes:
        n: cases that expect it.
        taken_for: how often each other label was said in its place, the commonest first.
        f1_before: the F1 of the side compared with, where there is one.
    """

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    taken_for: Mapping[str, int] = field(default_factory=dict)
    f1_before: float | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """What was expected and what was said, as places in *labels*; both of shape (n,).

    A reply that is no label stands at the place after the last one, no reply at -1. *keys* are
    the cases; *groups*, of shape (n,), those that are related, or None.
    """

    labels: tuple[str, ...]
    keys: tuple[str, ...]
    expected: NDArray[np.intp]
    said: NDArray[np.intp]
    groups: NDArray[np.str_] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where a reply came."""
        return np.asarray(self.said >= 0)

    def where(self, chosen: NDArray[np.bool_]) -> Guess:
        """Return the cases that are *chosen*, of shape (n,)."""
        groups = None if self.groups is None else self.groups[chosen]
        keys = tuple(compress(self.keys, chosen))
        return Guess(self.labels, keys, self.expected[chosen], self.said[chosen], groups)

    def among(self, other: Guess) -> Guess:
        """Return the cases that *other* has too, in the order of their names."""
        both = set(self.keys) & set(other.keys)
        order = sorted((key, index) for index, key in enumerate(self.keys) if key in both)
        at = np.array([index for _, index in order], dtype=np.intp)
        groups = None if self.groups is None else self.groups[at]
        keys = tuple(key for key, _ in order)
        return Guess(self.labels, keys, self.expected[at], self.said[at], groups)

    def filled(self, *, right: bool) -> Guess:
        """Return it with every reply that did not come taken for right, or for no label."""
        filling = self.expected if right else np.full_like(self.said, len(self.labels))
        return replace(self, said=np.where(self.known, self.said, filling))


def guesses(column: Column, labels: Sequence[str]) -> Guess:
    """Return the labels that the first reply of each case expects and says.

    Of several answers that are right the first one counts, and any of them is read as it. Cases
    that expect no label are left out.
    """
    place = {label: index for index, label in enumerate(labels)}
    told = [
        (key, place[right[0]], _said(row, right, place), row.case.group or f"\0{key}")
        for key, row in column.rows.items()
        for right in [[answer for answer in _answers(row.case) if answer in place]]
        if right
    ]
    expected, said = (np.array([one[at] for one in told], dtype=np.intp) for at in (1, 2))
    related = any(row.case.group for row in column.rows.values())
    groups = np.array([one[3] for one in told], dtype=np.str_) if related else None
    return Guess(tuple(labels), tuple(one[0] for one in told), expected, said, groups)


def _said(row: Row, right: Sequence[str], place: Mapping[str, int]) -> int:
    if not row.replies:
        return -1
    said = said_label(row.replies[0].text, place, row.case.score.options.get("synonyms"))
    return place[right[0]] if said in right else place.get(said, len(place))


def _answers(case: Case) -> list[str]:
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    return [str(answer) for answer in answers if answer is not None]


def label_rates(guess: Guess, before: Guess | None = None) -> tuple[LabelRate, ...]:
    """Return the rates of each label that a case expects, the greatest loss of F1 first.

    Args:
        guess: what a variant said.
        before: what the side compared with said; without it the worst F1 comes first.
    """
    guess = guess.where(guess.known)
    if not guess.keys:
        return ()
    was = {one.label: one.f1 for one in label_rates(before)} if before else {}
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    every = range(len(guess.labels) + 1)
    told = (guess.expected, guess.said)
    table = confusion_matrix(*told, labels=every)
    rates = precision_recall_fscore_support(*told, labels=every, zero_division=0.0)
    names, found = (*guess.labels, "no label"), []
    for index, (precision, recall, f1, n) in enumerate(zip(*rates, strict=True)):
        others = Counter({n: int(c) for n, c in zip(names, table[index], strict=True) if c})
        del others[names[index]]
        found.append(
            LabelRate(
                label=names[index],
                n=int(n),
                precision=float(precision),
                recall=float(recall),
                f1=float(f1),
                taken_for=dict(others.most_common()),
                f1_before=was.get(names[index]),
            )
        )
    wanted = (one for one in found if one.n)
    return tuple(sorted(wanted, key=lambda one: (one.f1 - (one.f1_before or 0.0), one.label)))


def macro_f1(guess: Guess, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 over the labels that a case expects, shape (r,).

    Args:
        guess: n cases.
        counts: how often each case is counted, shape (r, n): one row for each resample.
    """
    labels = np.unique(guess.expected)
    wanted, said = (one[:, None] == labels for one in (guess.expected, guess.said))
    hits, either = (np.asarray(one, np.float64) for one in (wanted & said, wanted))
    twice = 2.0 * (counts @ hits)
    total = counts @ (either + np.asarray(said, np.float64))
    # A label that a resample neither wants nor says counts as 0, as scikit-learn has it.
    return np.asarray(np.mean(twice / np.maximum(total, 1e-12), axis=1))


def kappa(one: Sequence[int], other: Sequence[int], grades: int, *, weighted: bool) -> float:
    """Return Cohen's kappa of two raters; 0 where neither ever says another thing.

    Args:
        one: places of grades from 0 up, in their order.
        other: the same of the other rater.
        grades: how many there are.
        weighted: a disagreement counts by the square of its distance.
    """
    if len({*one, *other}) == 1:
        return 0.0
    from sklearn.metrics import cohen_kappa_score

    weights = "quadratic" if weighted else None
    return float(cohen_kappa_score(one, other, labels=[*range(grades)], weights=weights))
