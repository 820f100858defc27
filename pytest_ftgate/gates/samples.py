"""Samples: one value for each case, as input of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.scoring.case_facts import number_groups
from pytest_ftgate.scoring.scores import CaseResult, VariantScores, digest_replies
from pytest_ftgate.suite.gate_kinds import balanced_weights

FloatArray = NDArray[np.float64]
#: The values of *VariantScores* by kind of sample.
_VALUES: Mapping[str, Callable[[VariantScores], FloatArray]] = {
    "accuracy": lambda scores: scores.correct,
    "balanced": lambda scores: scores.correct,
    "format": lambda scores: scores.valid,
    "lenient": lambda scores: scores.lenient_valid,
}


class CaseSample(NamedTuple):
    """The sample of one case.

    Attributes:
        value: the mean score over the repeats, 0 to 1, or None without a reply.
        repeats: the number of replies.
        replies_digest: a digest of the requests and the replies.
        group: cases of the same group are not independent.
    """

    value: float | None
    repeats: int
    replies_digest: str
    group: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """The samples of n cases. All arrays have the shape (n,), in the order of *case_ids*.

    Attributes:
        values: the mean scores, 0 to 1; NaN without a reply.
        repeats: the number of replies, at least 1; 1 if any is right in part. A mean of replies
            that are right or wrong shows how much they vary, a mean of graded replies does not.
        groups: the number of the group of each case; None if no case has a group.
        weights: the weight of each case, or None for equal weights.
        sources: the result of each case, or the digest of its requests and replies.
    """

    case_ids: tuple[str, ...]
    values: FloatArray
    repeats: FloatArray
    groups: NDArray[np.intp] | None = None
    weights: FloatArray | None = None
    sources: Sequence[CaseResult | str] = ()

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.case_ids)

    @property
    def has_reply(self) -> NDArray[np.bool_]:
        """True for each case with a reply."""
        return ~np.isnan(self.values)

    @property
    def case_weights(self) -> FloatArray:
        """The weight of each case."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def units(self) -> NDArray[np.intp]:
        """The number of the group of each case, or of the case itself."""
        return np.arange(len(self)) if self.groups is None else self.groups

    @property
    def mean(self) -> float:
        """The weighted mean of the cases with a reply; 0 for none."""
        answered = self.has_reply
        if not answered.any():
            return 0.0
        weights = None if self.weights is None else self.weights[answered]
        return float(np.average(self.values[answered], weights=weights))

    def select(self, mask: NDArray[np.bool_]) -> Samples:
        """Return the cases for which *mask*, of shape (n,), is True."""
        return self if mask.all() else self.at(np.flatnonzero(mask))

    def at(self, indexes: NDArray[np.intp]) -> Samples:
        """Return the cases at *indexes*, in this order."""
        return Samples(
            case_ids=tuple(self.case_ids[index] for index in indexes),
            values=self.values[indexes],
            repeats=self.repeats[indexes],
            groups=None if self.groups is None else self.groups[indexes],
            weights=None if self.weights is None else self.weights[indexes],
            sources=tuple(self.sources[index] for index in indexes) if self.sources else (),
        )

    def impute_missing(self, value: float) -> Samples:
        """Return the samples with *value* for each case without a reply."""
        answered = self.has_reply
        values = np.where(answered, self.values, value)
        return replace(self, values=values, repeats=np.where(answered, self.repeats, 1.0))


#: The samples of each variant, by kind: the baseline is compared with every variant.
_made = WeakKeyDictionary[VariantScores, dict[str, Samples]]()


def samples_from_scores(scores: VariantScores, kind: str) -> Samples:
    """Return the samples of the cases that a gate evaluates; made once.

    *kind* is ``accuracy``, ``balanced`` for accuracy in which each expected label weighs the same,
    ``format``, or ``lenient`` for the format with a lenient parser.
    """
    made = _made.setdefault(scores, {})
    if kind not in made:
        values, facts = _VALUES[kind](scores), scores.facts
        if kind == "accuracy":
            scorable = facts.scorable & (facts.weights > 0)
            made[kind] = samples_from_values(scores, values).select(scorable)
        elif kind == "balanced":
            rated = samples_from_scores(scores, "accuracy")
            cases = [scores.results[case_id].case for case_id in rated.case_ids]
            made[kind] = replace(rated, weights=_weights(np.array(balanced_weights(cases))))
        else:
            made[kind] = format_samples(scores, values)
    return made[kind]


def format_samples(scores: VariantScores, values: FloatArray) -> Samples:
    """Return samples of the cases that the format gate evaluates, with *values* of all cases."""
    samples = replace(samples_from_values(scores, values), repeats=scores.repeats)
    return samples.select(scores.facts.has_format & (scores.facts.weights > 0))


def samples_from_values(scores: VariantScores, values: FloatArray) -> Samples:
    """Return samples of all cases of *scores* with the given *values*, NaN for unknown ones."""
    graded = scores.is_graded
    return Samples(
        case_ids=scores.case_ids,
        values=values,
        repeats=np.where(graded, 1.0, scores.repeats) if graded.any() else scores.repeats,
        groups=scores.facts.group_numbers,
        weights=_weights(scores.facts.weights),
        sources=scores.case_results,
    )


def samples_from_cases(cases: Mapping[str, CaseSample]) -> Samples:
    """Return the samples of *cases*, which are by id."""
    rows = cases.values()
    values = [np.nan if case.value is None else case.value for case in rows]
    return Samples(
        case_ids=tuple(cases),
        values=np.array(values, dtype=np.float64),
        repeats=np.array([max(1, case.repeats) for case in rows], dtype=np.float64),
        groups=number_groups(tuple(cases), tuple(case.group for case in rows)),
        weights=_weights(np.array([case.weight for case in rows], dtype=np.float64)),
        sources=tuple(case.replies_digest for case in rows),
    )


def align(before: Samples, after: Samples) -> tuple[Samples, Samples]:
    """Return the shared cases of two samples, in the order of *after*."""
    # Both are often one tuple. Python compares even that item by item.
    if before.case_ids is after.case_ids or before.case_ids == after.case_ids:
        return before, after
    index_of = {case_id: index for index, case_id in enumerate(before.case_ids)}
    shared = [case_id in index_of for case_id in after.case_ids]
    after = after.select(np.array(shared, dtype=bool))
    order = np.array([index_of[case_id] for case_id in after.case_ids], dtype=np.intp)
    return before.at(order), after


def same_replies(before: Samples, after: Samples) -> bool:
    """Return True if two aligned samples rest on the same requests and the same replies."""
    # Comparing values first is fast: the same replies have the same scores.
    if not np.array_equal(before.values, after.values, equal_nan=True):
        return False
    pairs = zip(before.sources, after.sources, strict=True)
    return all(first is second or _digest(first) == _digest(second) for first, second in pairs)


def _digest(source: CaseResult | str) -> str:
    return source if isinstance(source, str) else digest_replies(source)


def _weights(weights: FloatArray) -> FloatArray | None:
    return None if np.all(weights == 1.0) else weights
