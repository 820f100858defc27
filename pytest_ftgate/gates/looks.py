"""Looks: the parts of a suite's replies at which a gate may already be evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.suite.model import Case, Gate, RateGate, Suite

__all__ = ["LOOKS", "Look", "levels", "looks"]

#: How often a gate looks at most.
LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look takes in.

    Attributes:
        number: which look it is, from 1, out of *of*.
        cases: the ids of its cases, or None for all.
        repeats: how many replies of each case it takes in.
        fractions: the shares of everything that the looks so far took in, this one the last.
        vary: whether asking again may bring another reply.
    """

    number: int = 1
    of: int = 1
    cases: frozenset[str] | None = None
    repeats: int = 1
    fractions: tuple[float, ...] = (1.0,)
    vary: bool = False

    def takes(self, case: str, repeat: int) -> bool:
        """Return whether the reply *repeat* of *case* belongs to it."""
        return repeat < self.repeats and (self.cases is None or case in self.cases)


def looks(suite: Suite, gate: Gate, *, vary: bool) -> tuple[Look, ...]:
    """Return the looks of *gate*, the last of which takes in everything that may be asked.

    Args:
        suite: the suite.
        gate: one of its gates.
        vary: whether asking again may bring another reply, on either side.
    """
    repeats = suite.repeats or 1
    if isinstance(gate, RateGate) and gate.stop_early:
        return _blocks(suite, repeats, vary=vary)
    if isinstance(gate, RateGate) and gate.settle and vary:
        return _stages(repeats, gate.settle)
    return (Look(repeats=repeats, vary=vary),)


def levels(look: Look, whole: Levels) -> Levels:
    """Return what *look* may spend of the risks *whole*."""
    if look.of == 1:
        return whole
    from scipy.special import ndtr

    from pytest_ftgate.stats.sequential import obrien_fleming_bounds

    miss, alarm = (
        float(ndtr(-obrien_fleming_bounds(risk, look.fractions)[-1]))
        for risk in (whole.miss, whole.alarm)
    )
    return Levels(miss, alarm, whole.shared, last=look.number == look.of)


def _blocks(suite: Suite, repeats: int, *, vary: bool) -> tuple[Look, ...]:
    """Take the cases in five blocks, in an order that no reordering of the file changes."""
    ranked = sorted(suite.cases, key=_place)
    ends = sorted({ceil(len(ranked) * number / LOOKS) for number in range(1, LOOKS + 1)})
    ends = sorted({_whole_group(ranked, end) for end in ends})
    shares = [end / len(ranked) for end in ends]
    return tuple(
        Look(
            number=number,
            of=len(ends),
            cases=frozenset(case.id for case in ranked[:end]),
            repeats=repeats,
            fractions=tuple(shares[:number]),
            vary=vary,
        )
        for number, end in enumerate(ends, start=1)
    )


def _place(case: Case) -> tuple[str, str]:
    # Drawn by hash, so that a case keeps its place when others come or go.
    return sha256(f"{case.group or case.id}".encode()).hexdigest(), case.id


def _whole_group(ranked: list[Case], end: int) -> int:
    """Return the end of the block that does not tear a group of related cases apart."""
    while 0 < end < len(ranked) and _torn(ranked[end - 1], ranked[end]):
        end += 1
    return end


def _torn(last: Case, following: Case) -> bool:
    return last.group is not None and last.group == following.group


def _stages(least: int, most: int) -> tuple[Look, ...]:
    """Add repeats step by step, from what is asked anyway to the most that may be."""
    if most <= least:
        return (Look(repeats=least, vary=True),)
    steps = min(LOOKS, most - least + 1)
    counts = [round(least + (most - least) * i / (steps - 1)) for i in range(steps)]
    return tuple(
        Look(
            number=number,
            of=len(counts),
            repeats=count,
            # Replies of one case tell less the more there are, so this says no look too much.
            fractions=tuple(one / most for one in counts[:number]),
            vary=True,
        )
        for number, count in enumerate(counts, start=1)
    )
