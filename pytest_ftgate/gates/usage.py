"""The cost gate and the latency gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gates.design import MAX_MISSING_SHARE, MIN_CASES_FOR_COST, round_up
from pytest_ftgate.gates.feasibility import min_cases_for_quantile, min_latency_cases
from pytest_ftgate.gates.figures import (
    ReplyTimes,
    check_of_figure,
    latency_figure,
    mean_figure,
    quantile_figure,
    request_prices,
    rise_check,
)
from pytest_ftgate.gates.next_steps import (
    blocking_checks,
    case_count_steps,
    gate_place,
    is_near,
    limit_steps,
    missing_steps,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import Samples, align, same_replies
from pytest_ftgate.gates.statements import (
    NextStep,
    Statement,
    StatementKind,
    StepKind,
    Value,
    next_step,
)
from pytest_ftgate.gates.verdict import (
    Check,
    CheckKind,
    Outcome,
    Verdict,
    combine_checks,
    ungated_verdict,
    verdict_place,
)
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import CostGate, LatencyGate
from pytest_ftgate.suite.model import Gate, Suite
from pytest_ftgate.suite.prices import Tariff, request_price


def interval_outcome(low: float | None, high: float | None, limit: float) -> Outcome:
    """Return passed if the whole interval is within *limit*, failed if none of it is."""
    if high is not None and high <= limit:
        return Outcome.PASSED
    return Outcome.FAILED if low is not None and low > limit else Outcome.INCONCLUSIVE


_OF_BASELINE = Statement(StatementKind.NOT_GATED, {"key": "baseline"})


def usage_verdict(
    suite: Suite, gate: Gate, variant: str, checks: tuple[Check, ...], notes: Iterable[Note]
) -> Verdict:
    """Return the verdict of *checks* about a variant."""
    outcome, deciding = combine_checks(checks) if checks else (Outcome.PASSED, 0)
    check = checks[deciding] if checks else None
    check_notes = (one for check in checks for one in check.notes)
    verdict = Verdict(
        **verdict_place(suite, gate, variant),
        outcome=outcome,
        # Nothing can fail the baseline of a gate that limits the rise over it alone.
        statement=Statement(StatementKind.USAGE) if check else _OF_BASELINE,
        gated=check is not None,
        checks=checks,
        deciding=deciding,
        notes=(*check_notes, *notes),
    )
    return replace(verdict, next=tuple(_next_steps(suite, gate, verdict)))


def _next_steps(suite: Suite, gate: Gate, verdict: Verdict) -> Iterator[NextStep]:
    check = verdict.check
    if check is None or verdict.outcome is Outcome.PASSED:
        return
    if verdict.outcome is Outcome.FAILED:
        yield next_step(StepKind.LOWER_USAGE)
    elif not check.informative:
        yield next_step(StepKind.DECLARE_LIMIT, where=gate_place(suite, gate))
        return
    elif check.missing:
        yield from missing_steps(suite, gate, verdict, check.missing)
    else:
        yield from case_count_steps(check, "case")
    yield from limit_steps(suite, gate, _passing_settings(blocking_checks(verdict)))


def _passing_settings(checks: Iterable[Check]) -> list[str]:
    """Return the limits that pass *checks* with the same replies; none if they cannot."""
    settings = []
    for check in sorted(checks, key=lambda check: check.before is None):
        high = check.high
        if high is None or check.missing or not check.informative or not is_near(high, check.limit):
            return []
        if check.before is not None:
            settings.append(f"max_rise: {ceil(high * 100) / 100:g}")
        elif check.unit == "usd":
            settings.append(f"max_usd_per_1k: {round_up(high)}")
        else:
            settings.append(f"max_{check.kind}_ms: {ceil(high)}")
    return settings


#: The largest number of further cases to advise.
_MAX_NEEDED = 20_000
#: A unit with a larger share of the sum is named, since the mean rests on it.
_LARGE_SHARE = 0.1


def evaluate_cost(
    suite: Suite, gate: CostGate, scores: VariantScores, baseline: VariantScores
) -> Verdict:
    """Return the verdict of the cost gate about one variant.

    *baseline* is the same object as *scores* if the variant is the baseline.
    """
    checks = tuple(_cost_checks(suite, gate, scores, baseline))
    notes = _cost_notes(scores, suite.variants[scores.variant].tariff)
    return usage_verdict(suite, gate, scores.variant, checks, notes)


def measure_cost(suite: Suite, gate: CostGate, scores: VariantScores) -> Iterator[Verdict]:
    """Yield the cost of an ungated variant, if its price is known."""
    check = _mean_price_check(scores, suite.variants[scores.variant].tariff, 0.0)
    if check.n:
        yield ungated_verdict(suite, gate, scores.variant, replace(check, outcome=Outcome.PASSED))


def _mean_price_check(scores: VariantScores, tariff: Tariff, limit: float) -> Check:
    """Compare the mean price of 1,000 requests, in USD, with *limit*."""
    prices = request_prices(scores, tariff)
    figure = mean_figure(prices, "usd", flat=tariff.is_flat)
    notes = () if tariff.is_flat else _price_notes(prices.select(prices.has_reply))
    return _cost_outcome(check_of_figure(figure, CheckKind.MEAN, limit, notes=tuple(notes)))


def _cost_checks(
    suite: Suite, gate: CostGate, scores: VariantScores, baseline: VariantScores
) -> Iterator[Check]:
    tariff = suite.variants[scores.variant].tariff
    if gate.max_usd_per_1k is not None:
        yield _mean_price_check(scores, tariff, gate.max_usd_per_1k)
    if gate.max_rise is not None and scores is not baseline:
        yield _cost_rise(suite, scores, baseline, gate.max_rise)


def _cost_rise(suite: Suite, scores: VariantScores, baseline: VariantScores, limit: float) -> Check:
    tariffs = [suite.variants[side.variant].tariff for side in (baseline, scores)]
    before, after = align(*map(request_prices, (baseline, scores), tariffs))
    is_flat = all(tariff.is_flat for tariff in tariffs)
    check = rise_check(before, after, "usd", limit, baseline.variant, flat=is_flat)
    known = before.has_reply & after.has_reply
    if check.before == 0.0 and check.n:
        free = note(NoteKind.FREE_BASELINE, baseline=baseline.variant)
        return replace(check, informative=False, notes=(free,))
    notes = () if is_flat else _price_notes(after.select(known))
    check = replace(check, notes=tuple(notes))
    if same_replies(before, after) and known.all():
        return replace(check, low=0.0, high=0.0, outcome=Outcome.PASSED, is_unchanged=True)
    return _cost_outcome(check)


def _price_notes(prices: Samples) -> Iterator[Note]:
    """Yield that the unrelated cases are few, or that the mean rests on one of them."""
    units = np.unique(prices.units, return_inverse=True)[1]
    sums = np.bincount(units, prices.values * prices.case_weights)
    if 0 < sums.size < MIN_CASES_FOR_COST:
        kind = NoteKind.FEW_CASES if prices.groups is None else NoteKind.FEW_GROUPS
        yield note(kind, n=sums.size, needed=MIN_CASES_FOR_COST)
    elif sums.sum() and sums.max() > _LARGE_SHARE * sums.sum():
        kind = NoteKind.LARGE_CASE if sums.size == len(prices) else NoteKind.LARGE_GROUP
        yield note(kind, share=float(sums.max() / sums.sum()))


def _cost_outcome(check: Check) -> Check:
    # A flat price is exact, however many replies are missing.
    if check.missing > MAX_MISSING_SHARE * (check.n + check.missing) and check.low != check.high:
        return check
    check = replace(check, outcome=interval_outcome(check.low, check.high, check.limit))
    if check.outcome is Outcome.INCONCLUSIVE:
        return replace(check, needed=_needed_cases(check))
    return check


def _needed_cases(check: Check) -> int | None:
    """Return the number of further cases that settle the check if the observed value is real."""
    if check.low is None or check.high is None:
        return None
    value = check.after if check.rise is None else check.rise
    gap = abs(value - check.limit)
    reach = check.high - value if value <= check.limit else value - check.low
    needed = check.n * (reach / gap) ** 2 if gap else np.inf
    return max(1, ceil(needed - check.n)) if needed < _MAX_NEEDED else None


def _cost_notes(scores: VariantScores, tariff: Tariff) -> Iterator[Note]:
    replies = scores.replies
    unpriced = sum(request_price(tariff, reply.usage) is None for reply in replies)
    if unpriced:
        yield note(NoteKind.NO_TOKENS, n=unpriced, of=len(replies))
    if scores.unanswered:
        first = scores.unanswered[0].missing_reasons[0]
        yield note(NoteKind.NO_PRICE, n=len(scores.unanswered), first=first)


_P50 = 0.5
_QUANTILES = {CheckKind.P50: _P50, CheckKind.P95: 0.95}


def evaluate_latency(
    suite: Suite, gate: LatencyGate, times: ReplyTimes, baseline: ReplyTimes | None, in_flight: int
) -> Verdict:
    """Return the verdict of the latency gate about one variant.

    *baseline* is None if the variant is the baseline. *in_flight* is the largest number of
    concurrent requests; 0 if another process made them.
    """
    min_cases = min_latency_cases(gate)
    if times.units < min_cases and times.measured < times.replies:
        return _not_measured(suite, gate, times, min_cases)
    checks = tuple(_latency_checks(gate, times, baseline))
    if not checks and baseline is not None:
        return _not_measured(suite, gate, baseline, min_cases, times.variant)
    return usage_verdict(
        suite, gate, times.variant, checks, _latency_notes(gate, times, baseline, in_flight)
    )


def measure_latency(suite: Suite, gate: LatencyGate, times: ReplyTimes) -> Iterator[Verdict]:
    """Yield the latency of an ungated variant, if its replies are of this run."""
    if times.measured:
        check = replace(_quantile_check(times, CheckKind.P95, 0.0), outcome=Outcome.PASSED)
        median = _quantile_check(times, CheckKind.P50, 0.0).after
        yield ungated_verdict(suite, gate, times.variant, check, {"p50": median})


def _not_measured(
    suite: Suite, gate: LatencyGate, times: ReplyTimes, min_cases: int, variant: str = ""
) -> Verdict:
    """Return a passed verdict without a check, since latency was not measured.

    *times* are incomplete: a measurement takes *min_cases*. The gated variant is by default that of
    *times*.
    """
    values: dict[str, Value] = {
        "variant": times.variant,
        "requested": times.measured,
        "replies": times.replies,
        "needed": min_cases,
    }
    return replace(
        usage_verdict(suite, gate, variant or times.variant, (), ()),
        statement=Statement(StatementKind.NOT_MEASURED, values),
        measured=False,
        next=(next_step(StepKind.REQUEST_TO_MEASURE, **values, suite=suite.name),),
    )


def _latency_checks(
    gate: LatencyGate, times: ReplyTimes, baseline: ReplyTimes | None
) -> Iterator[Check]:
    for kind, limit in ((CheckKind.P50, gate.max_p50_ms), (CheckKind.P95, gate.max_p95_ms)):
        if limit is not None:
            yield _quantile_check(times, kind, limit)
    if gate.max_rise is not None and baseline is not None:
        shared = [case_id for case_id in times.seconds if case_id in baseline.seconds]
        if len({times.groups[case_id] for case_id in shared}) >= min_cases_for_quantile(_P50):
            yield _latency_rise(times, baseline, shared, gate.max_rise)


def _quantile_check(times: ReplyTimes, kind: CheckKind, limit: float) -> Check:
    """Compare a quantile of the latencies, ``p50`` or ``p95``, with *limit* in milliseconds."""
    check = check_of_figure(latency_figure(times, _QUANTILES[kind]), kind, limit)
    return _latency_outcome(times, check)


def _latency_rise(
    times: ReplyTimes, baseline: ReplyTimes, case_ids: Sequence[str], limit: float
) -> Check:
    """Compare the median relative rise over *case_ids*, which may have any latencies."""
    then, now = (
        1000 * np.array([np.mean(side.seconds[case_id]) for case_id in case_ids])
        for side in (baseline, times)
    )
    shared = replace(times, seconds={case_id: times.seconds[case_id] for case_id in case_ids})
    rises = now / np.maximum(then, 1e-9) - 1.0
    before, after, rise = (quantile_figure(shared, side, _P50) for side in (then, now, rises))
    check = check_of_figure(
        rise, CheckKind.BASELINE, limit, against=baseline.variant,
        before=before.value, after=after.value, rise=rise.value,
    )  # fmt: skip
    return _latency_outcome(shared, check)


def _latency_outcome(times: ReplyTimes, check: Check) -> Check:
    """Return *check*, decided by its interval."""
    if check.missing > MAX_MISSING_SHARE * (times.replies + check.missing):
        return check
    return replace(check, outcome=interval_outcome(check.low, check.high, check.limit))


def _latency_notes(
    gate: LatencyGate, times: ReplyTimes, baseline: ReplyTimes | None, in_flight: int
) -> Iterator[Note]:
    if times.measured < times.replies:
        yield note(NoteKind.NOT_REQUESTED, **_unmeasured(times))
    if gate.max_rise is not None and baseline is not None and baseline.measured < baseline.replies:
        counts, name = _unmeasured(baseline), baseline.variant
        yield note(NoteKind.BASELINE_NOT_REQUESTED, **counts, baseline=name)
    if times.missing:
        yield note(NoteKind.NO_TIME, n=len(times.missing), first=times.missing[0])
    if times.measured:
        yield note(NoteKind.IN_FLIGHT, n=in_flight) if in_flight else note(NoteKind.OTHER_WORKER)


def _unmeasured(times: ReplyTimes) -> dict[str, int]:
    return {"n": times.replies - times.measured, "of": times.replies}
