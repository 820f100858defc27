"""The cost gate, the usage gate and the latency gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_ftgate.errors import FigureError
from pytest_ftgate.gates.case_cost import CostBound, cost_bound, largest_that, most_usd
from pytest_ftgate.gates.design import MAX_MISSING_SHARE, MIN_CASES_WITHOUT_BOUND, SIDE, round_up
from pytest_ftgate.gates.feasibility import min_cases_for_quantile, min_latency_cases
from pytest_ftgate.gates.figures import (
    ReplyTimes,
    bounded_ratio,
    check_of_figure,
    latency_figure,
    price_figure,
    quantile_figure,
    request_prices,
    rise_check,
)
from pytest_ftgate.gates.next_steps import (
    blocking_checks,
    case_count_steps,
    gate_place,
    is_near,
    last_settled,
    limit_steps,
    max_tokens_place,
    missing_steps,
    observed_amount,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.run_figures import Amount
from pytest_ftgate.gates.run_limits import (
    LIMIT_KEYS,
    USAGE_KEYS,
    RunSides,
    amount_check,
    amount_rise,
    gap_notes,
    run_steps,
    state_steps,
)
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
from pytest_ftgate.requests.reply import reply_price
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import CostGate, LatencyGate, UsageGate
from pytest_ftgate.suite.model import Gate, Suite
from pytest_ftgate.suite.prices import Tariff, has_price

if TYPE_CHECKING:
    from pytest_ftgate.stats.resampling import BoundedRatio


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
    # A note that holds for several checks stands once.
    check_notes = {one.kind: one for check in checks for one in check.notes}
    verdict = Verdict(
        **verdict_place(suite, gate, variant),
        outcome=outcome,
        # Nothing can fail the baseline of a gate that limits the rise over it alone.
        statement=Statement(StatementKind.USAGE) if check else _OF_BASELINE,
        gated=check is not None,
        checks=checks,
        deciding=deciding,
        notes=(*check_notes.values(), *notes),
    )
    return replace(verdict, next=tuple(_next_steps(suite, gate, verdict)))


def _next_steps(suite: Suite, gate: Gate, verdict: Verdict) -> Iterator[NextStep]:
    check = verdict.check
    if check is None or verdict.outcome is Outcome.PASSED:
        return
    if check.unit in LIMIT_KEYS:
        yield from run_steps(suite, gate, verdict, check)
    elif verdict.outcome is Outcome.FAILED:
        yield next_step(StepKind.LOWER_USAGE)
    elif not check.informative:
        yield next_step(StepKind.DECLARE_LIMIT, where=gate_place(suite, gate))
        return
    elif any(one.kind == NoteKind.UNKNOWN_RUNS for one in verdict.notes):
        yield from state_steps(suite, verdict.notes)
    elif check.missing > MAX_MISSING_SHARE * (check.n + check.missing):
        yield from _missing_steps(suite, gate, verdict, check.missing)
    else:
        blocking = blocking_checks(verdict)
        lower = [*_max_tokens_step(suite, verdict, blocking)]
        more = case_count_steps(last_settled(blocking), "case")
        if any(one.kind in (NoteKind.FEW_CASES, NoteKind.FEW_GROUPS) for one in verdict.notes):
            where = gate_place(suite, gate)
            yield next_step(StepKind.BOUND_COST, needed=MIN_CASES_WITHOUT_BOUND, where=where)
        yield from lower
        yield from (one for one in more if one.kind is StepKind.ADD_CASES or not lower)
    yield from limit_steps(suite, gate, _passing_settings(blocking_checks(verdict)))


def _missing_steps(suite: Suite, gate: Gate, verdict: Verdict, missing: int) -> Iterator[NextStep]:
    """Yield what brings *missing* prices: no run brings those of replies without tokens."""
    notes = (one for one in verdict.notes if one.kind in (NoteKind.NO_TOKENS, NoteKind.NO_TARIFF))
    counted = {str(one.values["variant"]): one.kind == NoteKind.NO_TARIFF for one in notes}
    declared = [name for name in counted if counted[name] or suite.variants[name].replies is None]
    for name in declared:
        where = suite.places.get(f"variants.{name}", suite.name)
        yield next_step(StepKind.DECLARE_PRICE, variant=name, counted=counted[name], where=where)
    if not declared or any(one.kind == NoteKind.NO_PRICE for one in verdict.notes):
        yield from missing_steps(suite, gate, verdict, missing)


def _max_tokens_step(suite: Suite, verdict: Verdict, checks: Sequence[Check]) -> Iterator[NextStep]:
    """Yield the ``max_tokens`` with which the same replies pass *checks*, if there is one."""
    notes = [one.values for check in checks for one in check.notes]
    passing = [tokens for one in notes if isinstance(tokens := one.get("passing"), int)]
    longest = [tokens for one in notes if isinstance(tokens := one.get("longest"), int)]
    if passing and len(passing) == len(checks):
        told = {"tokens": min(passing), "longest": max(longest)}
        where = max_tokens_place(suite, verdict.variant)
        yield next_step(StepKind.SET_MAX_TOKENS, **told, where=where)


def _passing_settings(checks: Iterable[Check]) -> list[str]:
    """Return the limits that pass *checks* with the same replies; none if they cannot."""
    settings = dict[str, float]()
    for check in sorted(checks, key=lambda check: check.before is None):
        high = observed_amount(check) if check.method == "point" else check.high
        if high is None or check.missing or not check.informative or not is_near(high, check.limit):
            return []
        # What keeps such a check open is not its limit.
        if high <= check.limit or any(one.kind == NoteKind.COPIES for one in check.notes):
            return []
        if check.before is not None:
            settings["max_rise"] = max(settings.get("max_rise", 0.0), ceil(high * 100) / 100)
        elif check.unit in ("usd", Amount.COST_PER_SUCCESS):
            settings[LIMIT_KEYS.get(check.unit, "max_usd_per_1k")] = float(round_up(high))
        else:
            settings[LIMIT_KEYS.get(check.unit, f"max_{check.kind}_ms")] = ceil(high)
    return [f"{key}: {value:.15g}" for key, value in settings.items()]


#: The largest number of further cases to advise.
_MAX_NEEDED = 20_000
#: A unit with a larger share of the sum is named, since the mean rests on it.
_LARGE_SHARE = 0.1
#: A price may exceed its bound, or a mean its limit, by this share of it through rounding.
_ROUNDING = 1e-9


def evaluate_cost(
    suite: Suite, gate: CostGate, scores: VariantScores, baseline: VariantScores
) -> Verdict:
    """Return the verdict of the cost gate about one variant.

    *baseline* is the same object as *scores* if the variant is the baseline.

    Raises:
        FigureError: a case cost more than one can.
    """
    side = _priced(suite, scores)
    checks, notes = list[Check](), list[Note]()
    if gate.reads_prices:
        if gate.evidence != "point":
            _require_bound(side, gate)
        if gate.max_usd_per_1k is not None:
            checks.append(_mean_price_check(side, gate.max_usd_per_1k, gate.evidence))
        if gate.max_rise is not None and scores is not baseline:
            checks.append(_cost_rise(gate, side, _priced(suite, baseline), gate.max_rise))
        notes += _unpriced(scores, side.tariff)
        if scores.unanswered:
            first = scores.unanswered[0].missing_reasons[0]
            notes.append(note(NoteKind.NO_PRICE, n=len(scores.unanswered), first=first))
        if gate.max_rise is not None and scores is not baseline:
            notes += _unpriced(baseline, suite.variants[baseline.variant].tariff)
    if gate.max_usd_per_success is not None:
        limits = {Amount.COST_PER_SUCCESS: gate.max_usd_per_success}
        sides = RunSides(suite, scores, baseline, gate.evidence)
        checks += _run_checks(sides, limits, gate.max_rise)
    return usage_verdict(suite, gate, scores.variant, tuple(checks), notes)


def evaluate_usage(
    suite: Suite, gate: UsageGate, scores: VariantScores, baseline: VariantScores
) -> Verdict:
    """Return the verdict of the usage gate about one variant; see `evaluate_cost`."""
    limits = {amount: getattr(gate, key) for amount, key in USAGE_KEYS.items()}
    declared = {amount: limit for amount, limit in limits.items() if limit is not None}
    sides = RunSides(suite, scores, baseline, gate.evidence)
    # Without one of these, the rise of everything that is known is limited.
    known = [amount for amount in limits if sides.runs(scores, amount)] or [*limits]
    checks = tuple(_run_checks(sides, declared or dict.fromkeys(known), gate.max_rise))
    return usage_verdict(suite, gate, scores.variant, checks, ())


def _run_checks(
    sides: RunSides, limits: Mapping[Amount, float | None], max_rise: float | None
) -> Iterator[Check]:
    """Yield a check of each amount that has a limit, and of the rise of each."""
    for amount, limit in limits.items():
        if limit is not None:
            yield amount_check(sides, amount, limit)
    if max_rise is None or sides.scores is sides.baseline:
        return
    for amount in limits:
        yield amount_rise(sides, amount, max_rise)


def measure_cost(suite: Suite, gate: CostGate, scores: VariantScores) -> Iterator[Verdict]:
    """Yield the cost of an ungated variant, if its price is known."""
    check = _mean_price_check(_priced(suite, scores), 0.0)
    if check.n:
        yield ungated_verdict(suite, gate, scores.variant, replace(check, outcome=Outcome.PASSED))


@dataclass(frozen=True, slots=True, eq=False)
class _Priced:
    """A variant with the prices of its cases, and the most that these can be, if that is known."""

    suite: Suite
    scores: VariantScores
    prices: Samples
    bound: CostBound | None

    @property
    def tariff(self) -> Tariff:
        """The prices of the variant's requests."""
        return self.suite.variants[self.scores.variant].tariff

    @property
    def is_flat(self) -> bool:
        """Whether each case costs the same."""
        return self.bound is not None and self.bound.is_flat

    @property
    def longest(self) -> int:
        """The tokens of the longest reply."""
        return max((reply.usage.get("output", 0) for reply in self.scores.replies), default=0)


def _priced(suite: Suite, scores: VariantScores) -> _Priced:
    """Return the prices of a variant, and the most that they can be."""
    variant = suite.variants[scores.variant]
    prices = request_prices(scores, variant.tariff)
    return _Priced(suite, scores, prices, cost_bound(suite, variant, scores))


def _require_bound(side: _Priced, gate: CostGate) -> None:
    """Raise an error if a case cost more than one can."""
    known, bound = side.prices.select(side.prices.has_reply), side.bound
    if bound is None or not len(known):
        return
    worst = int(np.argmax(known.values))
    if known.values[worst] > bound.most * (1.0 + _ROUNDING):
        cost = {"usd": float(known.values[worst]) / 1000, "most": bound.most / 1000}
        case, tokens = known.case_ids[worst], bound.max_tokens
        where = gate_place(side.suite, gate, "max_cost_per_case")
        told = note(NoteKind.ABOVE_MOST, case=case, max_tokens=tokens, where=where, **cost)
        raise FigureError(told)


def _mean_price_check(side: _Priced, limit: float, evidence: str = "") -> Check:
    """Compare the mean price of 1,000 requests, in USD, with *limit*."""
    figure, ratio = price_figure(side.prices, side.bound), None
    check = check_of_figure(figure, CheckKind.MEAN, limit)
    if side.bound and check.n:
        ratio = bounded_ratio(side.prices, None, (side.bound.most, 1.0))
    notes = () if side.is_flat else _price_notes(side.prices, side.bound)
    check = replace(check, notes=tuple(notes))
    return _cost_outcome(check, evidence, _Doubt(side, ratio, limit))


def _cost_rise(gate: CostGate, side: _Priced, baseline: _Priced, limit: float) -> Check:
    before, after = align(baseline.prices, side.prices)
    is_flat = side.is_flat and baseline.is_flat
    most = (side.bound.most, baseline.bound.most) if side.bound and baseline.bound else None
    against = baseline.scores.variant
    check = rise_check(before, after, "usd", limit, against, flat=is_flat, most=most)
    known = before.has_reply & after.has_reply
    if check.before == 0.0 and check.n:
        free = note(NoteKind.FREE_BASELINE, baseline=against)
        return replace(check, informative=False, notes=(free,))
    notes = () if is_flat else _price_notes(after.select(known), most)
    check = replace(check, notes=tuple(notes))
    if same_replies(before, after) and known.all():
        return replace(check, low=0.0, high=0.0, outcome=Outcome.PASSED, is_unchanged=True)
    ratio = bounded_ratio(after, before, most) if most and check.n else None
    return _cost_outcome(check, gate.evidence, _Doubt(side, ratio, 1.0 + limit))


def _price_notes(prices: Samples, bound: object) -> Iterator[Note]:
    """Yield that the unrelated cases are few, or that the mean rests on one of them."""
    prices = prices.select(prices.has_reply)
    units = np.unique(prices.units, return_inverse=True)[1]
    sums = np.bincount(units, prices.values * prices.case_weights)
    if 0 < sums.size < MIN_CASES_WITHOUT_BOUND and bound is None:
        kind = NoteKind.FEW_CASES if prices.groups is None else NoteKind.FEW_GROUPS
        yield note(kind, n=sums.size, needed=MIN_CASES_WITHOUT_BOUND)
    elif sums.sum() and sums.max() > _LARGE_SHARE * sums.sum():
        kind = NoteKind.LARGE_CASE if sums.size == len(prices) else NoteKind.LARGE_GROUP
        yield note(kind, share=float(sums.max() / sums.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Doubt:
    """What a check of prices has not shown: the ratio of prices, and what it may be at most."""

    side: _Priced
    ratio: BoundedRatio | None
    limit: float

    def needed(self, n: int) -> int | None:
        """Return the number of further cases that settle the check if the result stays as it is."""
        if self.ratio is None:
            return None
        times = self.ratio.needed_times(self.limit, SIDE, 1.0 + _MAX_NEEDED / n)
        return None if times is None else max(1, ceil(n * (times - 1.0)))

    def note(self, units: float) -> Note | None:
        """Return what a case may have cost that was not drawn, and how many may."""
        bound = self.side.bound
        if self.ratio is None or bound is None or self.ratio.value > self.limit:
            return None
        values: dict[str, Any] = {"most": bound.most / 1000, "max_tokens": bound.max_tokens}
        if passing := self._passing_tokens(bound):
            values |= {"passing": passing, "longest": self.side.longest}
        # Of so many unrelated cases, none is drawn in one run of forty.
        return note(NoteKind.UNSEEN_COST, **values, share=1.0 - SIDE ** (1.0 / units))

    def _passing_tokens(self, bound: CostBound) -> int:
        """Return the largest ``max_tokens`` with which the same replies pass; 0 for none."""
        if self.ratio is None or not bound.max_tokens:
            return 0
        ratio, cases = self.ratio, self.side.suite.cases

        def shows(tokens: int) -> bool:
            most = most_usd(self.side.tariff, bound.prompt, tokens) or 0.0
            return replace(ratio, most=most).p_at_least(self.limit) <= SIDE

        # Replies are not cut off, and a case with a limit of its own keeps it.
        least = max([1, self.side.longest, *(case.max_tokens or 0 for case in cases)])
        tokens = largest_that(shows, least, bound.max_tokens)
        step = 10 ** max(0, len(str(tokens)) - 2)
        return max(least, tokens // step * step) if tokens else 0


def _cost_outcome(check: Check, evidence: str, doubt: _Doubt) -> Check:
    if not check.n:
        return check
    if evidence == "point":
        check = replace(check, method="point", notes=())
    # A flat price is exact, however many replies are missing.
    is_exact, of = check.low is not None and check.low == check.high, check.n + check.missing
    if check.missing > MAX_MISSING_SHARE * of and not is_exact:
        told = note(NoteKind.UNPRICED, n=check.missing, of=of, allowed=MAX_MISSING_SHARE)
        return replace(check, notes=(*check.notes, told))
    if evidence == "point":
        passes = observed_amount(check) <= check.limit * (1.0 + _ROUNDING)
        return replace(check, outcome=Outcome.PASSED if passes else Outcome.FAILED)
    if doubt.ratio is None and check.effective < MIN_CASES_WITHOUT_BOUND and not is_exact:
        return check
    check = replace(check, outcome=interval_outcome(check.low, check.high, check.limit))
    if check.outcome is not Outcome.INCONCLUSIVE:
        return check
    unseen = doubt.note(check.effective)
    notes = (*check.notes, unseen) if unseen else check.notes
    return replace(check, needed=doubt.needed(check.n), notes=notes)


def _unpriced(scores: VariantScores, tariff: Tariff) -> Iterator[Note]:
    """Yield that replies report no tokens; or if the variant has no price, that it or a cost lacks.

    Plain replies that count their tokens lack a price of these, and runs of agents their cost.
    """
    replies = scores.replies
    n, of = sum(reply_price(tariff, one) is None for one in replies), len(replies)
    is_counted = any(one.usage for one in replies) and not any(one.run for one in replies)
    if is_counted and not has_price(tariff):
        yield note(NoteKind.NO_TARIFF, variant=scores.variant)
    elif not has_price(tariff):
        yield from gap_notes(scores, n, of, "usd")
    elif n:
        yield note(NoteKind.NO_TOKENS, n=n, of=of, variant=scores.variant)


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
        "again": False,
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
