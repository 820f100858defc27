"""Checks: minimum, drop, macro-F1 and point thresholds.

Rules and error rates: docs/statistics.md. A drop check passes if a drop as large as the limit is
ruled out, fails if a real drop is shown, and is inconclusive otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import ceil

import numpy as np

from pytest_ftgate.gates.levels import (
    CONFIDENCE,
    MAX_MISSING_SHARE,
    MIN_CASES_FOR_F1,
    MIN_GROUPS,
    POWER,
    TYPICAL_DISCORDANCE,
    Levels,
)
from pytest_ftgate.gates.samples import FloatArray, Samples, align, same_replies
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.scoring.classification import LabelPredictions, macro_f1
from pytest_ftgate.stats.paired import (
    PairedCounts,
    p_drop,
    p_noninferior,
    paired_counts,
    tango_interval,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    flip_rate,
    minimum_cases_needed,
    point_rule_pass_probability,
)
from pytest_ftgate.stats.proportions import binomial_sf, clopper_pearson, lower_bound, upper_bound
from pytest_ftgate.stats.resampling import bootstrap_bounds

#: Pairs two aligned samples.
Pairing = Callable[[Samples, Samples], PairedCounts]


def drop_outcome(pairs: PairedCounts, margin: float, levels: Levels) -> Outcome:
    """Return the outcome of a drop check with the limit *margin*."""
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        return Outcome.INCONCLUSIVE
    if p_noninferior(pairs, margin) <= levels.miss:
        return Outcome.PASSED
    return Outcome.FAILED if p_drop(pairs) <= levels.alarm else Outcome.INCONCLUSIVE


def check_drop(  # noqa: PLR0913 - the rule's parameters, each by name
    before: Samples,
    after: Samples,
    *,
    against: str,
    margin: float,
    levels: Levels,
    kind: CheckKind = CheckKind.BASELINE,
    guess_rate: float = 0.0,
    pairing: Pairing | None = None,
) -> Check:
    """Compare two samples case by case; *against* is the name of *before* in reports.

    *margin* is the largest allowed drop and *guess_rate* the rate that guessing reaches, both
    shares from 0 to 1. *kind* is what *before* is. *pairing* pairs the samples; by default each
    case counts by its weight.
    """
    pairing = pairing or pair_samples
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    n, missing = int(answered.sum()), int((~answered).sum())
    if n < 2:  # noqa: PLR2004 - one case shows nothing about a population
        note = f"{n} of {n + missing} cases can be compared"
        return Check(
            kind=kind, against=against, outcome=Outcome.INCONCLUSIVE, limit=margin, n=n,
            after=after.mean, before=before.mean, missing=missing, note=note,
        )  # fmt: skip
    pairs = pairing(before.select(answered), after.select(answered))
    check = replace(_drop_check(pairs, margin, levels), kind=kind, against=against, missing=missing)
    is_complete = levels.last and missing <= MAX_MISSING_SHARE * len(after)
    # Equal replies are no proof while others are to come: those may still differ.
    if is_complete and same_replies(before, after):
        return replace(check, outcome=Outcome.PASSED, is_unchanged=True)
    if pairs.before - margin <= guess_rate:
        note = f"{against} is at {percent(pairs.before)}, so a drop from it cannot show"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    if missing:
        return _drop_with_missing(check, before, after, levels, pairing)
    return _with_needs(check, pairs)


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


def _drop_check(pairs: PairedCounts, margin: float, levels: Levels) -> Check:
    low, high = tango_interval(pairs, CONFIDENCE)
    return Check(
        kind=CheckKind.BASELINE,
        outcome=drop_outcome(pairs, margin, levels),
        limit=margin,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        effective=pairs.effective,
        low=low,
        high=high,
        fixed=pairs.fixed,
        regressed=pairs.regressed,
        p_pass=p_noninferior(pairs, margin),
        p_fail=p_drop(pairs),
        miss=levels.miss,
        alarm=levels.alarm,
        shared=levels.shared,
        discordance=smoothed_discordance(pairs),
        detectable=_none_if_impossible(
            detectable_drop, pairs.effective, smoothed_discordance(pairs), POWER, levels.alarm
        ),
    )


def _with_needs(check: Check, pairs: PairedCounts) -> Check:
    """Return *check* with its note, and with what would settle it if it is inconclusive."""
    if check.outcome is Outcome.PASSED and (check.p_fail or 1.0) <= check.alarm:
        return replace(check, note="a real drop, smaller than the margin")
    if check.outcome is not Outcome.INCONCLUSIVE:
        return check
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        note = f"{pairs.groups} groups of related cases; at least {MIN_GROUPS} are needed"
        return replace(check, note=note)
    certifiable = _none_if_impossible(
        certifiable_margin, pairs.effective, smoothed_discordance(pairs), POWER
    )
    return replace(check, certifiable=certifiable, needed=_needed_for_drop(pairs, check))


def smoothed_discordance(pairs: PairedCounts) -> float:
    """Return the share of cases on which both samples disagree, shrunk to the typical value."""
    observed = (pairs.fixed + pairs.regressed) / pairs.n
    # The typical discordance enters with the weight of ten cases, since few cases show little.
    weight = 10.0
    total = observed * pairs.effective + TYPICAL_DISCORDANCE * weight
    return float(total / (pairs.effective + weight))


def _none_if_impossible(function: Callable[..., float], *numbers: float) -> float | None:
    """Return the drop or margin from *function*, or None if it needs more cases."""
    try:
        return function(*numbers)
    except ValueError:
        return None


def _needed_for_drop(pairs: PairedCounts, check: Check) -> int | None:
    """Return the number of further cases that settle the check if the observed drop is real."""
    disagreement, drop = smoothed_discordance(pairs), max(0.0, -pairs.delta)
    try:
        if drop >= check.limit:
            needed = fail_cases_needed(drop, max(disagreement, drop), POWER, check.alarm)
        else:
            # Half of a small drop is usually noise, so plan for half of it. If the check has that
            # many cases and is still inconclusive, plan for all of it.
            needed = cases_needed(check.limit, disagreement, POWER, drop=drop / 2)
            if needed <= pairs.effective:
                needed = cases_needed(check.limit, disagreement, POWER, drop=drop)
    except ValueError:
        return None
    return max(1, ceil((needed - pairs.effective) * pairs.n / pairs.effective))


def _drop_with_missing(
    check: Check, before: Samples, after: Samples, levels: Levels, pairing: Pairing
) -> Check:
    """Return *check*, inconclusive if the missing replies could change its outcome.

    The outcome must be the same with all missing replies as regressions, and as improvements.
    """
    check = replace(check, note=f"{check.missing} of {len(after)} cases brought no reply")
    if check.missing > MAX_MISSING_SHARE * len(after):
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    if _missing_unevenly(before, after):
        note = f"{check.note}, far more on one side than on the other"
        return replace(check, outcome=Outcome.INCONCLUSIVE, note=note)
    outcomes = {
        drop_outcome(
            pairing(before.impute_missing(1.0 - value), after.impute_missing(value)),
            check.limit,
            levels,
        )
        for value in (0.0, 1.0)
    }
    if outcomes == {check.outcome}:
        return check
    return replace(check, outcome=Outcome.INCONCLUSIVE, note=f"{check.note}; they could turn it")


def _missing_unevenly(before: Samples, after: Samples) -> bool:
    from scipy.stats import fisher_exact  # rarely needed, and takes a second to import

    missing = [int((~samples.has_reply).sum()) for samples in (before, after)]
    table = [[count, len(after) - count] for count in missing]
    return bool(fisher_exact(np.array(table)).pvalue < 0.01)  # noqa: PLR2004 - statistics.md 1.10


#: The largest ratio of variance to squared distance for which more cases are advised. A rate this
#: close to its minimum needs some 20,000 cases.
_MAX_VARIANCE_RATIO = 2_400


def check_minimum(after: Samples, *, minimum: float, levels: Levels | None = None) -> Check:
    """Compare the variant's rate with a minimum, by exact one-sided bounds.

    With groups, the unit is the mean of a group. Unequal weights reduce the effective number of
    cases (Kish's design effect).
    """
    levels = levels or Levels()
    rate, n = _weighted_rate(after.select(after.has_reply))
    missing = int((~after.has_reply).sum())
    if n < 2:  # noqa: PLR2004 - as for a drop
        note = f"{len(after) - missing} of {len(after)} cases brought a reply"
        note += "; they are one group of related cases" if len(after) - missing > 1 else ""
        return Check(
            kind=CheckKind.MINIMUM, outcome=Outcome.INCONCLUSIVE, limit=minimum,
            n=len(after) - missing, after=after.mean, missing=missing, note=note,
        )  # fmt: skip
    low, high = clopper_pearson(rate * n, n, CONFIDENCE)
    check = Check(
        kind=CheckKind.MINIMUM,
        outcome=_minimum_outcome(rate, n, missing / len(after), minimum, levels),
        limit=minimum,
        n=len(after) - missing,
        effective=n,
        after=rate,
        low=float(low),
        high=float(high),
        miss=levels.miss,
        alarm=levels.alarm,
        missing=missing,
        note=f"{missing} of {len(after)} cases brought no reply" if missing else "",
    )
    if check.outcome is Outcome.INCONCLUSIVE:
        return replace(check, needed=_needed_for_minimum(check))
    return check


def _weighted_rate(samples: Samples) -> tuple[float, float]:
    """Return the rate and the effective number of independent units; all cases have a reply."""
    values, weights = samples.values, samples.weights
    if not len(samples):
        return 0.0, 0.0
    weights = np.ones_like(values) if weights is None else weights
    if samples.groups is not None:
        values, weights = _group_means(samples.groups, values, weights)
    units = float(weights.sum() ** 2 / np.sum(weights**2))
    # With equal weights the number of units is a count, without rounding errors.
    units = float(values.size) if np.ptp(weights) == 0 else units
    return float(np.average(values, weights=weights)), units


def _group_means(
    groups: object, values: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean value of each group, and its mean weight."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes, sums = np.bincount(codes), np.bincount(codes, weights)
    return np.bincount(codes, values * weights) / sums, sums / sizes


def _minimum_outcome(
    rate: float, n: float, missing_share: float, minimum: float, levels: Levels
) -> Outcome:
    """Return the outcome for n units with a reply; *missing_share* of all units have none."""
    if missing_share > MAX_MISSING_SHARE:
        return Outcome.INCONCLUSIVE
    # A missing reply counts as wrong for a pass, and as right for a fail.
    total, right = n / (1.0 - missing_share), rate * n
    if lower_bound(right, total, levels.miss) >= minimum:
        return Outcome.PASSED
    below = upper_bound(right + total - n, total, levels.alarm) < minimum
    return Outcome.FAILED if below else Outcome.INCONCLUSIVE


def _needed_for_minimum(check: Check) -> int | None:
    """Return the number of further cases that settle the check if the observed rate is real."""
    gap = check.after - check.limit
    if gap <= 0 or check.after * (1 - check.after) / gap**2 > _MAX_VARIANCE_RATIO:
        return None
    try:
        needed = minimum_cases_needed(check.limit, check.after, POWER, check.miss)
    except ValueError:
        return None
    return max(1, round(needed - check.effective))


_SEED = 0
_RIGHT, _WRONG = True, False


def check_macro_drop(
    before: LabelPredictions,
    after: LabelPredictions,
    *,
    against: str,
    margin: float,
    levels: Levels,
) -> Check:
    """Compare the macro-F1 of two variants on their shared cases."""
    before, after = before.shared_with(after), after.shared_with(before)

    def compare(then: LabelPredictions, now: LabelPredictions) -> Check:
        def change(counts: FloatArray) -> FloatArray:
            return macro_f1(now, counts) - macro_f1(then, counts)

        check = _bootstrap_check(change, now, margin=-margin, zero=0.0, levels=levels)
        rates = [_macro_rate(predictions) for predictions in (then, now)]
        return replace(
            check, kind=CheckKind.BASELINE, against=against, limit=margin,
            before=rates[0], after=rates[1],
        )  # fmt: skip

    answered = before.has_reply & after.has_reply
    check = compare(before.select(answered), after.select(answered))
    worst = compare(before.impute_missing(right=_RIGHT), after.impute_missing(right=_WRONG))
    best = compare(before.impute_missing(right=_WRONG), after.impute_missing(right=_RIGHT))
    check = _macro_with_missing(check, len(answered), int((~answered).sum()), (worst, best))
    if check.before is not None and check.before - margin <= 1 / len(after.labels):
        note = f"{against} is at {percent(check.before)}, so a drop from it cannot show"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    return check


def check_macro_minimum(after: LabelPredictions, *, minimum: float, levels: Levels) -> Check:
    """Compare the macro-F1 of one variant with a minimum."""

    def compare(now: LabelPredictions) -> Check:
        check = _bootstrap_check(
            lambda counts: macro_f1(now, counts), now, margin=minimum, zero=minimum, levels=levels
        )
        return replace(check, limit=minimum, after=_macro_rate(now))

    check = compare(after.select(after.has_reply))
    extremes = [compare(after.impute_missing(right=right)) for right in (_WRONG, _RIGHT)]
    return _macro_with_missing(check, len(after.case_ids), int((~after.has_reply).sum()), extremes)


def _macro_rate(predictions: LabelPredictions) -> float:
    n = len(predictions.case_ids)
    return float(macro_f1(predictions, np.ones((1, n)))[0]) if n else 0.0


def _macro_with_missing(check: Check, cases: int, missing: int, extremes: Iterable[Check]) -> Check:
    """Return *check*, inconclusive if the missing replies could change its outcome.

    *check* rests on the cases with a reply; *cases* is the number of all cases. *extremes* are the
    check with all missing replies wrong, and with all of them right.
    """
    if not missing:
        return check
    check = replace(check, missing=missing, note=f"{missing} of {cases} cases brought no reply")
    outcomes = {extreme.outcome for extreme in extremes}
    if missing > MAX_MISSING_SHARE * cases or outcomes != {check.outcome}:
        return replace(check, outcome=Outcome.INCONCLUSIVE)
    return check


def _bootstrap_check(
    statistic: Callable[[FloatArray], FloatArray],
    predictions: LabelPredictions,
    *,
    margin: float,
    zero: float,
    levels: Levels,
) -> Check:
    """Return a check: passed if the lower bound > *margin*, failed if the upper < *zero*."""
    n, note = len(predictions.case_ids), _sample_size_note(predictions)
    check = Check(
        kind=CheckKind.MINIMUM, outcome=Outcome.INCONCLUSIVE, limit=margin, n=n, effective=n,
        after=0.0, miss=levels.miss, alarm=levels.alarm, shared=levels.shared, method="bootstrap",
        note=note,
    )  # fmt: skip
    if not n:
        return check

    def bounds(alpha: float) -> tuple[float, float]:
        rng = np.random.default_rng(_SEED)
        estimate = bootstrap_bounds(statistic, n, rng=rng, alpha=alpha, groups=predictions.groups)
        return estimate.lower, estimate.upper

    low, high = bounds((1.0 - CONFIDENCE) / 2.0)
    if note:
        return replace(check, low=low, high=high)
    passed, failed = bounds(levels.miss)[0] > margin, bounds(levels.alarm)[1] < zero
    outcome = Outcome.PASSED if passed else (Outcome.FAILED if failed else Outcome.INCONCLUSIVE)
    return replace(check, outcome=outcome, low=low, high=high)


def _sample_size_note(predictions: LabelPredictions) -> str:
    """Return why there are too few cases or groups for bounds of macro-F1, or ""."""
    n = len(predictions.case_ids)
    if n < MIN_CASES_FOR_F1:
        return f"macro-F1 needs at least {MIN_CASES_FOR_F1} cases for reliable bounds"
    groups = n if predictions.groups is None else len(set(predictions.groups.tolist()))
    if groups < MIN_GROUPS:
        return f"{groups} groups of related cases; at least {MIN_GROUPS} are needed"
    return ""


#: Absorbs rounding errors in comparisons with a limit.
_TOLERANCE = 1e-9


def check_point(check: Check) -> Check:
    """Return *check* as decided by a plain threshold, with its chance flip rate in the note."""
    if check.missing > MAX_MISSING_SHARE * (check.n + check.missing) or check.effective < 1:
        return check
    if check.before is None:
        within = check.after >= check.limit - _TOLERANCE
    else:
        within = check.after - check.before >= -check.limit - _TOLERANCE
    flips = f"{chance_flip_rate(check):.0%} of pairs of runs like this one disagree"
    outcome = Outcome.PASSED if within else Outcome.FAILED
    note = "; ".join(filter(None, (check.note, f"plain threshold: {flips}")))
    return replace(check, outcome=outcome, method="point", note=note)


def chance_flip_rate(check: Check) -> float:
    """Return how often two runs with these rates and this number of cases disagree by chance."""
    if check.before is None:
        needed = ceil(check.limit * check.effective - _TOLERANCE)
        return flip_rate(float(binomial_sf(needed - 1.0, round(check.effective), check.after)))
    drop = check.before - check.after
    discordance = max(check.discordance or 0.0, abs(drop))
    return flip_rate(point_rule_pass_probability(check.effective, discordance, drop, check.limit))
