"""The skills of a forgetting gate: what replies are worth, and what became of each skill."""

from __future__ import annotations

from pytest_ftgate.gate.side import Side, valued
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.score.worth import worth

__all__ = ["by_worth"]

import numpy as np


def by_worth(column: Column) -> Side:
    """Return what each skills case of *column* is worth: right, and in the form it asks for."""
    values = np.array([_worth(row) for row in column.rows.values()], dtype=np.float64)
    return valued(column, values).where(column.weights > 0)


def _worth(row: Row) -> float:
    pairs = zip(row.replies, row.scores, strict=True)
    found = [worth(row.case, reply, score) for reply, score in pairs]
    return float(np.mean(found)) if found else float("nan")
