"""Feasibility: whether any replies can pass a gate, and whether its scorers run here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import ceil, log
from statistics import NormalDist

from pytest_ftgate.gates.levels import (
    CONFIDENCE,
    MIN_CASES_FOR_F1,
    MIN_GROUPS,
    MISS,
    POWER,
    TYPICAL_DISCORDANCE,
)
from pytest_ftgate.requests.workload import replies_vary
from pytest_ftgate.scoring.sandbox import can_sandbox
from pytest_ftgate.suite.gate_kinds import ForgettingGate, LatencyGate, RateGate, skills_gate
from pytest_ftgate.suite.model import Case, Suite

#: The largest number of replies to each case with ``repeats: auto``.
MAX_REPEATS = 10
#: The miss level of the last of five looks: O'Brien and Fleming's 1.7397.
_LAST_LOOK_MISS = 1 - NormalDist().cdf(1.7397)
#: The number of skills that a message names.
_MAX_NAMED = 3
#: The quantiles of latency that gates limit.
_P50, _P95 = 0.5, 0.95


def rate_problems(gate: RateGate, n: int) -> Iterable[str]:
    """Yield why no replies to *n* cases could pass an accuracy or a format gate."""
    if gate.evidence == "point":
        return
    if gate.metric == "macro_f1":
        if n < MIN_CASES_FOR_F1:
            needed = f"it takes {MIN_CASES_FOR_F1}, or metric: accuracy"
            yield f"macro_f1 can show nothing with {n} cases; {needed}"
        return
    miss = _LAST_LOOK_MISS if gate.stop_early else MISS
    if gate.max_drop is not None:
        yield from _drop_problem(gate.max_drop, n, miss)
    if gate.min is not None and gate.min > 0:
        yield from _minimum_problem(gate.min, n, miss)


def skill_problems(gate: ForgettingGate, n: int) -> Iterable[str]:
    """Yield why no replies to the skill cases, *n* of them evaluated, could pass the gate."""
    yield from _skill_margin_problems(gate)
    yield from _drop_problem(gate.max_drop, n, MISS)


def _min_cases_for_drop(margin: float, miss: float) -> int:
    """Return from how many cases on the score test passes without a discordant pair."""
    return ceil(_squared_quantile(miss) * (1 - margin) / margin)


def _squared_quantile(miss: float) -> float:
    return NormalDist().inv_cdf(1 - miss) ** 2


def _drop_problem(margin: float, n: int, miss: float) -> Iterable[str]:
    needed = _min_cases_for_drop(margin, miss)
    if n < needed:
        square = _squared_quantile(miss)
        smallest = square / (n + square)
        yield (
            f"max_drop: {margin:g} can never be shown with {n} cases, even if every "
            f"reply is the same; it takes {needed} cases, or max_drop: {_round_up(smallest):g}"
        )


def _skill_margin_problems(gate: ForgettingGate) -> Iterable[str]:
    """Yield the skills that have too few cases for their required margin."""
    counts = Counter(case.skill for case in gate.cases)
    square, skills_by_margin = _squared_quantile(MISS), dict[float, list[str]]()
    for skill, n in counts.items():
        margin = gate.required_margin(str(skill))
        if margin is not None and n < _min_cases_for_drop(margin, MISS):
            skills_by_margin.setdefault(margin, []).append(str(skill))
    for margin, skills in skills_by_margin.items():
        needed = _min_cases_for_drop(margin, MISS)
        smallest = square / (square + min(counts[skill] for skill in skills))
        named = ", ".join(f"{skill} ({counts[skill]})" for skill in skills[:_MAX_NAMED])
        more = f" and {len(skills) - _MAX_NAMED} more" if len(skills) > _MAX_NAMED else ""
        yield (
            f"a loss of {margin:g} can never be ruled out in {named}{more}, "
            f"even if every reply is the same; it takes {needed} cases of a skill, or a "
            f"margin of {_round_up(smallest):g}"
        )


def latency_problems(gate: LatencyGate, n: int) -> Iterable[str]:
    """Yield why *n* cases could not bound the latency."""
    if n < min_latency_cases(gate):
        quantile = "the 95th percentile" if gate.max_p95_ms is not None else "a median"
        yield f"{n} cases can never bound {quantile}; it takes {min_latency_cases(gate)}"


def cost_problems(suite: Suite, n: int) -> Iterable[str]:
    """Yield why *n* cases could not bound the mean price of a request."""
    flat = all(variant.tariff.per_1k is not None for variant in suite.variants.values())
    if n < MIN_GROUPS and not flat:
        yield f"{n} cases can never bound a mean price; it takes {MIN_GROUPS}"


def min_latency_cases(gate: LatencyGate) -> int:
    """Return the number of cases that every limit of *gate* needs."""
    return min_cases_for_quantile(_P95 if gate.max_p95_ms is not None else _P50)


def min_cases_for_quantile(share: float) -> int:
    """Return the number of values whose largest is an upper bound of a quantile, a share."""
    return ceil(log((1 - CONFIDENCE) / 2) / log(share))


def _minimum_problem(minimum: float, n: int, miss: float) -> Iterable[str]:
    highest = miss ** (1 / n)
    if highest < minimum:
        needed = f"it takes {ceil(log(miss) / log(minimum))} cases, or " if minimum < 1 else ""
        yield (
            f"min: {minimum:g} can never be shown with {n} cases, even if every reply is right; "
            f"{needed}min: {int(highest * 100) / 100:g}"
        )


def needed_repeats(suite: Suite) -> int:
    """Return the number of replies to each case with which an unchanged variant passes.

    It passes 9 times in 10, if two runs disagree on as many cases as usual. The number is at most
    *MAX_REPEATS*, and 1 if no reply varies. An explicit ``repeats`` of the suite takes precedence.
    """
    if suite.repeats is not None:
        return suite.repeats
    if not any(replies_vary(variant) for variant in suite.variants.values()):
        return 1
    quantiles = NormalDist().inv_cdf(1 - MISS) + NormalDist().inv_cdf(POWER)
    repeats = [
        quantiles**2 * TYPICAL_DISCORDANCE / gate.max_drop**2 / gate.count_cases(suite.cases)
        for gate in suite.gates.values()
        if gate.is_rate and gate.max_drop
    ]
    return min(MAX_REPEATS, max([1, *(ceil(number) for number in repeats)]))


def _round_up(share: float) -> float:
    """Return *share* rounded up to two decimals."""
    return ceil(share * 100) / 100


def exclude_unrunnable_skills(suite: Suite) -> Suite:
    """Return *suite* without the skills cases whose code cannot be sandboxed on this machine.

    The gate notes the excluded skills. The other skills stay usable on such a machine.
    """
    gate = skills_gate(suite)
    if gate is None or can_sandbox():
        return suite
    runnable = tuple(case for case in gate.cases if not _needs_sandbox(case))
    excluded = sorted({str(case.skill) for case in gate.cases if _needs_sandbox(case)})
    if not excluded or not runnable:
        return suite
    note = (
        f"left out: {', '.join(excluded)}, "
        "since the code of a model cannot be shut in on this machine"
    )
    return replace(
        suite, gates={**suite.gates, gate.kind: replace(gate, cases=runnable, exclusion_note=note)}
    )


def _needs_sandbox(case: Case) -> bool:
    """Return True if the scorer of *case* runs code, unless the case turns its sandbox off."""
    return any(rule.kind == "code" and "sandbox" not in rule.options for rule in case.score.parts)
