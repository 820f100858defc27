"""What a fine-tune forgot, as its skills cases show it: nothing here decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gate.drop import drop, paired
from pytest_ftgate.gate.flips import Turned, flips, turned
from pytest_ftgate.gate.losses import Losses
from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.retention import Part
from pytest_ftgate.gate.parts import LossKind, Slice
from pytest_ftgate.gate.risks import Levels
from pytest_ftgate.gate.side import Side
from pytest_ftgate.gate.skills import by_worth, kept, macro, skill_slices
from pytest_ftgate.gate.verdict import Check, Flip
from pytest_ftgate.plan.leaks import Leak
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.margins import ForgettingGate

__all__ = ["Compared", "Forgotten", "broken", "forgotten", "shown"]

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Compared:
    """What a forgetting gate looks at: columns of the variant and of its base.

    Attributes:
        sides: by what skills were asked under, ``""`` or ``prompt``: the variant, its base.
        again: the must-keep cases that broke, asked again of both; None where there are none, or
            where replies do not vary.
        leak: the skills cases that the variant was trained on.
    """

    sides: Mapping[str, tuple[Column, Column]]
    again: tuple[Column, Column] | None = None
    leak: Leak | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What became of the skills under one prompt."""

    check: Check
    slices: tuple[Slice, ...]
    turned: Turned
    kinds: tuple[LossKind, ...]

    @property
    def lost(self) -> list[Slice]:
        """The skills that really dropped, of those that matter."""
        return [one for one in self.slices if one.judged and one.state == "lost"]

    @property
    def unproven(self) -> list[Slice]:
        """The skills that must be shown to keep to their margin, and are not."""
        return [one for one in self.slices if one.required and one.state == "open"]


def forgotten(
    gate: ForgettingGate, under: str, compared: Compared, levels: Levels, losses: Losses
) -> Forgotten:
    """Return what became of the skills as they were asked *under* nothing more, or a prompt.

    Args:
        gate: the gate.
        under: ``""`` or ``prompt``.
        compared: the columns.
        levels: the risks of one of its checks.
        losses: tells how lost answers went wrong.
    """
    column, base = compared.sides[under]
    seen = compared.leak.ids if compared.leak else frozenset()
    before, after = (_without(by_worth(one), seen) for one in (base, column))
    parts = skill_slices(before, after, column.cases, gate, levels)
    told = turned(before, after)
    return Forgotten(
        check=replace(_check(gate, column, before, after, levels), under=under),
        slices=tuple(replace(part, under=under) for part in parts),
        turned=told,
        kinds=losses.count(base, column, told.lost, under),
    )


def _without(side: Side, ids: frozenset[str]) -> Side:
    return side.where(np.array([key not in ids for key in side.keys], dtype=bool)) if ids else side


def _check(
    gate: ForgettingGate, column: Column, before: Side, after: Side, levels: Levels
) -> Check:
    def skills(side: Side) -> NDArray[np.str_]:
        return np.array([column.rows[key].case.skill or "other" for key in side.keys])

    def pairing(was: Side, now: Side) -> Pairs:
        own = skills(now)
        return macro(
            gate,
            {str(s): paired(was.where(own == s), now.where(own == s)) for s in dict.fromkeys(own)},
        )

    weighed = [
        side.where(np.array([gate.weight(str(s)) > 0 for s in skills(side)], dtype=bool))
        for side in (before, after)
    ]
    check = drop(*weighed, against="base", margin=gate.max_drop, levels=levels, pairing=pairing)
    return _with_retention(gate, check, skills(before), before, after)


def _with_retention(
    gate: ForgettingGate,
    check: Check,
    skills: NDArray[np.str_],
    before: Side,
    after: Side,
) -> Check:
    """Add what is left in the mean, and the mean change of all skills whatever their weight."""
    known = before.known & after.known
    parts = {
        str(skill): Part(before.values[mask], after.values[mask], float(mask.sum()))
        for skill in dict.fromkeys(skills)
        if (mask := known & (skills == skill)).any()
    }
    if not parts:
        return check
    changes = [float(part.after.mean() - part.before.mean()) for part in parts.values()]
    weighed = [part._replace(weight=gate.weight(skill)) for skill, part in parts.items()]
    return replace(
        check,
        retention=kept([part for part in weighed if part.weight]),
        transfer=float(np.mean(changes)),
    )


def broken(
    column: Column, base: Column, again: tuple[Column, Column] | None = None
) -> tuple[str, ...]:
    """Return the must-keep cases that *base* has right and *column* has wrong.

    Args:
        column: the variant's scores on the skills cases.
        base: its base's.
        again: those that broke at first, asked again of both, where one unlucky reply may explain
            it: most replies of each side must say so.
    """
    held = [key for key, row in column.rows.items() if row.case.must_keep]
    was, now = (_values(one) for one in (base, column))
    broke = [key for key in held if was.get(key, 0.0) > _HALF and now.get(key, 1.0) <= _HALF]
    if again is not None:
        # A reply that did not come the second time takes nothing back.
        now, was = (_values(one) for one in again)
        sound = [key for key in broke if now.get(key, 0.0) > _HALF or was.get(key, 1.0) <= _HALF]
        broke = [key for key in broke if key not in sound]
    return tuple(broke)


def _values(column: Column) -> dict[str, float]:
    side = by_worth(column)
    return dict(zip(side.keys, map(float, side.values), strict=True))


# What a reader is shown first -------------------------------------------------------------------


def _telling(told: Turned, column: Column, breaks: tuple[str, ...]) -> Turned:
    """Order the lost cases so that the first ones tell most: what broke, then what was easiest.

    One of each skill comes before a second of any.
    """
    easy = sorted(told.lost, key=lambda key: column.rows[key].case.difficulty or 3)
    turn: Counter[str | None] = Counter()
    ranked = []
    for key in easy:
        skill = column.rows[key].case.skill
        ranked.append((turn[skill], key))
        turn[skill] += 1
    ranked.sort(key=lambda one: one[0])
    return Turned(tuple(key for _, key in ranked), told.gained).led_by(
        [key for key in breaks if key in told.lost]
    )


def shown(
    losses: Losses, base: Column, column: Column, told: Turned, breaks: tuple[str, ...]
) -> Iterator[Flip]:
    """Yield the cases that turned, the most telling ones first, each lost one with its kind."""
    for flip in flips(base, column, _telling(told, column, breaks)):
        kind = losses.kind(base.rows.get(flip.case), column.rows[flip.case]) if flip.lost else ""
        yield replace(flip, kind=kind)
