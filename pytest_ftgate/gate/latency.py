"""The latency gate: how long replies take, and how much longer than the baseline's.

Only what was asked in this run was measured in this run: a reply from the ledger tells how long
it took on another day. Quantiles are bounded by order statistics, which is exact whatever shape
the times have; the case is the unit, so that repeats make no interval narrower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.feasible import fewest, fewest_for
from pytest_ftgate.gate.numbers.proportion import binomial_cdf
from pytest_ftgate.gate.risks import CONFIDENCE, MOST_MISSING
from pytest_ftgate.gate.side import Array
from pytest_ftgate.gate.spent import beside, decided, verdict_on
from pytest_ftgate.gate.verdict import Check, Outcome, Verdict
from pytest_ftgate.gate.words import ms
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.suite.margins import LatencyGate
from pytest_ftgate.suite.model import Suite

__all__ = ["Times", "judge_latency", "measure_latency", "quantile", "times"]

_HALF, _MOST = 0.5, 0.95
_ASK_ANEW = "ask all of them anew to measure it: --ftgate-replies=fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the replies of a variant took.

    Attributes:
        variant: whose they are.
        seconds: by case, of the replies that were asked in this run.
        groups: what each case belongs to, its own id where it stands for itself.
        came: replies in all.
        missing: why others did not come.
    """

    variant: str
    seconds: Mapping[str, Sequence[float]]
    groups: Mapping[str, str]
    came: int
    missing: tuple[str, ...] = ()

    @property
    def measured(self) -> int:
        """How many replies were asked in this run."""
        return sum(map(len, self.seconds.values()))

    @property
    def units(self) -> int:
        """How many unrelated cases they are of."""
        return len({self.groups[key] for key in self.seconds})


def times(
    variant: str,
    asks: Iterable[Ask],
    answers: Mapping[str, Reply | FtgateError],
    fresh: Mapping[str, Reply],
) -> Times:
    """Return how long the replies to *asks* took.

    Args:
        variant: whose they are.
        asks: the cases and their calls.
        answers: what became of the calls.
        fresh: the replies among them that were asked in this run.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    groups, came, missing = dict[str, str](), 0, list[str]()
    for ask in asks:
        answer = answers[ask.call.fingerprint]
        came += isinstance(answer, Reply)
        missing += [str(answer)] if not isinstance(answer, Reply) else []
        if ask.call.fingerprint in fresh:
            seconds[ask.case.id].append(fresh[ask.call.fingerprint].seconds)
            groups[ask.case.id] = ask.case.group or f"\0{ask.case.id}"
    told = tuple(missing)
    return Times(variant=variant, seconds=seconds, groups=groups, came=came, missing=told)


def judge_latency(
    suite: Suite, gate: LatencyGate, mine: Times, baseline: Times | None, flying: int
) -> Verdict:
    """Judge how long the replies of a variant took.

    Args:
        suite: the suite.
        gate: the gate.
        mine: the variant's times.
        baseline: those of the baseline; None where the variant is the baseline.
        flying: how many calls were in flight at once at most; 0 where another process asked.
    """
    least = fewest_for(gate)
    if mine.units < least and mine.measured < mine.came:
        return _not_measured(suite, gate, mine, least)
    checks = tuple(_checks(gate, mine, baseline))
    if not checks and baseline is not None:
        return _not_measured(suite, gate, baseline, least, mine.variant)
    return verdict_on(suite, gate, mine.variant, checks, _notes(gate, mine, baseline, flying))


def measure_latency(suite: Suite, gate: LatencyGate, of: Times) -> Iterator[Verdict]:
    """Yield how long the replies of an ungated variant took, where they were asked in this run."""
    if of.measured:
        check = _held(of, "p95", _MOST, 0.0)
        median = _held(of, "p50", _HALF, 0.0).after
        yield beside(suite, gate, of.variant, check, f"p50 {ms(median)}, p95 {ms(check.after)}")


def _not_measured(
    suite: Suite, gate: LatencyGate, of: Times, least: int, variant: str = ""
) -> Verdict:
    """Pass without a word on speed: what was not measured can neither hold a limit nor break it."""
    told = f"{of.measured:,} of {of.came:,} replies of {of.variant} were asked in this run"
    told = f"not measured: {told}, and it takes {least} cases; {_ASK_ANEW}"
    plain = verdict_on(suite, gate, variant or of.variant, (), [told])
    return replace(plain, headline=told.partition(";")[0])


def _checks(gate: LatencyGate, mine: Times, baseline: Times | None) -> Iterator[Check]:
    for name, share, limit in (("p50", _HALF, gate.max_p50_ms), ("p95", _MOST, gate.max_p95_ms)):
        if limit is not None:
            yield _held(mine, name, share, limit)
    if gate.max_rise is not None and baseline is not None:
        both = [key for key in mine.seconds if key in baseline.seconds]
        if len({mine.groups[key] for key in both}) >= fewest(_HALF):
            yield _rise(mine, baseline, both, gate.max_rise)


def _held(mine: Times, name: str, share: float, limit: float) -> Check:
    values = 1000 * np.array([one for own in mine.seconds.values() for one in own])
    return _decided(mine, values, share, Check(
        against=name, outcome=Outcome.INCONCLUSIVE, limit=limit, n=values.size, after=0.0,
    ))  # fmt: skip


def _rise(mine: Times, baseline: Times, both: Sequence[str], limit: float) -> Check:
    """Compare case by case: a median of ratios needs no two cases to be alike."""
    then, now = (
        1000 * np.array([np.mean(one.seconds[key]) for key in both]) for one in (baseline, mine)
    )
    shared = replace(mine, seconds={key: mine.seconds[key] for key in both})
    check = _decided(shared, now / np.maximum(then, 1e-9) - 1.0, _HALF, Check(
        against=baseline.variant, outcome=Outcome.INCONCLUSIVE, limit=limit, n=len(both), after=0.0,
    ))  # fmt: skip
    before, after = float(np.median(then)), float(np.median(now))
    return replace(check, rise=check.after, before=before, after=after)


def _decided(of: Times, values: Array, share: float, check: Check) -> Check:
    seen, low, high = quantile(values, share, of.units)
    gone = len(of.missing)
    outcome = decided(low, high, check.limit)
    if gone > MOST_MISSING * (of.came + gone):
        outcome = Outcome.INCONCLUSIVE
    return replace(
        check, outcome=outcome, after=seen, low=low, high=high, effective=of.units,
        missing=gone, unit="ms", method="order",
    )  # fmt: skip


def quantile(values: Array, share: float, units: int) -> tuple[float, float | None, float | None]:
    """Return a quantile of *values* and its exact 95 % interval, by order statistics.

    Args:
        values: what was measured, at least one.
        share: which quantile, 0.5 for the median.
        units: how many of the values count as independent.

    Returns:
        the quantile, and its bounds, None where so few values do not bound it.
    """
    ranked, risk = np.sort(values), (1.0 - CONFIDENCE) / 2.0
    if not ranked.size:
        return 0.0, None, None
    # At the rank r from 1 a bound fails where fewer than r values lie below the true quantile.
    below = binomial_cdf(np.arange(units, dtype=np.float64), float(units), share)
    lower = int(np.count_nonzero(below <= risk))
    upper = int(np.count_nonzero(below < 1.0 - risk)) + 1
    ranks = [ceil(rank * ranked.size / units) for rank in (lower, upper)]
    low = float(ranked[ranks[0] - 1]) if lower else None
    high = float(ranked[ranks[1] - 1]) if upper <= units else None
    return float(np.quantile(ranked, share, method="inverted_cdf")), low, high


def _notes(gate: LatencyGate, mine: Times, baseline: Times | None, flying: int) -> Iterator[str]:
    if mine.measured < mine.came:
        yield f"{mine.came - mine.measured:,} of {mine.came:,} replies were not asked in this run"
    if gate.max_rise is not None and baseline is not None and baseline.measured < baseline.came:
        told = f"{baseline.came - baseline.measured:,} of {baseline.came:,} replies"
        yield f"{told} of {baseline.variant} were not asked in this run; {_ASK_ANEW}"
    if mine.missing:
        yield f"no reply to {len(mine.missing)} calls; first: {mine.missing[0]}"
    if mine.measured and flying:
        yield f"measured with up to {flying} call{'s' * (flying != 1)} in flight at once"
    elif mine.measured:
        yield "measured by another worker of this run"
