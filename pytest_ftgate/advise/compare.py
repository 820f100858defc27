"""Rungs held against each other on the same cases, with the price of looking at all of them.

Whoever takes the best of several on the same cases flatters it: what passes among candidates is
corrected (Holm 1979) for every pair that could have been looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pytest_ftgate.advise.parts import Challenge, Gain
from pytest_ftgate.gate.drop import paired
from pytest_ftgate.gate.numbers.counts import Pairs
from pytest_ftgate.gate.numbers.multiple import holm
from pytest_ftgate.gate.numbers.paired import p_drop, p_noninferior, tango_interval
from pytest_ftgate.gate.risks import CONFIDENCE, FEWEST_GROUPS, MISS
from pytest_ftgate.gate.side import Side, aligned, unchanged

__all__ = ["Compared", "challenges", "compared"]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Every pair of rungs: how much more the higher one gets right, and how sure that is.

    Attributes:
        gains: by (over, variant); of either order.
        p_worse: by the same, how easily this is seen though the variant is worse by *margin*;
            corrected as the gains are, upwards and downwards each by itself.
    """

    gains: Mapping[tuple[str, str], Gain]
    margin: float
    p_worse: Mapping[tuple[str, str], float]

    def of(self, variant: str, over: str) -> Gain:
        """Return the gain of *variant* over another."""
        return self.gains[over, variant]

    def as_good(self, variant: str, than: str) -> bool:
        """Tell whether it is ruled out that *variant* is worse by the margin."""
        return self.p_worse[than, variant] <= MISS


def compared(sides: Mapping[str, Side], margin: float) -> Compared:
    """Compare every two of *sides*, given in the order of the ladder.

    Args:
        sides: by variant.
        margin: how much less is still as good, as a share.
    """
    up = list(combinations(sides, 2))
    gains, p_worse = dict[tuple[str, str], Gain](), dict[tuple[str, str], float]()
    # Upwards it is asked whether more effort brings more, downwards whether less will do.
    for order in (up, [(high, low) for low, high in up]):
        pairs = {key: _paired(sides[key[0]], sides[key[1]]) for key in order}
        better = _corrected([_p_better(pairs[key]) for key in order])
        worse = _corrected([_p_worse(pairs[key], margin) for key in order])
        gains |= {k: _gain(k[0], pairs[k], p) for k, p in zip(order, better, strict=True)}
        p_worse |= dict(zip(order, worse, strict=True))
    return Compared(gains, margin, p_worse)


def _corrected(p_values: list[float]) -> list[float]:
    return [float(p) for p in holm(p_values)] if p_values else []


def _paired(before: Side, after: Side) -> tuple[Side, Side, Pairs | None]:
    before, after = aligned(before, after)
    known = before.known & after.known
    before, after = before.where(known), after.where(known)
    return before, after, paired(before, after) if len(after) > 1 else None


def _p_better(found: tuple[Side, Side, Pairs | None]) -> float:
    before, after, pairs = found
    if pairs is None or _few(pairs) or unchanged(before, after):
        return 1.0
    # A rung is better where the other one, taken as its successor, has dropped.
    return float(p_drop(paired(after, before)))


def _p_worse(found: tuple[Side, Side, Pairs | None], margin: float) -> float:
    before, after, pairs = found
    if pairs is None or _few(pairs) or not 0.0 < margin < 1.0:
        return 1.0
    return 0.0 if unchanged(before, after) else float(p_noninferior(pairs, margin))


def _few(pairs: Pairs) -> bool:
    return pairs.groups is not None and pairs.groups < FEWEST_GROUPS


def _gain(over: str, found: tuple[Side, Side, Pairs | None], p: float) -> Gain:
    _, after, pairs = found
    if pairs is None:
        return Gain(over=over, change=0.0, low=-1.0, high=1.0, n=len(after), p=1.0, certain=False)
    low, high = tango_interval(pairs, CONFIDENCE)
    change = pairs.after - pairs.before
    return Gain(over=over, change=change, low=low, high=high, n=len(after), p=p, certain=p <= MISS)


def challenges(
    found: Compared, challengers: Iterable[str], tuned: str | None
) -> tuple[Challenge, ...]:
    """Return whether *challengers* have become as good as the fine-tune *tuned*."""
    names: Sequence[str] = [one for one in challengers if tuned and one != tuned]
    known = [one for one in names if (tuned, one) in found.gains]
    if not known or tuned is None:
        return ()
    return tuple(_challenge(found, one, tuned) for one in known)


def _challenge(found: Compared, challenger: str, tuned: str) -> Challenge:
    gain, p = found.of(challenger, tuned), found.p_worse[tuned, challenger]
    worse = found.of(tuned, challenger).certain
    outcome = "as good" if p <= MISS else "worse" if worse else "open"
    return Challenge(
        challenger=challenger,
        tuned=tuned,
        gain=gain,
        margin=found.margin,
        p=p,
        outcome=outcome,
    )
