"""Regressed and fixed cases of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_ftgate.gates.samples import Array, Side, aligned
from pytest_ftgate.gates.slices import answered_in, passages, retrieves
from pytest_ftgate.gates.verdict import Flip
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scorers import shown_expected, shown_use
from pytest_ftgate.scoring.scores import Column, Row

__all__ = ["MOST", "Turned", "flips", "turned"]

#: A verdict carries no more flips than a person would read; the counts are of all.
MOST = 40
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Turned:
    """The ids of the cases whose score fell, and of those whose score rose."""

    lost: tuple[str, ...]
    gained: tuple[str, ...]

    def led_by(self, keys: Sequence[str]) -> Turned:
        """Return the same with the cases *keys* first among the lost."""
        first = tuple(key for key in keys if key)
        return Turned((*first, *(key for key in self.lost if key not in first)), self.gained)

    def spread(self, column: Column) -> Turned:
        """Return the same with the lost ordered so that each kind of fault comes early."""
        turn: Counter[str] = Counter()
        ranked = []
        for key in self.lost:
            kind = _kind(column.rows[key])
            ranked.append((turn[kind], key))
            turn[kind] += 1
        ranked.sort(key=lambda one: one[0])
        return Turned(tuple(key for _, key in ranked), self.gained)


def turned(before: Side | None, after: Side) -> Turned:
    """Return the cases that turned between two sides, the greatest change first.

    Args:
        before: what is compared with; without it, every case that *after* has wrong is lost.
        after: the variant.
    """
    was: Array = np.ones(len(after))
    if before is not None:
        before, after = aligned(before, after)
        was = before.values
    with np.errstate(invalid="ignore"):
        change = after.values - was
        found = [np.flatnonzero(change < 0), np.flatnonzero(change > 0)]
    ranked = [one[np.argsort(-abs(change[one]), kind="stable")] for one in found]
    lost, gained = (tuple(after.keys[index] for index in indices) for indices in ranked)
    return Turned(lost, gained)


def flips(before: Column | None, after: Column, told: Turned) -> tuple[Flip, ...]:
    """Return what a reader is shown of the first cases that turned, the lost ones first.

    Args:
        before: the side compared with, or None where its replies are no longer known.
        after: the variant.
        told: which cases turned.
    """
    found = retrieves(after)
    ranked = [(key, True) for key in told.lost] + [(key, False) for key in told.gained]
    return tuple(
        _flip(before, after.rows[key], lost=lost, found=found) for key, lost in ranked[:MOST]
    )


def _flip(before: Column | None, row: Row, *, lost: bool, found: bool) -> Flip:
    old = before.rows.get(row.case.id) if before else None
    broken = _broken(row)
    return Flip(
        case=row.case.id,
        where=row.case.where,
        lost=lost,
        shown=row.case.shown[:_LONGEST],
        expected=shown_expected(row.case),
        before=_text(old, right=lost) if old else "",
        now=_text(row, right=not lost),
        fault=broken.kind if broken else "",
        why=_storable(f"{broken.kind}: {broken.detail}".rstrip(": ")) if broken else "",
        wrong=_storable(next((score.why for score in row.scores if score.why), "")),
        skill=row.case.skill or "",
        passages=passages(row),
        answered_in=answered_in(row) if found else None,
        called_before=_called(old, right=lost) if old else (),
        called=_called(row, right=not lost),
    )


def _broken(row: Row) -> Broken | None:
    return next((score.broken for score in row.scores if score.broken), None)


def _kind(row: Row) -> str:
    broken = _broken(row)
    return broken.kind if broken else ""


def _telling(row: Row, *, right: bool) -> Reply | None:
    """Return the reply that shows best what became of a case: a right one, or a wrong one."""
    marks = [(score.correct or 0.0) + (score.broken is None) for score in row.scores]
    if len(marks) != len(row.replies) or not marks:
        return next(iter(row.replies), None)
    return row.replies[marks.index(max(marks) if right else min(marks))]


def _called(row: Row, *, right: bool) -> tuple[str, ...]:
    reply = _telling(row, right=right)
    return tuple(_storable(shown_use(use)) for use in reply.tool_calls) if reply else ()


def _text(row: Row, *, right: bool) -> str:
    reply = _telling(row, right=right)
    return _storable(reply.text) if reply else ""


def _storable(text: str) -> str:
    """Return the head of *text*; half a character, as a cut may leave, is written out."""
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()
