"""From evidence to one recommendation, with rollback and held-out confirmation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_ftgate.gates.checks import floor
from pytest_ftgate.gates.levels import MISS
from pytest_ftgate.gates.samples import side
from pytest_ftgate.gates.units import interval, percent, points
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import (
    Advice,
    Challenge,
    Condition,
    Confirmation,
    Reason,
    Recommendation,
    Rollback,
    Standing,
)
from pytest_ftgate.recommend.evidence import AcceptedRun, Evidence
from pytest_ftgate.recommend.ladder import (
    Ladder,
    best,
    floor_of,
    frontier_key,
    ladder_of,
    meets,
    untried,
)
from pytest_ftgate.recommend.rules import FineTune, fine_tune
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import Suite

__all__ = ["Decision", "advise", "confirmation", "decide", "rollback"]

_TUNED = "fine-tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is recommended; fields as in ``Advice``."""

    recommendation: Recommendation
    subject: str
    variant: str
    headline: str
    reasons: tuple[Reason, ...] = ()
    below: str = ""
    conditions: tuple[Condition, ...] = ()
    challenges: tuple[Challenge, ...] = ()


def decide(evidence: Evidence, ladder: Ladder, back: Rollback | None) -> Decision:
    """Return the one recommendation for a ladder of at least one row.

    Args:
        evidence: what is known.
        ladder: what was measured.
        back: the way back, where what is meant to serve fails.
    """
    suite = evidence.suite
    marked = [row for row in ladder.rows if row.accuracy is not None]
    untuned = [row for row in marked if row.rung != _TUNED]
    tuned = [row for row in marked if row.rung == _TUNED]
    at = best(suite, untuned, ladder.found) or next(iter(untuned), None)
    if back is not None and (way := _roll_back(ladder, back, at)):
        return replace(way, below=at.variant if at else "")
    if at is None:
        return _first_rung(tuned)
    return replace(_climbed(evidence, ladder, at, tuned), below=at.variant)


def _climbed(
    evidence: Evidence, ladder: Ladder, at: Standing, tuned: Sequence[Standing]
) -> Decision:
    tunes = [fine_tune(evidence, ladder, at, row) for row in tuned]
    missing = list(untried(evidence.suite, ladder.rows, at))
    if tunes:
        return _with_tuned(evidence, ladder, at, tunes, missing)
    return _without_tuned(evidence, ladder, at, missing)


def _with_tuned(
    evidence: Evidence,
    ladder: Ladder,
    at: Standing,
    tunes: Sequence[FineTune],
    missing: Sequence[tuple[str, str]],
) -> Decision:
    suite = evidence.suite
    serving = next((one for one in tunes if one.name == suite.serves), None)
    if serving and not serving.failing:
        return _go(Recommendation.KEEP, ladder, at, serving, tunes)
    good = [one for one in tunes if not one.failing]
    # A floor that is met leaves nothing to try for; without one nobody knows what is enough.
    enough = floor_of(suite, "accuracy") is not None and meets(suite, at)
    if missing and not enough and serving is None:
        return _next(at, missing)
    if good:
        return _go(Recommendation.FINE_TUNE, ladder, at, min(good, key=_price), tunes)
    return _not_justified(at, serving or min(tunes, key=_nearest), tunes)


def _without_tuned(
    evidence: Evidence, ladder: Ladder, at: Standing, missing: Sequence[tuple[str, str]]
) -> Decision:
    suite = evidence.suite
    floor = floor_of(suite, "accuracy")
    top = at is ladder.rows[-1]
    if (floor is not None and meets(suite, at)) or (floor is None and not (top and missing)):
        return _stop(ladder, at, floor)
    if missing:
        return _next(at, missing)
    thought = fine_tune(evidence, ladder, at, None)
    if thought.failing:
        return _not_justified(at, thought, [])
    return _go(Recommendation.FINE_TUNE, ladder, at, thought, [])


# What each of them says --------------------------------------------------------------------


def _right(row: Standing) -> Reason:
    low, high = row.accuracy_low, row.accuracy_high
    span = "" if low is None or high is None else f" ({round(low * 100)} to {round(high * 100)})"
    told = f"{row.variant} is right in {percent(row.accuracy or 0.0)}{span}"
    return Reason(told=told, variant=row.variant, figure="accuracy")


def _roll_back(ladder: Ladder, back: Rollback, at: Standing | None) -> Decision | None:
    failing = ladder.row(back.failing)
    target = back.variant
    tuned = failing is not None and failing.rung == _TUNED
    # What fails as well is no way back.
    if not target and at is not None and tuned and not at.refused:
        target = at.variant
    if not target or target == back.failing:
        return None
    when = f", accepted {back.at} in {back.commit}" if back.commit else ""
    rate = f", is right in {percent(failing.accuracy)}" if failing and failing.accuracy else ""
    told = f"{back.failing} is meant to serve{rate} and fails {', '.join(back.gates)}"
    row = ladder.row(target)
    return Decision(
        recommendation=Recommendation.ROLL_BACK,
        subject=target,
        variant=target,
        headline=f"{Recommendation.ROLL_BACK}: from {back.failing} to {target}{when}",
        reasons=(
            Reason(told=told, variant=back.failing, figure="outcomes"),
            *([_right(row)] if row else []),
        ),
    )


def _first_rung(tuned: Sequence[Standing]) -> Decision:
    told = f"{', '.join(row.variant for row in tuned)} cannot be held against an untuned rung"
    return Decision(
        recommendation=Recommendation.NEXT,
        subject="prompt",
        variant=tuned[0].variant,
        headline=f"{Recommendation.NEXT}: prompt",
        reasons=(Reason(told=told, variant=tuned[0].variant, figure="rung"),),
    )


def _stop(ladder: Ladder, at: Standing, floor: float | None) -> Decision:
    told = _right(at)
    if floor is not None:
        told = Reason(
            told=f"{told.told}; the floor is {percent(floor)}",
            variant=at.variant,
            figure="accuracy",
        )
    above = list(ladder.rows)[list(ladder.rows).index(at) + 1 :]
    return Decision(
        recommendation=Recommendation.STOP,
        subject=at.variant,
        variant=at.variant,
        headline=f"{Recommendation.STOP}: {at.variant}",
        reasons=(told, *_not_worth(ladder, at, above)),
    )


def _not_worth(ladder: Ladder, at: Standing, others: Iterable[Standing]) -> Iterator[Reason]:
    for row in others:
        gain = ladder.found.gains.get((at.variant, row.variant))
        if gain is not None:
            seen = f"{points(gain.change)} {interval(gain.low, gain.high)} points over {at.variant}"
            told = f"{row.variant} is right in {percent(row.accuracy or 0.0)}: {seen}"
            yield Reason(told=told, variant=row.variant, figure="accuracy")


def _next(at: Standing, missing: Sequence[tuple[str, str]]) -> Decision:
    rung, why = missing[0]
    return Decision(
        recommendation=Recommendation.NEXT,
        subject=rung,
        variant=at.variant,
        headline=f"{Recommendation.NEXT}: {rung}, since {why}",
        reasons=(_right(at),),
    )


def _go(
    what: Recommendation, ladder: Ladder, at: Standing, one: FineTune, tunes: Sequence[FineTune]
) -> Decision:
    others = [other for other in tunes if other.failing]
    told = f"{what}: {one.name}" if one.row else f"{what}: no other rung reaches what is asked"
    return Decision(
        recommendation=what,
        subject=one.name,
        variant=one.row.variant if one.row else at.variant,
        headline=told,
        reasons=(
            *one.reasons(failing=False),
            *_dearer(ladder, at, one),
            *(_of(other) for other in others),
        ),
        conditions=one.conditions,
        challenges=one.challenges,
    )


def _dearer(ladder: Ladder, at: Standing, one: FineTune) -> Iterator[Reason]:
    """Say of untuned rungs that are right as often how much dearer they are."""
    for row in ladder.rows:
        if one.row is None or row.rung == _TUNED or row is at:
            continue
        gain = ladder.found.gains.get((one.name, row.variant))
        mine, its = one.row.usd_per_1k, row.usd_per_1k
        if gain is None or not mine or its is None or gain.certain or gain.change < 0.0:
            continue
        seen = f"{points(gain.change)} {interval(gain.low, gain.high)} points, not separated"
        told = (
            f"{row.variant} costs {its / mine:,.0f} times as much a call as {one.name} for {seen}"
        )
        yield Reason(told=told, variant=row.variant, figure="usd_per_1k")


def _of(other: FineTune) -> Reason:
    worst = other.failing[-1]
    return Reason(told=f"not {other.name}: {worst.told}", variant=other.name, figure=worst.name)


def _not_justified(at: Standing, one: FineTune, tunes: Sequence[FineTune]) -> Decision:
    names = ", ".join(condition.name for condition in one.failing)
    return Decision(
        recommendation=Recommendation.NOT_JUSTIFIED,
        subject=one.name,
        variant=at.variant,
        headline=f"{Recommendation.NOT_JUSTIFIED} ({names}): serve {at.variant}",
        reasons=(
            _right(at),
            *one.reasons(failing=True),
            *(_of(other) for other in tunes if other is not one),
        ),
        conditions=one.conditions,
        challenges=one.challenges,
    )


def _nearest(one: FineTune) -> tuple[int, tuple[float, float]]:
    """Return how far a fine-tune is from being justified."""
    return len(one.failing), _price(one)


def _price(one: FineTune) -> tuple[float, float]:
    """Return by what the better of two fine-tunes is known: the cheaper, else the more accurate."""
    month = one.row.usd_per_month if one.row else None
    right = one.row.accuracy if one.row else None
    return (float("inf") if month is None else month, -(right or 0.0))


_BAD = (Outcome.FAILED, Outcome.INVALID)


def rollback(evidence: Evidence) -> Rollback | None:
    """Return what to serve instead of a variant that fails, or None where it does not fail.

    Of what was accepted before, newest first, the first variant counts whose gates all pass now;
    one that the suite no longer has cannot be judged, and is named where no other passes.
    """
    serves = evidence.suite.serves
    failed = tuple(v.gate for v in _gates(evidence, serves) if v.outcome in _BAD)
    if not failed:
        return None
    gone: Rollback | None = None
    for run in evidence.history:
        for variant in _accepted(run):
            if variant == serves:
                continue
            found = _back(serves, failed, variant, run)
            if variant not in evidence.suite.variants:
                gone = gone or replace(found, in_suite=False)
            elif _passes(evidence, variant):
                return found
    return gone or Rollback(failing=serves, gates=failed, variant="")


def _gates(evidence: Evidence, variant: str) -> list[Verdict]:
    return [v for v in evidence.verdicts if v.variant == variant and v.gated]


def _passes(evidence: Evidence, variant: str) -> bool:
    gates = _gates(evidence, variant)
    return bool(gates) and all(v.outcome is Outcome.PASSED for v in gates)


def _accepted(run: AcceptedRun) -> list[str]:
    """Return the variants of a record whose gates all passed, the one that was to serve first."""
    gated = [v for v in run.verdicts if v.gated]
    bad = {v.variant for v in gated if v.outcome is not Outcome.PASSED}
    passed = dict.fromkeys(v.variant for v in gated if v.variant not in bad)
    return sorted(passed, key=lambda name: name != run.serves)


def _back(failing: str, gates: tuple[str, ...], variant: str, run: AcceptedRun) -> Rollback:
    return Rollback(
        failing=failing, gates=gates, variant=variant, commit=run.commit, at=run.at, by=run.by
    )


def confirmation(suite: Suite, chosen: Standing, held_out: Column) -> Confirmation | None:
    """Return what the held-out cases say of the rung that was chosen by the others.

    Contradicted where its accuracy on them is lower than chance explains (Fisher's exact test,
    one-sided, 0.05), or surely below the floor; confirmed where it is within ``worth``; else open.
    """
    own = side(held_out, "accuracy")
    known = own.where(own.known)
    if chosen.accuracy is None or not len(known):
        return None
    check = floor(own, least=0.0)
    p = _p_fell((chosen.accuracy, chosen.n), (check.after, check.n))
    least = floor_of(suite, "accuracy")
    below = least is not None and check.high is not None and check.high < least
    within = check.after >= chosen.accuracy - suite.ladder.worth
    outcome = "contradicted" if below or p <= MISS else "confirmed" if within else "open"
    rate = f"right in {percent(check.after)} of {check.n} held-out cases"
    return Confirmation(
        variant=chosen.variant,
        n=check.n,
        accuracy=check.after,
        low=check.low or 0.0,
        high=1.0 if check.high is None else check.high,
        before=chosen.accuracy,
        p=p,
        outcome=outcome,
        told=f"{outcome}: {chosen.variant} is {rate}, and in {percent(chosen.accuracy)} before",
    )


def _p_fell(before: tuple[float, int], after: tuple[float, int]) -> float:
    """Return how easily so few right ones among the second are seen, were the two alike."""
    from scipy.stats import hypergeom

    (rate, n), (held_rate, m) = before, after
    right, held = round(rate * n), round(held_rate * m)
    return float(hypergeom.cdf(held, n + m, right + held, m))


def advise(evidence: Evidence) -> Advice | None:
    """Return what is advised about a suite, or None where nothing was marked right or wrong.

    The same evidence brings the same advice: the day and what git knows are part of it.
    """
    ladder = ladder_of(evidence)
    if all(row.accuracy is None for row in ladder.rows):
        return None
    back = rollback(evidence)
    decision = decide(evidence, ladder, back)
    key = frontier_key(ladder.rows)
    chosen, held = ladder.row(decision.variant), evidence.held_out
    return Advice(
        suite=evidence.suite.name,
        recommendation=decision.recommendation,
        subject=decision.subject,
        variant=decision.variant,
        headline=decision.headline,
        reasons=decision.reasons,
        below=decision.below,
        rungs=ladder.rows,
        frontier_by="time" if key == "p50_ms" else "usd" if key else "",
        conditions=decision.conditions,
        money=ladder.money,
        challenges=decision.challenges,
        confirmation=confirmation(evidence.suite, chosen, held) if chosen and held else None,
        retiring=ladder.retiring,
        rollback=back,
        debt=evidence.debt,
        unmeasured=dict(evidence.unmeasured),
        notes=tuple(_notes(evidence, ladder, decision)),
    )


def _notes(evidence: Evidence, ladder: Ladder, decision: Decision) -> Iterator[str]:
    for one in decision.conditions:
        if one.needed and one.holds is None:
            yield one.told
    if evidence.suite.judges:
        yield "right is what a judge model says; here it is not corrected for the judge's errors"
    for name, why in evidence.unmeasured.items():
        yield f"{name} could not be measured: {why}"
    few = [row.variant for row in ladder.rows if row.accuracy is None]
    if few:
        yield f"without an accuracy, and so not climbed: {', '.join(few)}"
