"""One side of a comparison: a number for each case, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.suite.model import digest

__all__ = ["Cell", "Side", "cell", "side"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One case of a side.

    Attributes:
        value: the mean score over the repeats, 0 to 1, or None where no reply came.
        repeats: how many replies it rests on.
        rests_on: a digest of the calls and the replies; equal digests are the same thing twice.
        group: cases that share one are not independent.
    """

    value: float | None
    repeats: int
    rests_on: str
    group: str | None = None


Side = Mapping[str, Cell]


def cell(row: Row, kind: str) -> Cell:
    """Return the cell of one row for the gate *kind*, ``accuracy`` or ``format``."""
    value = row.correct if kind == "accuracy" else row.valid
    texts = [reply.text for reply in row.replies]
    return Cell(value, len(row.scores), digest([row.calls, texts])[:16], row.case.group)


def side(column: Column, kind: str) -> dict[str, Cell]:
    """Return the cases of *column* that the gate *kind* has something to say about."""
    return {key: cell(row, kind) for key, row in column.rows.items() if _concerns(row, kind)}


def _concerns(row: Row, kind: str) -> bool:
    if kind == "format":
        return bool(row.case.format)
    return row.case.expected is not None or row.case.score.kind == "python"
