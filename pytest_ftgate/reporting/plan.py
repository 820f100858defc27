"""The plan as text: requests, cost, power; and the results of a self-test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.power import Certain, SelfTest
from pytest_ftgate.gates.units import clock, counted, percent, points, usd
from pytest_ftgate.reporting.tables import grid
from pytest_ftgate.requests.contamination import Leak
from pytest_ftgate.requests.estimate import USUAL_SECONDS, Estimate
from pytest_ftgate.suite.prices import INSTALL, listed_models

__all__ = ["leak_lines", "planned", "power_lines", "selftest_lines"]


def planned(estimates: Sequence[Estimate], problems: Sequence[str]) -> Iterator[str]:
    """Yield the lines on what would be asked.

    Args:
        estimates: for each variant what it would ask.
        problems: why variants cannot be asked at all.
    """
    rows = [_cells(one) for one in estimates]
    rows += [_total(estimates)] if len(estimates) > 1 else []
    headers = ["variant", "calls", "in ledger", "to ask", "tokens", "USD", "time"]
    yield from (f"  {line}" for line in grid(rows, headers, right=range(1, 7)).split("\n"))
    yield from (f"  {problem}" for problem in problems)
    yield "  A call that variants share is counted once, where it is first needed."
    yield from _assumptions(estimates)
    yield "  Nothing was asked."


def _cells(one: Estimate) -> list[str]:
    time = f"~{clock(one.seconds)}" if one.to_ask else clock(0)
    return [one.variant, *_counts([one]), _money([one]), f"{time}*" if one.assumed else time]


def _total(estimates: Sequence[Estimate]) -> list[str]:
    lanes: dict[tuple[str, str], float] = defaultdict(float)
    for one in estimates:
        lanes[one.lane] += one.seconds
    time = f"~{clock(max(lanes.values()))}" if any(lanes.values()) else clock(0)
    return ["total", *_counts(estimates), _money(estimates), time]


def _counts(estimates: Sequence[Estimate]) -> list[str]:
    calls, kept, to_ask, tokens = (
        sum(getattr(one, key) for one in estimates) for key in ("calls", "kept", "to_ask", "tokens")
    )
    return [f"{calls:,}", f"{kept:,}", f"{to_ask:,}", f"{tokens / 1000:,.0f} k"]


def _money(estimates: Sequence[Estimate]) -> str:
    known = [one.usd for one in estimates if one.usd is not None]
    rest = dict.fromkeys(one.unknown for one in estimates if one.unknown)
    told = [usd(sum(known, Decimal(0))).removesuffix(" USD")] if known or not rest else []
    return " + ".join([*told, *rest])


def _assumptions(estimates: Sequence[Estimate]) -> Iterator[str]:
    if any(one.tokens for one in estimates):
        yield "  tokens: replies as long as earlier ones of the model, or else as they may be."
    if any(one.assumed for one in estimates):
        yield f"  * no reply was timed yet: taken for {USUAL_SECONDS:g} s a call."
    if any(one.listed for one in estimates) and listed_models() is None:
        yield f"  for prices of hosted models: {INSTALL}"


def leak_lines(leaks: Iterable[Leak]) -> Iterator[str]:
    """Yield a line for each variant that was trained on cases of its suite."""
    for one in leaks:
        verb = "is" if one.leaked == 1 else "are"
        count = f"{one.leaked:,} of {counted(one.cases, one.of)} {verb} in {one.file}"
        first = f"{'' if one.leaked == 1 else 'as '}{one.case} (line {one.line})"
        yield f"  {one.variant}: {count}, {first}: what a model has seen it need not know"
        if one.canary:
            yield f"  {one.variant}: {one.file} holds the canary of the bundled skills: take it out"


def power_lines(gates: Sequence[Certain]) -> Iterator[str]:
    """Yield the lines on what the gates could show, and what is missing."""
    rows = [
        [
            f"{one.gate}[{one.variant}]",
            f"{one.cases:,}",
            "" if one.margin is None else points(-one.margin),
            *_drop_cells(one),
            _missing(one),
        ]
        for one in gates
    ]
    headers = ["gate", "cases", "allowed", "certifies", "disagree", "passes", "missing"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(1, 2, 3, 4, 5, 6)).split("\n"))
    yield "  certifies: the least drop of which 9 in 10 unchanged variants are cleared"
    yield "  disagree:  cases on which two sides differ; measured with a *, else usual"
    yield "  passes:    how often an unchanged variant does; never where baselines guess"
    yield "  missing:   cases more, or repeats (×), for 9 in 10 to pass; of a floor,"
    yield "             for 9 in 10 that are 5 points above it"


def _missing(one: Certain) -> str:
    if not one.missing:
        return ""
    return f"+{one.missing:,}" + (f" or ×{one.repeats}" if one.repeats else "")


def _drop_cells(one: Certain) -> list[str]:
    if one.margin is None:
        return [f"floor {percent(one.floor or 0.0)}", "", ""]
    if one.discordance is None:
        return ["nothing", "", "at chance"]
    least = "nothing" if one.least is None else points(-one.least)
    star = "*" if one.measured else ""
    return [least, f"{percent(one.discordance)}{star}", percent(one.chance or 0.0)]


def selftest_lines(
    tested: Sequence[SelfTest], variant: str, repeats: int, levels: Levels
) -> Iterator[str]:
    """Yield the lines.

    Args:
        tested: what was found for each gate.
        variant: whose replies were drawn from.
        repeats: how many replies to each case.
        levels: the risks of one drop check.
    """
    first = tested[0]
    yield f"  {first.pairs:,} pairs of runs, drawn from {repeats} live replies of {variant} to each"
    yield f"  of {first.cases:,} cases; one drop check may fail {levels.alarm:.2%} of them."
    yield ""
    rows = [
        [
            one.gate,
            points(-one.margin),
            *(f"{share:.1%}" for share in (one.discordance, one.passed, one.inconclusive)),
            *(f"{share:.1%}" for share in (one.failed, one.flips)),
            f"{one.needed:,}",
        ]
        for one in tested
    ]
    headers = ["gate", "allowed", "disagree", "passed", "inconclusive", "failed", "flips", "needs"]
    right = range(1, len(headers))
    yield from (f"  {line}" for line in grid(rows, headers, right=right).split("\n"))
    yield ""
    yield "  disagree: cases on which two runs of the same variant differ. flips: how often two"
    yield "  pairs of runs would disagree on passing. needs: cases to pass 9 times in 10."
    for one in tested:
        if one.gate == "forgetting":
            told = ", ".join(f"{skill} in {share:.1%}" for skill, share in one.lost.items())
            yield f"  skills called lost, in the share of pairs: {told or 'none'}."
