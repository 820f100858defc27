"""Cases that were held out: asked of the chosen rung alone, so that they flatter nobody."""

from __future__ import annotations

from pytest_ftgate.advise.climb import floor_of
from pytest_ftgate.advise.parts import Confirmation, Standing
from pytest_ftgate.gate.floor import floor
from pytest_ftgate.gate.risks import MISS
from pytest_ftgate.gate.side import side
from pytest_ftgate.gate.words import percent
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.suite.model import Suite

__all__ = ["confirmation"]


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
