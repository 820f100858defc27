"""Units: percent, points, USD and milliseconds as text."""

from __future__ import annotations

from decimal import Decimal

__all__ = [
    "amount",
    "clock",
    "counted",
    "interval",
    "ms",
    "percent",
    "points",
    "rise",
    "risen",
    "size",
    "usd",
]

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


def counted(number: int, what: str) -> str:
    """Return how many there are of *what*, as ``1 case`` or ``1,200 cases``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def usd(money: Decimal | float) -> str:
    """Return an amount as ``0.42 USD``; below a dollar to three figures, and at least to a cent."""
    value = float(money)
    figures = f"{value:.2f}" if value >= 1 or value == 0 else _to_three_figures(value)
    return f"{float(figures):,.2f} USD" if value >= 1 else f"{figures} USD"


def _to_three_figures(value: float) -> str:
    exact = f"{Decimal(f'{value:.3g}'):f}"
    whole, _, rest = exact.partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def ms(milliseconds: float) -> str:
    """Return a length of time as ``1,500 ms``; a short one to two figures."""
    return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"  # noqa: PLR2004


def amount(value: float, unit: str) -> str:
    """Return a number in its *unit*: ``share``, ``usd`` or ``ms``."""
    return {"share": percent, "usd": usd, "ms": ms}[unit](value)


def clock(seconds: float) -> str:
    """Return a length of time as ``4:11``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rise(share: float) -> str:
    """Return a relative change, signed: ``+23 %``."""
    return f"{points(share)} %"


def risen(low: float | None, high: float | None) -> str:
    """Return an interval of a relative change: ``(+12 +34)``, open where nothing bounds it."""
    if low is None and high is None:
        return ""
    return f"({'…' if low is None else points(low)} {'…' if high is None else points(high)})"
