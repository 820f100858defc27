"""Power and sample size: how many cases a gate needs, and what a given number can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from pytest_ftgate.stats.paired import root
from pytest_ftgate.stats.proportions import (
    binomial_sf,
    most_losses,
    require_share,
    trinomial_region,
)

if TYPE_CHECKING:
    from pytest_ftgate.stats.proportions import Array

_SLACK = 1e-9
_EXACT_BELOW = 12_000
_SPREAD = 9.0
_BLOCK = 1024
_MOST_CASES = 4_000_000


def pass_probability(
    n: float, discordance: float, drop: float, margin: float, alpha: float = 0.05
) -> float:
    """Give the exact chance that a gate of n cases passes when the true drop is `drop`."""
    require_share("margin", margin)
    cases, gains = _likely_gains(n, discordance, drop)
    limits = most_losses(gains, cases, margin, _upper_z(alpha))
    return float(trinomial_region(limits, gains, cases, np.array([discordance]), drop)[0])


def cases_needed(
    margin: float, discordance: float, power: float = 0.9, alpha: float = 0.05, drop: float = 0.0
) -> int:
    """Give the fewest cases that pass with at least `power` when the true drop is `drop`.

    The exact chance decides up to 12 000 cases, beyond that the closed form it approaches (score
    test with restricted variance, Tango 1998). Chances rise in saw teeth: a few more cases can
    lower them by a little.
    """
    closed = _cases_closed(margin, discordance, power, alpha, drop)
    if closed > _EXACT_BELOW:
        return closed
    # A tooth is 1 / margin cases wide; the first tooth to reach the power starts within two.
    n = max(1, math.ceil(closed - 2.0 / margin))
    while pass_probability(n, discordance, drop, margin, alpha) < power:
        n += 1
    return n


def certifiable_margin(
    n: float, discordance: float, power: float = 0.9, alpha: float = 0.05
) -> float:
    """Give the smallest margin that n cases of an unchanged model pass with at least `power`."""
    require_share("power", power)
    low, high = 0.0, 1.0 - _SLACK
    if pass_probability(n, discordance, 0.0, high, alpha) < power:
        msg = f"no margin is passed with power {power} by {n:g} cases"
        raise ValueError(msg)
    while high - low > 1e-6:  # noqa: PLR2004 - finer than anyone states a margin
        middle = (low + high) / 2.0
        enough = pass_probability(n, discordance, 0.0, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def smallest_margin(n: float, alpha: float = 0.05, *, exact: bool = False) -> float:
    """Give the smallest margin that n cases without a single change would pass.

    Any narrower margin needs gains to pass, so no unchanged model ever would. By Tango's score
    test, or, if `exact`, by the exact test, for which (1 - margin)^n must not exceed alpha.
    """
    if not n > 0.0:
        msg = f"at least one case is needed, got {n}"
        raise ValueError(msg)
    square = _upper_z(alpha) ** 2
    return float(1.0 - alpha ** (1.0 / n)) if exact else square / (n + square)


def fail_cases_needed(
    drop: float, discordance: float, power: float = 0.9, alpha: float = 0.05
) -> int:
    """Give the cases needed to prove a true drop (McNemar's test, one-sided at `alpha`).

    Connor (1987), Biometrics 43:207-211.
    """
    if not 0.0 < drop <= discordance <= 1.0:
        msg = f"a drop of {drop} needs a discordance of at least that and at most 1"
        raise ValueError(msg)
    return math.ceil(_connor(drop, discordance, power, alpha) - _SLACK)


def detectable_drop(n: float, discordance: float, power: float = 0.9, alpha: float = 0.05) -> float:
    """Give the smallest true drop that n cases prove with at least `power` (Connor 1987).

    The inverse of `fail_cases_needed`, except that a drop larger than the discordance brings
    its own: every case it loses is a case that changed.
    """
    _require_discordance(discordance, 0.0)

    def excess(drop: float) -> float:
        return _connor(drop, max(discordance, drop), power, alpha) - n

    if excess(1.0) > 0.0:
        msg = f"no drop can be proved with {n:g} cases"
        raise ValueError(msg)
    return root(excess, 1e-9, 1.0, xtol=1e-9)


def floor_cases_needed(floor: float, rate: float, power: float = 0.9, alpha: float = 0.05) -> int:
    """Give the fewest cases whose exact lower bound reaches `floor` with at least `power`.

    `rate` is the true share, above the floor and at most 1; exact binomial chances throughout.
    """
    require_share("floor", floor)
    require_share("power", power)
    _upper_z(alpha)
    if not floor < rate <= 1.0:
        msg = f"a rate of {rate} can never be shown to reach a floor of {floor}"
        raise ValueError(msg)
    for start in range(1, _MOST_CASES, _BLOCK):
        n = np.arange(start, start + _BLOCK, dtype=np.float64)
        enough = binomial_sf(_fewest_successes(n, floor, alpha) - 1.0, n, rate) >= power
        if np.any(enough):
            return start + int(np.argmax(enough))
    msg = f"more than {_MOST_CASES} cases are needed to tell {rate} from {floor}"
    raise ValueError(msg)


def flip_rate(pass_chance: float) -> float:
    """Give the chance 2 p (1 - p) that two independent runs of one gate disagree on passing."""
    if not 0.0 <= pass_chance <= 1.0:
        msg = f"a chance lies between 0 and 1, got {pass_chance}"
        raise ValueError(msg)
    return 2.0 * pass_chance * (1.0 - pass_chance)


def point_rule_pass(n: float, discordance: float, drop: float, margin: float) -> float:
    """Give the exact chance that a plain threshold, observed drop <= margin, passes."""
    cases, gains = _likely_gains(n, discordance, drop)
    limits = np.minimum(gains + math.floor(cases * margin + _SLACK), cases - gains)
    return float(trinomial_region(limits, gains, cases, np.array([discordance]), drop)[0])


def point_rule_miss(n: float, discordance: float, margin: float) -> float:
    """Give the chance that a plain threshold misses a true drop as large as its margin."""
    return point_rule_pass(n, discordance, margin, margin)


def _likely_gains(n: float, discordance: float, drop: float) -> tuple[int, Array]:
    """Whole cases, and the numbers of gains within nine standard deviations of their mean."""
    _require_discordance(discordance, drop)
    if not 1.0 <= n < math.inf:
        msg = f"at least one case is needed, got {n}"
        raise ValueError(msg)
    cases = int(n)
    mean = cases * (discordance - drop) / 2.0
    reach = _SPREAD * math.sqrt(mean) + _SPREAD**2
    low, high = max(0.0, math.floor(mean - reach)), min(cases, math.ceil(mean + reach))
    return cases, np.arange(low, high + 1.0)


def _require_discordance(discordance: float, drop: float) -> None:
    if not abs(drop) <= discordance <= 1.0:
        msg = f"a drop of {drop} needs a discordance of at least that and at most 1"
        raise ValueError(msg)


def _upper_z(alpha: float) -> float:
    require_share("alpha", alpha)
    return -float(ndtri(alpha))


def _cases_closed(
    margin: float, discordance: float, power: float, alpha: float, drop: float
) -> int:
    """Solve the normal approximation for n: null variance restricted, true variance at `drop`."""
    require_share("margin", margin)
    require_share("power", power)
    _require_discordance(discordance, drop)
    if drop >= margin:
        msg = f"a drop of {drop} never passes a margin of {margin} with power"
        raise ValueError(msg)
    loss, spread = (discordance + drop) / 2.0, margin * (1.0 + margin)
    b = discordance + (2.0 + drop) * margin
    cell = (math.sqrt(b * b - 8.0 * loss * spread) + b) / 4.0
    true = math.sqrt(discordance - drop * drop)
    reach = _upper_z(alpha) * math.sqrt(2.0 * cell - spread) + float(ndtri(power)) * true
    return math.ceil((reach / (margin - drop)) ** 2 - _SLACK)


def _connor(drop: float, discordance: float, power: float, alpha: float) -> float:
    require_share("power", power)
    true = math.sqrt(max(discordance - drop * drop, 0.0))
    reach = _upper_z(alpha) * math.sqrt(discordance) + float(ndtri(power)) * true
    return (reach / drop) ** 2


def _fewest_successes(n: Array, floor: float, alpha: float) -> Array:
    """Find the fewest successes whose exact lower bound reaches the floor; n + 1 if none."""
    low, high = np.zeros_like(n), n + 1.0
    while np.any(high - low > 1.0):
        middle = np.floor((low + high) / 2.0)
        shown = binomial_sf(middle - 1.0, n, floor) <= alpha
        move = high - low > 1.0
        low, high = np.where(move & ~shown, middle, low), np.where(move & shown, middle, high)
    return high
