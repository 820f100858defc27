"""What became of each skill, and of skills by difficulty and by language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytest_ftgate.gate.drop import paired
from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.multiple import holm
from pytest_ftgate.gate.numbers.paired import p_drop, p_noninferior, tango_interval
from pytest_ftgate.gate.numbers.resample import macro_difference
from pytest_ftgate.gate.numbers.retention import Part, ratio
from pytest_ftgate.gate.parts import Retention, Slice
from pytest_ftgate.gate.risks import CONFIDENCE, FEWEST_GROUPS, Levels
from pytest_ftgate.gate.side import Side, aligned, valued
from pytest_ftgate.gate.slices import members
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.score.worth import worth
from pytest_ftgate.suite.margins import ForgettingGate
from pytest_ftgate.suite.model import Case

__all__ = ["KEPT_WITHIN", "by_worth", "kept", "macro", "skill_slices", "states", "worths"]

#: A skill without a margin of its own is called kept where a loss of this size is ruled out.
KEPT_WITHIN = 0.10
#: Of a part that was below this rate no share is told: it would be the ratio of two accidents.
_TOO_LITTLE = 0.10


def by_worth(column: Column) -> Side:
    """Return what each skills case of *column* is worth: right, and in the form it asks for."""
    found = (worths(row) for row in column.rows.values())
    values = np.array([np.mean(own) if own else np.nan for own in found], dtype=np.float64)
    return valued(column, values).where(column.weights > 0)


def worths(row: Row) -> list[float]:
    """Return what each reply to one skills case is worth."""
    pairs = zip(row.replies, row.scores, strict=True)
    return [worth(row.case, reply, score) for reply, score in pairs]


def macro(gate: ForgettingGate, pairs: Mapping[str, Pairs]) -> Pairs:
    """Return the pairs of the skills as one: the mean of their changes by the gate's weights."""
    weighed = {skill: own for skill, own in pairs.items() if gate.weight(skill)}
    return macro_difference([*weighed.values()], [gate.weight(skill) for skill in weighed])


def states(gate: ForgettingGate, pairs: Mapping[str, Pairs], levels: Levels) -> dict[str, str]:
    """Return what is shown of each skill: ``kept``, ``lost``, ``open`` or ``blind``.

    Kept where a loss of its margin is ruled out; else lost where there really is one, Holm's
    correction over the judged skills counted in.
    """
    adjusted = _adjusted({skill: own for skill, own in pairs.items() if gate.judges(skill)})
    return {
        skill: _state(own, adjusted.get(skill, p_drop(own)), _margin(gate, skill), levels)
        for skill, own in pairs.items()
    }


def _adjusted(pairs: Mapping[str, Pairs]) -> dict[str, float]:
    corrected = holm([p_drop(own) for own in pairs.values()])
    return {name: float(p) for name, p in zip(pairs, corrected, strict=True)}


def _margin(gate: ForgettingGate, skill: str) -> float:
    return gate.required(skill) or KEPT_WITHIN


def _state(pairs: Pairs, adjusted: float, margin: float, levels: Levels) -> str:
    if pairs.before <= margin:
        return "blind"
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        return "open"
    if p_noninferior(pairs, margin) <= levels.miss:
        return "kept"
    return "lost" if adjusted <= levels.alarm else "open"


def skill_slices(
    before: Side, after: Side, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> tuple[Slice, ...]:
    """Return what became of each skill, the greatest loss first; then by difficulty and language.

    Args:
        before: what the base is worth on the skills cases.
        after: the variant.
        cases: the skills cases.
        gate: the gate, for its margins.
        levels: the risks, the alarm shared by all skills.
    """
    before, after = aligned(before, after)
    known = before.known & after.known
    before, after = before.where(known), after.where(known)
    told = [*_skills(before, after, cases, gate, levels)]
    for kind in ("difficulty", "language"):
        told += _others(before, after, cases, kind, levels)
    return tuple(told)


def _skills(
    before: Side, after: Side, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> list[Slice]:
    chosen = _parts(before, after, cases, "skill")
    pairs = {skill: paired(*sides) for skill, sides in chosen.items()}
    found, adjusted = states(gate, pairs, levels), _adjusted(pairs)
    made = [
        replace(
            _slice("skill", skill, chosen[skill], own, adjusted[skill]),
            state=found[skill],
            judged=gate.judges(skill),
            margin=_margin(gate, skill),
            required=gate.required(skill) is not None,
            weight=gate.weight(skill),
        )
        for skill, own in pairs.items()
    ]
    return sorted(made, key=lambda one: one.change)


def _others(
    before: Side, after: Side, cases: Sequence[Case], kind: str, levels: Levels
) -> Iterator[Slice]:
    """Yield parts that cut across the skills: shown, and judged by nothing."""
    chosen = _parts(before, after, cases, kind)
    pairs = {name: paired(*sides) for name, sides in chosen.items()}
    adjusted = _adjusted(pairs)
    for name, own in sorted(pairs.items()):
        made = _slice(kind, name, chosen[name], own, adjusted[name])
        state = _state(own, adjusted[name], KEPT_WITHIN, levels)
        yield replace(made, state=state, judged=False, margin=KEPT_WITHIN, weight=0.0)


def _parts(
    before: Side, after: Side, cases: Sequence[Case], kind: str
) -> dict[str, tuple[Side, Side]]:
    found = {}
    for (_, name), own in members(cases, [kind]).items():
        mask = np.array([key in own for key in after.keys], dtype=bool)
        if mask.any():
            found[name] = (before.where(mask), after.where(mask))
    return found


def _slice(kind: str, name: str, sides: tuple[Side, Side], pairs: Pairs, adjusted: float) -> Slice:
    low, high = tango_interval(pairs, CONFIDENCE)
    was, now = sides[0].values, sides[1].values
    return Slice(
        kind=kind,
        name=name,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="open",
        kept=int(np.sum((was > 0) & (now >= was))),
        lost=int(np.sum(now < was)),
        gained=int(np.sum(now > was)),
        retention=kept([Part(was, now, min(pairs.n, pairs.effective))]),
    )


def kept(parts: Sequence[Part]) -> Retention | None:
    """Return how much is left of *parts* together, where enough was there to be told of."""
    whole = sum(part.weight for part in parts)
    if not whole or sum(p.weight * p.before.mean() for p in parts) / whole < _TOO_LITTLE:
        return None
    found = ratio(parts, CONFIDENCE)
    if found is None:
        return None
    share, low, high = found
    return Retention(share, low, high if np.isfinite(high) else None)
