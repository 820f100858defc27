"""What a gate could show, told before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftgate.gate.feasible import cases_of
from pytest_ftgate.gate.power import certifiable_margin
from pytest_ftgate.suite.model import Gate, Suite

__all__ = ["Certain", "certain"]

#: Replies of one model to the same cases disagree on about this share where nothing is known.
_DISCORDANCE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Certain:
    """The drop that an unchanged model is certified against, nine times in ten.

    Attributes:
        margin: the drop that the gate allows, or None where it is a floor alone.
        least: the smallest margin that this many cases can certify, or None for none.
    """

    gate: str
    cases: int
    margin: float | None
    least: float | None = None


def certain(suite: Suite, gate: Gate) -> Certain:
    """Return what *gate* could show with the cases it has."""
    n = cases_of(suite, gate)
    told = Certain(gate=gate.kind, cases=n, margin=gate.max_drop)
    if gate.max_drop is None:
        return told
    try:
        least = certifiable_margin(n, _DISCORDANCE)
    except ValueError:
        return told
    return Certain(gate=gate.kind, cases=n, margin=gate.max_drop, least=least)
