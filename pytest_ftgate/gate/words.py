"""Numbers as they are said: shares in per cent, changes in points."""

from __future__ import annotations

__all__ = ["interval", "percent", "points", "size"]

_MINUS = "−"


def percent(share: float) -> str:
    """Return a share as ``61 %``; the last per cent on either side is told exactly."""
    rounded = round(share * 100)
    exact = share * 100
    if rounded in (0, 100) and abs(exact - rounded) > 0.05:  # noqa: PLR2004 - shown as 99.6 %
        return f"{exact:.1f} %"
    return f"{rounded} %"


def points(change: float) -> str:
    """Return a change of a share in points, signed: ``−47``."""
    value = round(change * 100)
    return f"+{value}" if value > 0 else (f"{_MINUS}{-value}" if value < 0 else "0")


def size(share: float) -> str:
    """Return the size of a drop or margin in points, without a sign: ``5``."""
    return f"{abs(share) * 100:.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of a change in points: ``(−53 −40)``."""
    return "" if low is None or high is None else f"({points(low)} {points(high)})"
