"""Why a training is stopped, and how far one that goes on is from a stop, in words."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from pytest_ftgate.gates.verdict import Check, Slice, Verdict
from pytest_ftgate.reporting import phrases
from pytest_ftgate.reporting.number_text import (
    change_text,
    share_change,
    unsigned_points,
)

#: The most decimals of a change beside the one that a stop needs.
_MOST_DIGITS = 2


def stop_text(found: Iterable[tuple[Verdict, Check | Slice]], *, surely_half: bool) -> str:
    """Return what was lost that stops a training: changes of gates, or of parts of them."""
    why = "surely more than half of the {} allowed" if surely_half else "shown, and perhaps over {}"
    return "; ".join(
        f"{_lost(verdict, part)}: {why.format(_limit(part))}" for verdict, part in found
    )


def _lost(verdict: Verdict, part: Check | Slice) -> str:
    rates = share_change(part.before or 0.0, part.after)
    if isinstance(part, Check):
        return f"{phrases.subject(verdict)} {rates}, {phrases.size_with_interval(part)}"
    change = change_text(part.change, part.low, part.high)
    return f"{part.kind} {part.name} {rates}, {change}"


def _limit(part: Check | Slice) -> str:
    limit = part.limit if isinstance(part, Check) else part.margin
    return unsigned_points(limit or 0.0)


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
