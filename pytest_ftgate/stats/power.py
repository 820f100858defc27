"""Power and sample size: how many cases a gate needs, and what a given number can show."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from pytest_ftgate.stats.graded import PlannedScore, quantile
from pytest_ftgate.stats.paired import PairedCounts
from pytest_ftgate.stats.proportions import (
    binomial_sf,
    critical_z,
    find_root,
    last_whole,
    max_regressed,
    needs_exact_test,
    require_share,
    trinomial_region,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_ftgate.stats.bounded import PlannedMean
    from pytest_ftgate.stats.proportions import Array

#: Absorbs rounding before a ceiling or a floor is taken.
_TOLERANCE = 1e-9
#: Up to this many cases the exact probability decides.
_MAX_EXACT_CASES = 12_000
#: Standard deviations around the mean that hold every likely count.
_DEVIATIONS = 9.0
#: Sample sizes are searched in blocks of this size.
_BLOCK = 1024
_MAX_CASES = 4_000_000
#: By so many steps of 1 / (rate - minimum) a search begins below the normal approximation.
_SLACK = 20.0


def pass_probability(
    n: float, discordance: float, drop: float, margin: float, alpha: float = 0.05
) -> float:
    """Return the exact probability that a gate of n cases passes when the true drop is *drop*."""
    return _chance_of_z(n, discordance, drop, margin, _least_z(int(n), margin, alpha))


def _chance_of_z(n: float, discordance: float, drop: float, margin: float, least: float) -> float:
    """Return the exact probability of a `tango_z` of *least* or more at *margin*."""
    cases, fixed = _likely_fixed(n, discordance, drop)
    limits = max_regressed(fixed, cases, margin, least)
    return float(trinomial_region(limits, fixed, cases, np.array([discordance]), drop)[0])


# A self-test evaluates a gate hundreds of times, mostly on counts that occurred before.
@lru_cache(maxsize=4096)
def cases_needed(
    margin: float, discordance: float, power: float = 0.9, alpha: float = 0.05, drop: float = 0.0
) -> int:
    """Return the fewest cases that pass with at least *power* when the true drop is *drop*.

    The exact probability decides up to 12 000 cases. Above that the result is the closed form that
    it approaches (score test with restricted variance, Tango 1998). The probability is a sawtooth
    of n: a few more cases can lower it slightly.
    """
    approximate = _approximate_cases(margin, discordance, power, alpha, drop)
    if approximate > _MAX_EXACT_CASES:
        return approximate
    # A tooth is 1 / margin cases wide; the first tooth to reach the power starts within two.
    n, score_test = max(1, math.ceil(approximate - 2.0 / margin)), _upper_z(alpha)
    # Where the score test passes too rarely, so does the exact one, whose level takes longer.
    while (
        _chance_of_z(n, discordance, drop, margin, score_test) < power
        or pass_probability(n, discordance, drop, margin, alpha) < power
    ):
        n += 1
    return n


@lru_cache(maxsize=4096)
def certifiable_margin(
    n: float, discordance: float, power: float = 0.9, alpha: float = 0.05
) -> float:
    """Return the smallest margin that n cases of an unchanged model pass with at least *power*.

    Raises:
        ValueError: no margin is passed with that power.
    """
    require_share("power", power)
    low, high = 0.0, 1.0 - _TOLERANCE
    if pass_probability(n, discordance, 0.0, high, alpha) < power:
        raise ValueError(f"no margin is passed with power {power} by {n:g} cases")
    while high - low > 1e-4:  # noqa: PLR2004 - finer than any margin in use
        middle = (low + high) / 2.0
        enough = pass_probability(n, discordance, 0.0, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def fail_cases_needed(
    drop: float, discordance: float, power: float = 0.9, alpha: float = 0.05
) -> int:
    """Return the cases needed to show a true drop with *power* (McNemar, one-sided at *alpha*).

    Connor (1987), Biometrics 43:207-211.
    """
    if not 0.0 < drop <= discordance <= 1.0:
        raise ValueError(f"a drop of {drop} needs a discordance of at least that and at most 1")
    return math.ceil(_connor_cases(drop, discordance, power, alpha) - _TOLERANCE)


def detectable_drop(n: float, discordance: float, power: float = 0.9, alpha: float = 0.05) -> float:
    """Return the smallest true drop that n cases show with at least *power* (Connor 1987).

    This is the inverse of `fail_cases_needed`. A drop larger than *discordance* raises the
    discordance to the drop, since every regressed case is a changed case.
    """
    _require_discordance(discordance, 0.0)

    def excess(drop: float) -> float:
        return _connor_cases(drop, max(discordance, drop), power, alpha) - n

    if excess(1.0) > 0.0:
        raise ValueError(f"no drop can be proved with {n:g} cases")
    return find_root(excess, 1e-9, 1.0, xtol=1e-9)


def minimum_cases_needed(
    minimum: float, rate: float, power: float = 0.9, alpha: float = 0.05
) -> int:
    """Return the fewest cases whose exact lower bound reaches *minimum* with at least *power*.

    All probabilities are exact binomial ones. *rate* is the true share, above *minimum* and at
    most 1.
    """
    require_share("minimum", minimum)
    require_share("power", power)
    _upper_z(alpha)
    if not minimum < rate <= 1.0:
        raise ValueError(f"a rate of {rate} cannot be proven to reach a minimum of {minimum}")
    for start in range(_fewest_possible(minimum, rate, power, alpha), _MAX_CASES, _BLOCK):
        n = np.arange(start, start + _BLOCK, dtype=np.float64)
        enough = binomial_sf(_fewest_successes(n, minimum, alpha) - 1.0, n, rate) >= power
        if np.any(enough):
            return start + int(np.argmax(enough))
    msg = f"more than {_MAX_CASES} cases are needed to distinguish {rate} from {minimum}"
    raise ValueError(msg)


def _fewest_possible(minimum: float, rate: float, power: float, alpha: float) -> int:
    """Return a number of cases that the search for the fewest may begin with.

    The normal approximation misses the exact number by a few multiples of 1 / (rate - minimum).
    """
    spread, true_spread = (math.sqrt(share * (1.0 - share)) for share in (minimum, rate))
    distance = max(0.0, _upper_z(alpha) * spread + float(ndtri(power)) * true_spread)
    gap = rate - minimum
    return max(1, math.floor((distance / gap) ** 2 - _SLACK / gap))


def minimum_pass_probability(n: int, minimum: float, rate: float, alpha: float = 0.05) -> float:
    """Return the exact probability that n cases with a true *rate* show that it reaches *minimum*.

    A case is right or wrong.
    """
    require_share("minimum", minimum)
    fewest = _fewest_successes(np.array([float(n)]), minimum, alpha)
    return float(binomial_sf(fewest - 1.0, float(n), rate)[0])


def graded_certifiable_margin(pairs: PairedCounts, power: float, alpha: float = 0.05) -> float:
    """Return the smallest margin that an unchanged variant passes with at least *power*.

    The spread of the graded or weighted changes in *pairs* is that of the variant.
    """
    return _graded_plan(pairs, alpha).distance(power)


def graded_pass_probability(pairs: PairedCounts, margin: float, alpha: float = 0.05) -> float:
    """Return the probability that an unchanged variant passes *margin*; see above for *pairs*."""
    return _graded_plan(pairs, alpha).chance(margin)


def graded_detectable_drop(pairs: PairedCounts, power: float, alpha: float, margin: float) -> float:
    """Return the smallest true drop that fails at level *alpha* with at least *power*."""
    seen = margin + float(ndtri(power)) * math.sqrt(pairs.spread / pairs.n)
    return max(seen, _graded_plan(pairs, alpha, None).distance(power))


def graded_cases_needed(
    pairs: PairedCounts, power: float, drop: float, margin: float, alarm: float, miss: float = 0.05
) -> int:
    """Return the fewest cases that settle a graded or weighted check of a true *drop*.

    They pass it if *drop* is smaller than *margin*, and fail it otherwise.
    """
    if drop >= margin:
        return _graded_plan(pairs, alarm, None).cases(drop, power)
    return _graded_plan(pairs, miss, -drop).cases(margin - drop, power)


def _graded_plan(
    pairs: PairedCounts, alpha: float, change: float | None = 0.0
) -> PlannedMean | PlannedScore:
    """Return the plan of a variant that truly changes by *change*; None to show any drop."""
    require_share("alpha", alpha)
    if pairs.changes is not None:
        return pairs.changes.plan(pairs.spread, change, alpha)
    level = -quantile(alpha, None if pairs.groups == 1 else pairs.groups)
    return PlannedScore(n=pairs.n, spread=pairs.spread, largest=pairs.largest, quantile=level)


def flip_rate(pass_chance: float) -> float:
    """Return the probability that two independent runs of one gate disagree: 2 p (1 - p)."""
    return 2.0 * pass_chance * (1.0 - pass_chance)


def point_rule_pass_probability(n: float, discordance: float, drop: float, margin: float) -> float:
    """Return the exact probability that a plain threshold, observed drop <= margin, passes."""
    cases, fixed = _likely_fixed(n, discordance, drop)
    limits = np.minimum(fixed + math.floor(cases * margin + _TOLERANCE), cases - fixed)
    return float(trinomial_region(limits, fixed, cases, np.array([discordance]), drop)[0])


def _likely_fixed(n: float, discordance: float, drop: float) -> tuple[int, Array]:
    """Return whole cases, and the counts of fixed cases within 9 standard deviations."""
    _require_discordance(discordance, drop)
    if not 1.0 <= n < math.inf:
        raise ValueError(f"at least one case is needed, got {n}")
    cases = int(n)
    mean = cases * (discordance - drop) / 2.0
    half_width = _DEVIATIONS * math.sqrt(mean) + _DEVIATIONS**2
    low, high = max(0.0, math.floor(mean - half_width)), min(cases, math.ceil(mean + half_width))
    return cases, np.arange(low, high + 1.0)


def _require_discordance(discordance: float, drop: float) -> None:
    if not abs(drop) <= discordance <= 1.0:
        raise ValueError(f"a drop of {drop} needs a discordance of at least that and at most 1")


def _least_z(cases: int, margin: float, alpha: float) -> float:
    """Return the least `tango_z` that rules out a drop of *margin*, as `is_noninferior` does."""
    require_share("margin", margin)
    exact = needs_exact_test(cases, margin)
    return critical_z(cases, margin, alpha) - _TOLERANCE if exact else _upper_z(alpha)


def _upper_z(alpha: float) -> float:
    require_share("alpha", alpha)
    return -float(ndtri(alpha))


def _approximate_cases(
    margin: float, discordance: float, power: float, alpha: float, drop: float
) -> int:
    """Return n by the normal approximation: restricted null variance, true variance at *drop*."""
    require_share("margin", margin)
    require_share("power", power)
    _require_discordance(discordance, drop)
    if drop >= margin:
        raise ValueError(f"a drop of {drop} never passes a margin of {margin} with power")
    regressed_share, spread = (discordance + drop) / 2.0, margin * (1.0 + margin)
    b = discordance + (2.0 + drop) * margin
    cell = (math.sqrt(b * b - 8.0 * regressed_share * spread) + b) / 4.0
    null_sd, true_sd = math.sqrt(2.0 * cell - spread), math.sqrt(discordance - drop * drop)
    distance = _upper_z(alpha) * null_sd + float(ndtri(power)) * true_sd
    return math.ceil((distance / (margin - drop)) ** 2 - _TOLERANCE)


def _connor_cases(drop: float, discordance: float, power: float, alpha: float) -> float:
    require_share("power", power)
    true_sd = math.sqrt(max(discordance - drop * drop, 0.0))
    distance = _upper_z(alpha) * math.sqrt(discordance) + float(ndtri(power)) * true_sd
    return (distance / drop) ** 2


def _fewest_successes(n: Array, minimum: float, alpha: float) -> Array:
    """Return the fewest successes whose exact lower bound reaches *minimum*; n + 1 if none."""

    def is_too_few(successes: Array) -> NDArray[np.bool_]:
        return binomial_sf(successes - 1.0, n, minimum) > alpha

    return last_whole(is_too_few, np.zeros_like(n), n + 1.0) + 1.0
