"""What a run knows that was cut off before its replies were complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from pytest_ftgate.gate.words import percent
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.session import Session, whole
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import RateGate

__all__ = ["so_far"]


def so_far(session: Session, gates: Iterable[Judged]) -> Iterator[str]:
    """Yield a sentence on the run, and one on each variant that was not asked all of its cases.

    Args:
        session: it sends nothing more, and what was in flight is home.
        gates: of the run.
    """
    progress = session.progress
    begun = {
        (one.judged_by.name, one.variant.name): one
        for one in gates
        if isinstance(one.gate, RateGate) and one.planned and session.has_begun(one)
    }
    if begun and progress.failed:
        told = f"cut off with {progress.failed:,} of {progress.to_ask:,} calls not answered"
        yield f"{told}; the same command goes on, and asks nothing of the rest again"
    for judged in begun.values():
        # What was cut off may be in pieces, and to say less harms nobody.
        with suppress(Exception):
            suite, variant = judged.suite, judged.variant
            column = session.columns.task(suite, variant, whole(suite), graded=False)
            yield from _known(variant.name, column)


def _known(variant: str, column: Column) -> Iterator[str]:
    """Say how far a variant came; nothing where it came to its end."""
    marks = [row.correct for row in column.rows.values() if row.scores]
    if len(marks) == len(column.rows):
        return
    known = [mark for mark in marks if mark is not None]
    right = f", {percent(sum(known) / len(known))} right" if known else ""
    yield f"{variant} so far: {len(marks):,} of {len(column.rows):,} cases{right}"
