"""Results by slice (tag, label, language), and whether retrieval found the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pytest_ftgate.gates.checks import paired
from pytest_ftgate.gates.levels import CONFIDENCE, FEWEST_GROUPS, Levels
from pytest_ftgate.gates.samples import Side, aligned
from pytest_ftgate.gates.verdict import Slice
from pytest_ftgate.scoring.scorers import stands_in
from pytest_ftgate.scoring.scores import Column, Row
from pytest_ftgate.stats.paired import Pairs, holm, p_drop, p_noninferior, tango_interval
from pytest_ftgate.suite.model import Case, RateGate

__all__ = ["answered_in", "members", "missed", "parts_of", "passages", "retrieves", "slices"]


def parts_of(case: Case, kind: str) -> Sequence[str]:
    """Return the slices of *kind*, such as ``tag``, ``label`` or ``skill``, that it is in."""
    if kind == "tag":
        return case.tags
    if kind == "label":
        answers = case.expected if isinstance(case.expected, list) else [case.expected]
        # Of several answers that are right the first stands for all; of labels each is one.
        every = answers if case.score.kind == "labels" else answers[:1]
        # The label of a call is the tool; fields have none.
        names = (a.get("name") if isinstance(a, Mapping) else a for a in every)
        return [] if case.score.kind == "fields" else [str(n) for n in names if n is not None]
    if kind == "difficulty":
        return [] if case.difficulty is None else [str(case.difficulty)]
    found = case.language if kind == "language" else case.skill
    return [found] if found else []


def members(cases: Iterable[Case], kinds: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """Return the ids of the cases in each slice, by the slice's kind and name."""
    found: dict[tuple[str, str], set[str]] = {}
    kinds = tuple(kinds)
    for case in cases:
        for kind in kinds:
            for name in parts_of(case, kind):
                found.setdefault((kind, name), set()).add(case.id)
    return found


def slices(
    before: Side,
    after: Side,
    parts: Mapping[tuple[str, str], set[str]],
    *,
    margin: float,
    levels: Levels,
) -> tuple[Slice, ...]:
    """Return what became of each part, the greatest loss first.

    A part is kept where a drop of *margin* can be ruled out in it; else lost where a real drop is
    shown, Holm's correction over all parts counted in; else open.

    Args:
        before: what is compared with.
        after: the variant.
        parts: the ids of the cases in each part.
        margin: the drop that is ruled out where a part is kept.
        levels: the risks, the alarm shared by all parts.
    """
    before, after = aligned(before, after)
    known = before.known & after.known
    chosen = {
        part: known & np.array([key in own for key in after.keys], dtype=bool)
        for part, own in parts.items()
    }
    pairs = {
        part: paired(before.where(mask), after.where(mask))
        for part, mask in chosen.items()
        if mask.any()
    }
    adjusted = holm([p_drop(one) for one in pairs.values()])
    told = [
        _slice(part, one, float(p), margin, levels)
        for (part, one), p in zip(pairs.items(), adjusted, strict=True)
    ]
    return tuple(sorted(told, key=lambda one: one.change))


def _slice(
    part: tuple[str, str], pairs: Pairs, adjusted: float, margin: float, levels: Levels
) -> Slice:
    low, high = tango_interval(pairs, CONFIDENCE)
    few = pairs.groups is not None and pairs.groups < FEWEST_GROUPS
    kept = p_noninferior(pairs, margin) <= levels.miss
    state = "kept" if kept else ("lost" if adjusted <= levels.alarm else "open")
    return Slice(
        kind=part[0],
        name=part[1],
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="open" if few else state,
    )


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
