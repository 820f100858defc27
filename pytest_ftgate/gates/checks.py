"""Checks: minimum, drop and point thresholds.

Rules and error rates: docs/statistics.md. A drop check passes if a drop as large as the limit is
ruled out, fails if a real drop is shown, and is inconclusive otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt
from typing import Any, TypeVar

import numpy as np
from scipy.special import ndtr

from pytest_ftgate.gates.design import (
    ALARM,
    CONFIDENCE,
    MAX_MISSING_SHARE,
    MIN_GROUPS,
    POWER,
    TYPICAL_DISCORDANCE,
    Levels,
)
from pytest_ftgate.gates.figures import (
    Rating,
    check_of_figure,
    figure_of_score,
    rate_figure,
    sample_rate,
)
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.samples import Samples, align, same_replies
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.graded import GroupLosses
from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_interval,
    is_noninferior,
    p_drop,
    p_noninferior,
    p_not_beyond,
    p_within,
    paired_counts,
    turned,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    flip_rate,
    graded_cases_needed,
    graded_certifiable_margin,
    graded_detectable_drop,
    minimum_cases_needed,
    point_rule_pass_probability,
)
from pytest_ftgate.stats.proportions import binomial_sf
from pytest_ftgate.stats.rates import MeanScore, p_misses, p_reaches, rate_cases_needed

#: The points of a whole.
_POINTS = 100
#: A value that equals its limit may miss it by this much through rounding.
ROUNDING = 1e-9
#: Fewer cases show nothing about others.
_FEWEST = 2
_Number = TypeVar("_Number", int, float)
#: Pairs two aligned samples.
Pairing = Callable[[Samples, Samples], PairedCounts]


def drop_outcome(pairs: PairedCounts, margin: float, levels: Levels) -> Outcome:
    """Return the outcome of a drop check with the limit *margin*.

    It fails if a drop is shown and the observed drop reaches the limit, or if the drop is shown to
    lie beyond the limit. An earlier look than the last fails only by both.
    """
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        return Outcome.INCONCLUSIVE
    if is_noninferior(pairs, margin, levels.miss):
        return Outcome.PASSED
    fails = drop_fails(pairs.delta, p_drop(pairs), p_not_beyond(pairs, margin), margin, levels)
    return Outcome.FAILED if fails else Outcome.INCONCLUSIVE


def drop_fails(
    change: float, p_drop: float, p_within: float, margin: float, levels: Levels
) -> bool:
    """Return True if *change* fails, by its p-values against no drop, and against one within."""
    drop_is_shown = p_drop <= levels.alarm and change <= ROUNDING - margin
    is_beyond = p_within <= levels.beyond
    # Few cases scatter widely, so that a drop within the limit often seems to reach it.
    return drop_is_shown or is_beyond if levels.last else drop_is_shown and is_beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRule:
    """What a drop check holds a variant to.

    Attributes:
        against: the name in reports of what the variant is compared with.
        margin: the largest allowed drop, a share from 0 to 1.
        pairing: pairs two samples; by default each case counts by its weight.
        fewest: fewer cases show nothing.
        levels: the error rates.
        kind: what the variant is compared with.
        guess_rate: the rate that guessing reaches, a share from 0 to 1.
    """

    against: str
    margin: float
    levels: Levels
    kind: CheckKind = CheckKind.BASELINE
    guess_rate: float = 0.0
    pairing: Pairing | None = None
    fewest: int = _FEWEST


def pair_samples(before: Samples, after: Samples) -> PairedCounts:
    """Return the paired counts of two aligned samples in which every case has a reply."""
    return paired_counts(
        before.values,
        after.values,
        before_repeats=before.repeats,
        after_repeats=after.repeats,
        groups=after.groups,
        weights=after.weights,
    )


def check_drop(before: Samples, after: Samples, rule: DropRule) -> Check:
    """Compare two samples case by case, by *rule*."""
    before, after = align(before, after)
    pairing = rule.pairing or pair_samples
    answered = before.has_reply & after.has_reply
    n, missing = int(answered.sum()), int((~answered).sum())
    if n < rule.fewest:
        few = note(NoteKind.FEW_PAIRS, n=n, of=n + missing)
        return Check(
            kind=rule.kind, against=rule.against, outcome=Outcome.INCONCLUSIVE, limit=rule.margin,
            n=n, effective=n, after=after.mean, before=before.mean, missing=missing, notes=(few,),
        )  # fmt: skip
    pairs = pairing(before.select(answered), after.select(answered))
    check, levels = replace(_drop_check(pairs, rule), missing=missing), rule.levels
    is_complete = levels.last and missing <= MAX_MISSING_SHARE * len(after)
    if pairs.before == pairs.after == 0.0:
        return uninformative(check, note(NoteKind.NOTHING_RIGHT))
    # Equal replies are no proof while others are to come: those may still differ.
    if is_complete and same_replies(before, after):
        return replace(check, outcome=Outcome.PASSED, is_unchanged=True)
    # A shown improvement shows that the cases can separate good replies from bad ones.
    if pairs.before - rule.margin <= rule.guess_rate and (check.low or 0.0) <= 0.0:
        at_chance = note(NoteKind.AT_CHANCE, against=rule.against, before=pairs.before)
        return uninformative(check, at_chance)
    if missing:
        return _drop_with_missing(check, before, after, rule, pairing)
    if check.outcome is not Outcome.PASSED and levels.last:
        check = replace(check, shown_limit=_shown_limit(pairs, rule))
    return _with_needs(check, pairs)


def uninformative(check: Check, why: Note) -> Check:
    """Return *check* as one that cannot decide; *why* is the note on it."""
    return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, notes=(why,))


def _few_groups(groups: int) -> Note:
    return note(NoteKind.FEW_GROUPS, n=groups, needed=MIN_GROUPS)


def _shown_limit(pairs: PairedCounts, rule: DropRule) -> float | None:
    """Return the smallest limit, in whole points, that *pairs* pass; None if none does."""
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        return None
    point = first_point(lambda margin: is_noninferior(pairs, margin, rule.levels.miss))
    limit = point / _POINTS
    # A drop to the level of guessing cannot show.
    can_show = pairs.before - limit > rule.guess_rate or pairs.delta > 0.0
    return limit if point < _POINTS and can_show else None


def first_point(turns: Callable[[float], object]) -> int:
    """Return the first whole point from 1 on at which *turns* is true; 100 if there is none."""
    low, high = 0, _POINTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turns(middle / _POINTS) else (middle, high)
    return high


def shown_minimum(holds: Callable[[float], bool]) -> float | None:
    """Return the largest minimum, in whole points below 1, that *holds*; None if none does."""
    return (first_point(lambda minimum: not holds(minimum)) - 1) / _POINTS or None


def _drop_check(pairs: PairedCounts, rule: DropRule) -> Check:
    (low, high), margin, levels = change_interval(pairs, CONFIDENCE), rule.margin, rule.levels
    return Check(
        kind=rule.kind,
        against=rule.against,
        outcome=drop_outcome(pairs, margin, levels),
        limit=margin,
        # Runs that weigh a part of one sum to a whole number but for rounding.
        n=round(pairs.n),
        units=pairs.groups,
        before=pairs.before,
        after=pairs.after,
        effective=pairs.effective,
        low=low,
        high=high,
        fixed=pairs.fixed,
        regressed=pairs.regressed,
        p_pass=p_noninferior(pairs, margin),
        p_fail=p_drop(pairs),
        p_half=p_beyond_half(pairs, margin),
        pairs=pairs,
        miss=levels.miss,
        alarm=levels.alarm,
        shared=levels.shared,
        error=None if pairs.countable else sqrt(pairs.spread / pairs.n),
        discordance=smoothed_discordance(pairs) if pairs.countable else None,
        detectable=_detectable_drop(pairs, margin, levels),
    )


def p_beyond_half(pairs: PairedCounts, margin: float) -> float | None:
    """Return the p-value of a drop of half of *margin* at most; None with too few groups."""
    is_few = pairs.groups is not None and pairs.groups < MIN_GROUPS
    return None if is_few else p_within(pairs, margin / 2.0)


def _detectable_drop(pairs: PairedCounts, margin: float, levels: Levels) -> float | None:
    """Return the smallest true drop that the check fails 9 times in 10, or None."""
    if not pairs.countable:
        shown = graded_detectable_drop(pairs, POWER, levels.alarm, margin)
        return shown if shown < 1.0 else None
    discordance = smoothed_discordance(pairs)
    return none_if_impossible(detectable_drop, pairs.effective, discordance, POWER, levels.alarm)


def _with_needs(check: Check, pairs: PairedCounts) -> Check:
    """Return *check* with its note, and with what would settle it if it is inconclusive."""
    if check.outcome is Outcome.PASSED and (check.p_fail or 1.0) <= check.alarm:
        return replace(check, notes=(note(NoteKind.SMALL_DROP),))
    if check.outcome is not Outcome.INCONCLUSIVE:
        return check
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        return replace(check, notes=(_few_groups(pairs.groups),))
    # If nothing has changed, all of the disagreement is chance.
    noise = smoothed_discordance(pairs)
    check = replace(
        check,
        certifiable=certifiable_limit(pairs, noise, check.miss),
        needed=_needed_for_drop(pairs, check),
        needed_unchanged=needed_if_unchanged(pairs, noise, check.limit, check.miss),
    )
    return _with_needed_groups(check, pairs.whole)


def _with_needed_groups(check: Check, whole: GroupLosses | None) -> Check:
    """Return *check* with the number of groups that it takes, if there are too few."""
    if whole is None:
        return check
    smallest = whole.smallest_drop(check.miss)
    if check.certifiable is not None:
        check = replace(check, certifiable=max(check.certifiable, smallest))
    if smallest <= check.limit:
        return check
    times = whole.times_needed(check.limit, check.miss)
    groups = ceil(whole.groups * times)
    few = note(NoteKind.WHOLE_GROUPS, n=whole.groups, limit=check.limit, needed=groups)
    needed = ceil(check.n * (times - 1.0))
    return replace(check, notes=(few,), needed=max(check.needed or 0, needed))


def certifiable_limit(
    pairs: PairedCounts, discordance: float, miss: float, power: float = POWER
) -> float | None:
    """Return the smallest limit that an unchanged variant passes with *power*, or None.

    Two of its runs disagree on a share of *discordance*; graded scores vary as those in *pairs*.
    """
    if not pairs.countable:
        margin = graded_certifiable_margin(pairs, power, miss)
        return margin if margin < 1.0 else None
    return none_if_impossible(certifiable_margin, pairs.effective, discordance, power, miss)


def unchanged_discordance(pairs: PairedCounts) -> float:
    """Return the share of cases on which two runs of one variant disagree, as far as *pairs* show.

    It is shrunk to the typical value. If both samples differ by more than chance, not all of their
    disagreement is noise: chance loses as many cases as it gains, so that the smaller number counts
    twice. Without such a difference that number would be too low: it is the smaller of two.
    """
    if (
        pairs.noise is not None
        or min(p_drop(pairs), p_drop(turned(pairs))) > (1.0 - CONFIDENCE) / 2.0
    ):
        return smoothed_discordance(pairs)
    fewer = min(pairs.regressed, pairs.fixed)
    return smoothed_discordance(replace(pairs, fixed=fewer, regressed=fewer))


def smoothed_discordance(pairs: PairedCounts) -> float:
    """Return the share of cases on which both samples disagree, shrunk to the typical value."""
    observed = (pairs.fixed + pairs.regressed) / pairs.n if pairs.noise is None else pairs.noise
    # The typical discordance enters with the weight of ten cases, since few cases show little.
    weight = 10.0
    total = observed * pairs.effective + TYPICAL_DISCORDANCE * weight
    return float(total / (pairs.effective + weight))


def none_if_impossible(function: Callable[..., _Number], *arguments: Any) -> _Number | None:
    """Return what *function* finds, or None if no number of cases shows it."""
    try:
        return function(*arguments)
    except ValueError:
        return None


def _needed_for_drop(pairs: PairedCounts, check: Check) -> int | None:
    """Return the number of further cases that settle the check if the observed drop is real."""
    drop = max(0.0, -pairs.delta)
    # Half of a small drop is usually noise, so plan for half of it. If the check has that many
    # cases and is still inconclusive, plan for all of it.
    for planned in (drop / 2, drop):
        try:
            needed = _cases_needed(pairs, check, drop if drop >= check.limit else planned)
        except ValueError:
            return None
        if needed > pairs.effective:
            break
    return max(1, ceil((needed - pairs.effective) * pairs.n / pairs.effective))


def needed_if_unchanged(
    pairs: PairedCounts, discordance: float, limit: float, miss: float, power: float = POWER
) -> int:
    """Return the number of further cases with which an unchanged variant passes with *power*.

    For *discordance* see `certifiable_limit`. Verdicts and the power of a gate name it, so that
    both say the same of the same replies, unless these differ by more than chance.
    """
    whole, needed = pairs.whole, 0
    if whole is not None and whole.smallest_drop(miss) > limit:
        needed = ceil(pairs.n * (whole.times_needed(limit, miss) - 1.0))
    if not pairs.countable:
        total = graded_cases_needed(pairs, power, 0.0, limit, ALARM, miss)
    else:
        effective = cases_needed(limit, discordance, power, miss)
        total = ceil(effective * pairs.n / pairs.effective)
    return max(needed, total - int(pairs.n))


def _cases_needed(pairs: PairedCounts, check: Check, drop: float) -> float:
    """Return the effective number of cases that settle the check 9 times in 10.

    Raises:
        ValueError: no number of cases does.
    """
    if not pairs.countable:
        return graded_cases_needed(pairs, POWER, drop, check.limit, check.alarm, check.miss)
    disagreement = smoothed_discordance(pairs)
    if drop >= check.limit:
        return fail_cases_needed(drop, max(disagreement, drop), POWER, check.alarm)
    return cases_needed(check.limit, disagreement, POWER, check.miss, drop)


def _drop_with_missing(
    check: Check, before: Samples, after: Samples, rule: DropRule, pairing: Pairing
) -> Check:
    """Return *check*, inconclusive if the missing replies could change its outcome.

    The outcome must be the same with all missing replies as regressions, and as improvements.
    """
    missing = note(NoteKind.MISSING, missing=check.missing, of=len(after))
    lost, kept = (
        pairing(before.impute_missing(1.0 - value), after.impute_missing(value))
        for value in (0.0, 1.0)
    )
    half = p_beyond_half(kept, check.limit)
    check = replace(check, p_half=half, pairs=kept, notes=(missing,))
    if check.missing > MAX_MISSING_SHARE * len(after):
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    if _missing_unevenly(before, after):
        uneven = replace(missing, kind=NoteKind.MISSING_UNEVENLY)
        return replace(check, outcome=Outcome.INCONCLUSIVE, notes=(uneven,))
    outcomes = {drop_outcome(pairs, rule.margin, rule.levels) for pairs in (lost, kept)}
    if outcomes == {check.outcome}:
        return check
    open_ = replace(missing, kind=NoteKind.MISSING_COULD_TURN)
    return replace(check, outcome=Outcome.INCONCLUSIVE, notes=(open_,))


def _missing_unevenly(before: Samples, after: Samples) -> bool:
    from scipy.stats import fisher_exact  # rarely needed, and takes a second to import

    missing = [int((~samples.has_reply).sum()) for samples in (before, after)]
    table = [[count, len(after) - count] for count in missing]
    return bool(fisher_exact(np.array(table)).pvalue < 0.01)  # noqa: PLR2004 - statistics.md 1.10


#: The largest ratio of variance to squared distance for which more cases are advised. A rate this
#: close to its minimum needs some 20,000 cases.
_MAX_VARIANCE_RATIO = 2_400


def check_minimum(
    after: Samples, *, minimum: float, levels: Levels | None = None, rating: Rating | None = None
) -> Check:
    """Compare the variant's rate with a minimum; a minimum of 0 passes.

    *rating* computes the rate; by default every case counts by its weight.
    """
    levels, rating = levels or Levels(), rating or sample_rate
    answered = after.select(after.has_reply)
    n, missing = len(answered), len(after) - len(answered)
    if n < _FEWEST:
        few = note(NoteKind.TOO_FEW_REPLIES, n=n, of=len(after))
        return check_of_figure(rate_figure(after), CheckKind.MINIMUM, minimum, notes=(few,))
    rate = rating(answered)
    check = check_of_figure(
        figure_of_score(rate), CheckKind.MINIMUM, minimum,
        units=rate.groups, effective=rate.n, missing=missing,
        error=None if rate.countable else sqrt(rate.spread / rate.n),
        p_pass=p_reaches(rate, minimum) if minimum > 0.0 else None,
        p_fail=p_misses(rate, minimum) if minimum > 0.0 else None,
        miss=levels.miss, alarm=levels.alarm,
        notes=(note(NoteKind.MISSING, missing=missing, of=len(after)),) * bool(missing),
    )  # fmt: skip
    if rate.groups is not None and rate.groups < MIN_GROUPS:
        return replace(check, notes=(_few_groups(rate.groups),))
    outcome = _minimum_outcome(after, minimum, levels, rating)
    needed = _needed_for_minimum(rate, check) if outcome is Outcome.INCONCLUSIVE else None
    shown = None
    if outcome is not Outcome.PASSED and not missing and levels.last:
        shown = shown_minimum(lambda least: p_reaches(rate, least) <= levels.miss)
    return replace(check, outcome=outcome, needed=needed, shown_limit=shown)


def inconclusive_at_chance(check: Check, guess_rate: float) -> Check:
    """Return the check of a minimum, inconclusive if it is reached and below *guess_rate*.

    Nor does it name a limit below that rate.
    """
    if check.outcome is not Outcome.PASSED or check.limit >= guess_rate:
        is_below = check.shown_limit is not None and check.shown_limit < guess_rate
        return replace(check, shown_limit=None) if is_below else check
    return uninformative(check, note(NoteKind.GUESSED, rate=guess_rate))


def _minimum_outcome(after: Samples, minimum: float, levels: Levels, rating: Rating) -> Outcome:
    answered = after.has_reply
    if np.count_nonzero(~answered) > MAX_MISSING_SHARE * len(after):
        return Outcome.INCONCLUSIVE
    if minimum <= 0.0:
        return Outcome.PASSED
    # A missing reply counts as wrong for a pass, and as right for a fail.
    if p_reaches(rating(after.impute_missing(0.0)), minimum) <= levels.miss + ROUNDING:
        return Outcome.PASSED
    is_missed = p_misses(rating(after.impute_missing(1.0)), minimum) <= levels.alarm
    return Outcome.FAILED if is_missed else Outcome.INCONCLUSIVE


def _needed_for_minimum(rate: MeanScore, check: Check) -> int | None:
    """Return the number of further cases that settle the check if the observed rate is real."""
    gap = check.after - check.limit
    if gap <= 0 or check.after * (1 - check.after) / gap**2 > _MAX_VARIANCE_RATIO:
        return None
    needed = cases_for_minimum(check.after, check.limit, check.miss, rate)
    return None if needed is None else max(1, needed - check.n)


def cases_for_minimum(
    rate: float, minimum: float, miss: float, measured: MeanScore | None
) -> int | None:
    """Return how many cases show 9 times in 10 that a true *rate* is above *minimum*, or None.

    They vary as those of *measured*, by default as cases that are right or wrong.
    """
    if measured is None or measured.countable:
        return none_if_impossible(minimum_cases_needed, minimum, rate, POWER, miss)
    return none_if_impossible(rate_cases_needed, measured, minimum, POWER, miss)


def check_point(check: Check) -> Check:
    """Return *check* as decided by a plain threshold, with a note on its chance flip rate."""
    if check.missing > MAX_MISSING_SHARE * (check.n + check.missing) or check.effective < 1:
        return check
    if check.before == check.after == 0.0:
        return uninformative(check, note(NoteKind.NOTHING_RIGHT))
    if check.before is None:
        within = check.after >= check.limit - ROUNDING
    else:
        within = check.before - check.after <= check.limit + ROUNDING
    outcome = Outcome.PASSED if within else Outcome.FAILED
    others = check.notes if check.n >= _FEWEST else ()
    notes = (*others, note(NoteKind.PLAIN_THRESHOLD, flips=chance_flip_rate(check)))
    shown = None if within else _point_limit(check)
    return replace(check, outcome=outcome, method="point", notes=notes, shown_limit=shown)


def _point_limit(check: Check) -> float:
    """Return the strictest limit, in whole points, that the measured values keep."""
    if check.before is None:
        return floor((check.after + ROUNDING) * _POINTS) / _POINTS
    lost = check.before - check.after
    return ceil((lost - ROUNDING) * _POINTS) / _POINTS


def chance_flip_rate(check: Check) -> float:
    """Return how often two runs with these rates and this number of cases disagree by chance."""
    drop = (check.before or 0.0) - check.after
    if check.error:
        distance = check.after - check.limit if check.before is None else check.limit - drop
        return flip_rate(float(ndtr(distance / check.error)))
    if check.before is None:
        needed = ceil(check.limit * check.effective - ROUNDING)
        return flip_rate(float(binomial_sf(needed - 1.0, round(check.effective), check.after)))
    discordance = max(check.discordance or 0.0, abs(drop))
    return flip_rate(point_rule_pass_probability(check.effective, discordance, drop, check.limit))
