"""Why a training is stopped, and how far one that goes on is from a stop, in words."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from pytest_ftgate.gates.verdict import Check, Slice, Verdict
from pytest_ftgate.reporting import phrases
from pytest_ftgate.reporting.number_text import (
    change_text,
    digits_beside,
    share_change,
    unsigned_points,
)

#: The most decimals of a change beside the one that a stop needs.
_MOST_DIGITS = 2


def stop_text(found: Iterable[tuple[Verdict, Check | Slice]], *, surely_half: bool) -> str:
    """Return what was lost that stops a training: changes of gates, or of parts of them."""
    why = "surely more than half of the {} allowed" if surely_half else "shown, and perhaps over {}"
    lost = ((_lost(verdict, part), unsigned_points(_limit(part))) for verdict, part in found)
    return "; ".join(f"{change}: {why.format(limit)}" for change, limit in lost)


def _lost(verdict: Verdict, part: Check | Slice) -> str:
    name = phrases.subject(verdict) if isinstance(part, Check) else f"{part.kind} {part.name}"
    found = part.change or 0.0, part.low, part.high
    limits = _limit(part) / 2.0, _limit(part)
    digits = max(digits_beside(-limit, *found) for limit in limits)
    rates = share_change(part.before or 0.0, part.after, digits)
    return f"{name} {rates}, {change_text(*found, digits)}"


def _limit(part: Check | Slice) -> float:
    return (part.limit if isinstance(part, Check) else part.margin) or 0.0


def distance_text(verdict: Verdict, check: Check, needed: float) -> str:
    """Return how much of the limit a drop has used, and the change that would stop the training.

    *needed* is that change, a share below 0. Both have as many decimals as tell them apart.
    """
    lost, stop = -100.0 * (check.change or 0.0), -100.0 * needed
    for digits in range(_MOST_DIGITS + 1):
        # A stop takes at least what is shown for it.
        shown = ceil(round(stop * 10**digits, 6)) / 10**digits
        if round(lost, digits) < shown:
            break
    return (
        f"{phrases.subject(verdict)} down {lost:.{digits}f} of {unsigned_points(check.limit)} "
        f"allowed; a stop needs down {shown:.{digits}f} here"
    )
