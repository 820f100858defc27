"""Whether what was retrieved held the answer: else the retriever is to blame, not the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.score.content import stands_in
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.suite.margins import RateGate

__all__ = ["answered_in", "missed", "passages", "retrieves"]

#: What a verdict carries of a passage, in characters: more than a line shows.
_LONGEST = 120


def retrieves(column: Column) -> bool:
    """Tell whether anything was retrieved for any case of *column*."""
    return any(reply.passages for row in column.rows.values() for reply in row.replies)


def passages(row: Row) -> tuple[str, ...]:
    """Return source and first words of what was retrieved for a case."""
    found = row.replies[0].passages if row.replies else ()
    return tuple(f"{one.source}: {one.text}".removeprefix(": ")[:_LONGEST] for one in found)


def answered_in(row: Row) -> int | None:
    """Return the first passage that holds an expected answer, from 1; 0 for none.

    None where no reply came, or where it would say nothing.
    """
    if not row.replies:
        return None
    held = stands_in(row.case, [one.text for one in row.replies[0].passages])
    return None if held is None else next((n for n, yes in enumerate(held, start=1) if yes), 0)


def missed(gate: RateGate, column: Column, lost: Sequence[str]) -> Iterator[str]:
    """Yield how many lost cases could not be answered from what was retrieved for them."""
    if gate.kind != "accuracy" or not retrieves(column):
        return
    told = [found for key in lost if (found := answered_in(column.rows[key])) is not None]
    if 0 in told:
        amiss = f"{told.count(0)} of {len(told)} lost case{'s' * (len(told) != 1)}"
        yield f"retrieval: the expected answer stands in no passage for {amiss}"
