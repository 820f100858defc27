"""What became of the parts of a suite, so that an average cannot hide one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pytest_ftgate.gate.drop import paired
from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.multiple import holm
from pytest_ftgate.gate.numbers.paired import p_drop, p_noninferior, tango_interval
from pytest_ftgate.gate.parts import Slice
from pytest_ftgate.gate.risks import CONFIDENCE, FEWEST_GROUPS, Levels
from pytest_ftgate.gate.side import Side, aligned
from pytest_ftgate.suite.model import Case

__all__ = ["members", "parts_of", "slices"]


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
