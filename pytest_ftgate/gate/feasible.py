"""Gates that no outcome could pass are refused before anything is asked.

Plain formulas without NumPy: this runs at collection, where nothing heavy may be imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log
from statistics import NormalDist

from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.suite.model import ForgettingGate, Gate, RateGate, Suite

__all__ = ["cases_of", "refuse_impossible"]

_MISS = 0.05
_SQUARE = NormalDist().inv_cdf(1 - _MISS) ** 2


def refuse_impossible(suite: Suite) -> None:
    """Refuse a suite with a gate whose margin or floor its cases can never show.

    Raises:
        SuiteFaults: with a fault for each such gate, and what it would take.
    """
    faults = [
        Fault(suite.name, gate.line, f"{gate.kind}: {message}")
        for gate in suite.gates.values()
        for message in _problems(suite, gate)
    ]
    if faults:
        raise SuiteFaults(suite.name, faults)


def _problems(suite: Suite, gate: Gate) -> Iterable[str]:
    n = cases_of(suite, gate)
    if gate.max_drop is not None:
        # Without a single discordant pair the score test passes from this many cases on.
        wanted = ceil(_SQUARE * (1 - gate.max_drop) / gate.max_drop)
        if n < wanted:
            smallest = _SQUARE / (n + _SQUARE)
            yield (
                f"max_drop: {gate.max_drop:g} can never be shown with {n} cases, even if every "
                f"reply is the same; it takes {wanted} cases, or max_drop: {_up(smallest):g}"
            )
    if isinstance(gate, RateGate) and gate.min is not None and gate.min > 0:
        yield from _floor_problem(gate.min, n)


def _floor_problem(least: float, n: int) -> Iterable[str]:
    highest = _MISS ** (1 / n)
    if highest < least:
        wanted = f"it takes {ceil(log(_MISS) / log(least))} cases, or " if least < 1 else ""
        yield (
            f"min: {least:g} can never be shown with {n} cases, even if every reply is right; "
            f"{wanted}min: {int(highest * 100) / 100:g}"
        )


def cases_of(suite: Suite, gate: Gate) -> int:
    """Return how many cases *gate* has something to say about."""
    if isinstance(gate, ForgettingGate):
        return len(gate.cases)
    if gate.kind == "format":
        return sum(1 for case in suite.cases if case.format) or 1
    return sum(1 for c in suite.cases if c.expected is not None or c.score.kind == "python") or 1


def _up(share: float) -> float:
    return ceil(share * 100) / 100
