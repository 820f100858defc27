"""Looks: interim analyses, in which a gate is evaluated on part of its replies."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.suite.model import Case, Gate, Suite

#: The largest number of looks of a gate.
MAX_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look: the cases and the replies that it includes.

    Attributes:
        number: the number of the look, from 1 to *of*.
        of: the number of looks.
        cases: the ids of its cases, or None for all cases.
        repeats: the number of replies to each case that it includes.
        fractions: the information fractions (0 to 1) of all looks up to this one.
        replies_vary: whether a repeated request may get a different reply.
    """

    number: int = 1
    of: int = 1
    cases: frozenset[str] | None = None
    repeats: int = 1
    fractions: tuple[float, ...] = (1.0,)
    replies_vary: bool = False

    def includes(self, case: str, repeat: int) -> bool:
        """Return True if the look includes the reply *repeat* (from 0) to *case*."""
        return repeat < self.repeats and (self.cases is None or case in self.cases)


def plan_looks(suite: Suite, gate: Gate, *, replies_vary: bool) -> tuple[Look, ...]:
    """Return the looks of *gate*; the last one includes all replies.

    *replies_vary* is True if a repeated request may get a different reply, from the variant or from
    the baseline.
    """
    repeats = suite.repeats or 1
    if gate.stop_early:
        return _case_blocks(suite, repeats, replies_vary=replies_vary)
    if gate.settle and replies_vary:
        return _repeat_stages(repeats, gate.settle)
    return (Look(repeats=repeats, replies_vary=replies_vary),)


def look_levels(look: Look, total: Levels) -> Levels:
    """Return the error rates of one *look*, by O'Brien-Fleming spending of *total*."""
    if look.of == 1:
        return total
    from scipy.special import ndtr

    from pytest_ftgate.stats.sequential import obrien_fleming_bounds

    miss, alarm = (
        float(ndtr(-obrien_fleming_bounds(risk, look.fractions)[-1]))
        for risk in (total.miss, total.alarm)
    )
    return Levels(miss, alarm, total.shared, last=look.number == look.of)


def _case_blocks(suite: Suite, repeats: int, *, replies_vary: bool) -> tuple[Look, ...]:
    """Return looks that add one block of cases each; the order of the file does not matter."""
    cases = sorted(suite.cases, key=_block_order)
    ends = sorted({ceil(len(cases) * number / MAX_LOOKS) for number in range(1, MAX_LOOKS + 1)})
    ends = sorted({_end_of_group(cases, end) for end in ends})
    fractions = [end / len(cases) for end in ends]
    return tuple(
        Look(
            number=number,
            of=len(ends),
            cases=frozenset(case.id for case in cases[:end]),
            repeats=repeats,
            fractions=tuple(fractions[:number]),
            replies_vary=replies_vary,
        )
        for number, end in enumerate(ends, start=1)
    )


def _block_order(case: Case) -> tuple[str, str]:
    # The order is by hash, so that a case keeps its place when others are added or removed.
    return sha256(f"{case.group or case.id}".encode()).hexdigest(), case.id


def _end_of_group(cases: list[Case], end: int) -> int:
    """Return the first end of a block, from *end*, that does not split a group of cases."""
    groups = [case.group for case in cases]
    while 0 < end < len(cases) and groups[end] is not None and groups[end - 1] == groups[end]:
        end += 1
    return end


def _repeat_stages(first: int, last: int) -> tuple[Look, ...]:
    """Return looks with more repeats each, from *first* repeats to *last*."""
    if last <= first:
        return (Look(repeats=first, replies_vary=True),)
    steps = min(MAX_LOOKS, last - first + 1)
    counts = [round(first + (last - first) * i / (steps - 1)) for i in range(steps)]
    return tuple(
        Look(
            number=number,
            of=len(counts),
            repeats=count,
            # Further replies to one case add less information, so this is conservative.
            fractions=tuple(repeats / last for repeats in counts[:number]),
            replies_vary=True,
        )
        for number, count in enumerate(counts, start=1)
    )
