"""Feasibility: can any outcome pass a gate, and can its scorers run on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import ceil, log
from statistics import NormalDist

from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.gates.levels import (
    CONFIDENCE,
    FEWEST_FOR_F1,
    FEWEST_GROUPS,
    MISS,
    POWER,
    USUAL_DISCORDANCE,
)
from pytest_ftgate.requests.workload import varies
from pytest_ftgate.scoring.sandbox import can_shut_in
from pytest_ftgate.suite.model import (
    Case,
    CostGate,
    DataGate,
    ForgettingGate,
    Gate,
    LatencyGate,
    RateGate,
    SpendGate,
    Suite,
)

__all__ = [
    "MOST_REPEATS",
    "cases_of",
    "fewest",
    "fewest_for",
    "refuse_impossible",
    "repeats_for",
    "runnable",
]

#: With ``repeats: auto`` no case is asked more often than this.
MOST_REPEATS = 10
#: What the last of five looks may spend of the risk of a miss: O'Brien and Fleming's 1.7397.
_LAST_LOOK = 1 - NormalDist().cdf(1.7397)
#: Of many skills that have one fault so many are named.
_NAMED = 3
#: The quantiles of latency that are held to limits.
_HALF, _MOST = 0.5, 0.95


def refuse_impossible(suite: Suite) -> None:
    """Refuse a suite with a gate whose margin or floor its cases can never show.

    Raises:
        SuiteFaults: with a fault for each such gate, and what it would take.
    """
    faults = [
        Fault(suite.name, gate.line, f"{_called(gate)}{message}")
        for gate in suite.gates.values()
        for message in _problems(suite, gate)
    ]
    if faults:
        raise SuiteFaults(suite.name, faults)


def _called(gate: Gate) -> str:
    # The line of a marked function says whose margin it is.
    return "" if isinstance(gate, RateGate) and gate.called else f"{gate.kind}: "


def _problems(suite: Suite, gate: Gate) -> Iterable[str]:
    if isinstance(gate, DataGate):
        return
    n = cases_of(suite, gate)
    if isinstance(gate, CostGate | LatencyGate):
        yield from _spend_problems(suite, gate, n)
        return
    if isinstance(gate, RateGate) and gate.evidence == "point":
        return
    if isinstance(gate, RateGate) and gate.metric == "macro_f1":
        if n < FEWEST_FOR_F1:
            told = f"it takes {FEWEST_FOR_F1}, or metric: accuracy"
            yield f"macro_f1 can show nothing with {n} cases; {told}"
        return
    early = isinstance(gate, RateGate) and gate.stop_early
    miss = _LAST_LOOK if early else MISS
    square = NormalDist().inv_cdf(1 - miss) ** 2
    if isinstance(gate, ForgettingGate):
        yield from _skill_problems(gate)
    if gate.max_drop is not None:
        # Without a single discordant pair the score test passes from this many cases on.
        wanted = ceil(square * (1 - gate.max_drop) / gate.max_drop)
        if n < wanted:
            smallest = square / (n + square)
            yield (
                f"max_drop: {gate.max_drop:g} can never be shown with {n} cases, even if every "
                f"reply is the same; it takes {wanted} cases, or max_drop: {_up(smallest):g}"
            )
    if isinstance(gate, RateGate) and gate.min is not None and gate.min > 0:
        yield from _floor_problem(gate.min, n, miss)


def _skill_problems(gate: ForgettingGate) -> Iterable[str]:
    """Yield the skills that have too few cases for the margin that they must keep to."""
    counts = Counter(case.skill for case in gate.cases)
    square, alike = NormalDist().inv_cdf(1 - MISS) ** 2, dict[float, list[str]]()
    for skill, n in counts.items():
        margin = gate.required(str(skill))
        if margin is not None and n < ceil(square * (1 - margin) / margin):
            alike.setdefault(margin, []).append(f"{skill} ({n})")
    for margin, few in alike.items():
        wanted = ceil(square * (1 - margin) / margin)
        most = square / (square + min(counts[one.partition(" ")[0]] for one in few))
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        yield (
            f"a loss of {margin:g} can never be ruled out in {', '.join(few[:_NAMED])}{more}, even "
            f"if every reply is the same; it takes {wanted} cases of a skill, or a margin of "
            f"{_up(most):g}"
        )


def _spend_problems(suite: Suite, gate: SpendGate, n: int) -> Iterable[str]:
    if isinstance(gate, LatencyGate):
        if n < fewest_for(gate):
            quantile = "the 95th percentile" if gate.max_p95_ms is not None else "a median"
            yield f"{n} cases can never bound {quantile}; it takes {fewest_for(gate)}"
        return
    flat = all(one.tariff.per_1k is not None for one in suite.variants.values())
    if n < FEWEST_GROUPS and not flat:
        yield f"{n} cases can never bound a mean price; it takes {FEWEST_GROUPS}"


def fewest_for(gate: LatencyGate) -> int:
    """Return how many cases it takes for every limit of *gate* to be held."""
    return fewest(_MOST if gate.max_p95_ms is not None else _HALF)


def fewest(share: float) -> int:
    """Return how many values it takes for the largest to bound a quantile from above."""
    return ceil(log((1 - CONFIDENCE) / 2) / log(share))


def _floor_problem(least: float, n: int, miss: float) -> Iterable[str]:
    highest = miss ** (1 / n)
    if highest < least:
        wanted = f"it takes {ceil(log(miss) / log(least))} cases, or " if least < 1 else ""
        yield (
            f"min: {least:g} can never be shown with {n} cases, even if every reply is right; "
            f"{wanted}min: {int(highest * 100) / 100:g}"
        )


def repeats_for(suite: Suite) -> int:
    """Return how often each case must be asked for every gate to pass an unchanged variant.

    Nine times in ten, replies disagreeing on as many cases as they usually do; at most
    *MOST_REPEATS*, and once where no reply varies.
    """
    if suite.repeats is not None:
        return suite.repeats
    if not any(varies(variant) for variant in suite.variants.values()):
        return 1
    reach = NormalDist().inv_cdf(1 - MISS) + NormalDist().inv_cdf(POWER)
    wanted = [
        reach**2 * USUAL_DISCORDANCE / gate.max_drop**2 / cases_of(suite, gate)
        for gate in suite.gates.values()
        if isinstance(gate, RateGate) and gate.max_drop
    ]
    return min(MOST_REPEATS, max([1, *(ceil(one) for one in wanted)]))


def cases_of(suite: Suite, gate: Gate) -> int:
    """Return how many cases *gate* has something to say about."""
    if isinstance(gate, ForgettingGate):
        return sum(gate.weight(str(case.skill)) > 0 for case in gate.cases)
    if isinstance(gate, CostGate | LatencyGate):
        return len(suite.cases)
    if gate.kind == "format":
        return sum(1 for case in suite.cases if case.format) or 1
    return sum(case.marked for case in suite.cases) or 1


def _up(share: float) -> float:
    return ceil(share * 100) / 100


def runnable(suite: Suite) -> Suite:
    """Return *suite* without the skills cases whose code cannot be shut in here, and say which.

    A set that comes with the package must not keep a whole machine from being used.
    """
    gate = suite.gates.get("forgetting")
    if not isinstance(gate, ForgettingGate) or can_shut_in():
        return suite
    left = tuple(case for case in gate.cases if not _runs_code(case))
    gone = sorted({str(case.skill) for case in gate.cases if _runs_code(case)})
    if not gone or not left:
        return suite
    told = (
        f"left out: {', '.join(gone)}, since the code of a model cannot be shut in on this machine"
    )
    return replace(
        suite, gates={**suite.gates, gate.kind: replace(gate, cases=left, left_out=told)}
    )


def _runs_code(case: Case) -> bool:
    """Tell whether scoring *case* runs code that the author did not set free."""
    return any(r.kind == "code" and "sandbox" not in r.options for r in case.score.parts)
