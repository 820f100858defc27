"""What a gate could show, told before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from pytest_ftgate.gate.feasible import cases_of
from pytest_ftgate.gate.numbers.power import (
    cases_needed,
    certifiable_margin,
    floor_cases_needed,
    pass_probability,
)
from pytest_ftgate.gate.risks import MISS, POWER, USUAL_DISCORDANCE
from pytest_ftgate.suite.margins import ForgettingGate, RateGate
from pytest_ftgate.suite.model import Suite

__all__ = ["Certain", "certain"]

#: A floor is planned for a variant that is so much better than it.
_ABOVE_FLOOR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Certain:
    """How far a gate can tell an unchanged variant from one that dropped.

    Attributes:
        gate, variant: whose gate it is.
        cases: how many it has; *worth* is what they tell with their repeats.
        margin: the drop that the gate allows, or None where it is a floor alone.
        floor: the floor, or None where it has none.
        discordance: the share of cases on which the sides disagree, *measured* or usual; None where
            the baseline is so low that a drop from it could not be seen.
        least: the smallest margin that this many cases can certify nine times in ten.
        chance: how often an unchanged variant passes.
        missing: how many more cases it takes to pass one nine times in ten.
        repeats: the repeats that tell as much as the missing cases, where replies vary.
    """

    gate: str
    variant: str
    cases: int
    worth: float
    margin: float | None = None
    floor: float | None = None
    discordance: float | None = USUAL_DISCORDANCE
    measured: bool = False
    least: float | None = None
    chance: float | None = None
    missing: int = 0
    repeats: int | None = None


def certain(
    suite: Suite,
    gate: RateGate | ForgettingGate,
    variant: str,
    *,
    repeats: int | None,
    measured: float | None = None,
    blind: bool = False,
) -> Certain:
    """Return what *gate* could show about *variant* with the cases it has.

    Args:
        suite: the suite.
        gate: one of its gates.
        variant: the name of the variant.
        repeats: how often each case is asked, or None where asking again tells nothing new; they
            count in full, as for an unchanged variant.
        measured: the discordance that replies already had, or None for the usual one.
        blind: the baseline is known to be so low that a drop from it could not be seen.
    """
    n = cases_of(suite, gate)
    disagree = USUAL_DISCORDANCE if measured is None else measured
    floor = None if isinstance(gate, ForgettingGate) else gate.min
    told = Certain(
        gate=gate.name if isinstance(gate, RateGate) else gate.kind,
        variant=variant,
        cases=n,
        worth=n * (repeats or 1),
        margin=gate.max_drop,
        floor=floor,
        discordance=None if blind else disagree,
        measured=measured is not None,
        missing=_for_floor(floor, n) if floor else 0,
    )
    if gate.max_drop is None or blind:
        return told
    return _for_drop(told, gate.max_drop, disagree, repeats)


def _for_floor(floor: float, n: int) -> int:
    try:
        wanted = floor_cases_needed(floor, min(1.0, floor + _ABOVE_FLOOR), POWER, MISS)
    except ValueError:
        return 0
    return max(0, wanted - n)


def _for_drop(told: Certain, margin: float, disagree: float, repeats: int | None) -> Certain:
    try:
        least: float | None = certifiable_margin(told.worth, disagree)
    except ValueError:
        least = None
    wanted = cases_needed(margin, disagree)
    short = wanted > told.worth
    return replace(
        told,
        least=least,
        chance=pass_probability(told.worth, disagree, 0.0, margin),
        missing=max(told.missing, ceil((wanted - told.worth) / (repeats or 1)) if short else 0),
        repeats=ceil(wanted / told.cases) if short and repeats else None,
    )
