"""Samples: one side of a comparison, a value for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.scoring.scores import Column, Row, rests_on

__all__ = ["Array", "Cell", "Side", "aligned", "side", "side_of", "unchanged", "valued"]

Array = NDArray[np.float64]
#: What a column calls that which a gate looks at.
_VALUES = {"accuracy": "correct", "format": "valid", "meant": "meant"}


class Cell(NamedTuple):
    """One case of a side.

    Attributes:
        value: the mean score over the repeats, 0 to 1, or None where no reply came.
        repeats: how many replies it rests on.
        rests_on: a digest of the calls and the replies; equal digests are the same thing twice.
        group: cases that share one are not independent.
        weight: how much the case counts beside the others.
    """

    value: float | None
    repeats: int
    rests_on: str
    group: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """The cases of one side; everything is of shape (n,), in the order of *keys*.

    Attributes:
        values: mean scores, 0 to 1; NaN where no reply came.
        repeats: how many replies each rests on, at least 1.
        groups: a name for each case, of its own where it stands for itself; None for no groups.
        weights: how much each case counts, or None where each counts the same.
        sources: what each rests on: its row, or the digest that was kept of it.
    """

    keys: tuple[str, ...]
    values: Array
    repeats: Array
    groups: NDArray[np.str_] | None = None
    weights: Array | None = None
    sources: Sequence[Row | str] = ()

    def __len__(self) -> int:
        """Return how many cases there are."""
        return len(self.keys)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where a reply came."""
        return ~np.isnan(self.values)

    @property
    def mean(self) -> float:
        """The mean of the cases that brought a reply; 0 for none."""
        known = self.known
        if not known.any():
            return 0.0
        weights = None if self.weights is None else self.weights[known]
        return float(np.average(self.values[known], weights=weights))

    def where(self, chosen: NDArray[np.bool_]) -> Side:
        """Return the cases that are *chosen*, of shape (n,)."""
        if chosen.all():
            return self
        return replace(
            self,
            keys=tuple(compress(self.keys, chosen)),
            values=self.values[chosen],
            repeats=self.repeats[chosen],
            groups=None if self.groups is None else self.groups[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            sources=tuple(compress(self.sources, chosen)),
        )

    def filled(self, value: float) -> Side:
        """Return the side with *value* for every reply that did not come."""
        known = self.known
        values, repeats = np.where(known, self.values, value), np.where(known, self.repeats, 1.0)
        return replace(self, values=values, repeats=repeats)


def side(column: Column, kind: str) -> Side:
    """Return the cases of *column* that the gate *kind*, ``accuracy`` or ``format``, judges.

    ``meant`` stands for the format gate with a lenient reader.
    """
    made = valued(column, getattr(column, _VALUES[kind]))
    return made.where(
        (column.marked if kind == "accuracy" else column.formed) & (column.weights > 0)
    )


def valued(column: Column, values: Array) -> Side:
    """Return the cases of *column* with one of the *values* each, NaN where it is not known."""
    keys = tuple(column.rows)
    return Side(
        keys=keys,
        values=values,
        repeats=column.repeats,
        groups=_groups(keys, column.groups),
        weights=_weights(column.weights),
        sources=tuple(column.rows.values()),
    )


def side_of(cells: Mapping[str, Cell]) -> Side:
    """Return a side made of single cells."""
    found = cells.values()
    values = [np.nan if cell.value is None else cell.value for cell in found]
    return Side(
        keys=tuple(cells),
        values=np.array(values, dtype=np.float64),
        repeats=np.array([max(1, cell.repeats) for cell in found], dtype=np.float64),
        groups=_groups(tuple(cells), tuple(cell.group for cell in found)),
        weights=_weights(np.array([cell.weight for cell in found], dtype=np.float64)),
        sources=tuple(cell.rests_on for cell in found),
    )


def aligned(before: Side, after: Side) -> tuple[Side, Side]:
    """Return the cases that both sides have, in the order of *after*."""
    if before.keys == after.keys:
        return before, after
    place = {key: index for index, key in enumerate(before.keys)}
    after = after.where(np.array([key in place for key in after.keys], dtype=bool))
    order = np.array([place[key] for key in after.keys], dtype=np.intp)
    return (
        replace(
            before,
            keys=after.keys,
            values=before.values[order],
            repeats=before.repeats[order],
            groups=None if before.groups is None else before.groups[order],
            weights=None if before.weights is None else before.weights[order],
            sources=tuple(before.sources[index] for index in order),
        ),
        after,
    )


def unchanged(before: Side, after: Side) -> bool:
    """Return whether two aligned sides rest on the same calls and the same replies."""
    # The same replies have the same scores, which is quicker to see.
    if not np.array_equal(before.values, after.values, equal_nan=True):
        return False
    pairs = zip(before.sources, after.sources, strict=True)
    return all(one is other or _digest(one) == _digest(other) for one, other in pairs)


def _digest(source: Row | str) -> str:
    return source if isinstance(source, str) else rests_on(source)


def _groups(keys: Sequence[str], groups: Sequence[str | None]) -> NDArray[np.str_] | None:
    if not any(groups):
        return None
    # A case without a group stands for itself.
    named = [group or f"\0{key}" for key, group in zip(keys, groups, strict=True)]
    return np.array(named, dtype=np.str_)


def _weights(weights: Array) -> Array | None:
    return None if np.all(weights == 1.0) else weights
