"""Units: percent, points, USD and milliseconds as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import ceil, floor, log10

_MINUS = "−"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as ``61 %``, or with *digits* decimals.

    It has one decimal if it rounds to 0 or 100 without being it.
    """
    rounded = round(share * 100)
    if digits:
        return f"{share * 100:.{digits}f} %"
    exact = share * 100
    if rounded in (0, 100) and abs(exact - rounded) > 0.05:  # noqa: PLR2004 - shown as 99.6 %
        return f"{exact:.1f} %"
    return f"{rounded} %"


def share_change(before: float, after: float) -> str:
    """Return two shares as ``61 → 24 %``."""
    return f"{percent(before).removesuffix(' %')} → {percent(after)}"


def points(change: float) -> str:
    """Return a change of a share in points, signed: ``−47``."""
    value = round(change * 100)
    return f"+{value}" if value > 0 else (f"{_MINUS}{-value}" if value < 0 else "0")


def unsigned_points(share: float) -> str:
    """Return the size of a drop or limit in points, unsigned: ``5``."""
    return f"{abs(share) * 100:.0f}"


def round_up_to_point(share: float) -> float:
    """Return *share* rounded up to whole points: 0.06 for 0.0521."""
    return ceil(round(share * 100, 6)) / 100


def points_interval(low: float | None, high: float | None) -> str:
    """Return the interval of a change in points: ``(−53 −40)``."""
    return "" if low is None or high is None else f"({points(low)} {points(high)})"


def quantity(number: int, noun: str) -> str:
    """Return a number with its *noun*, as ``1 case``, ``1,200 cases`` or ``2 replies``."""
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("ly") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def counted(number: int, noun: str, verb: str, plural_verb: str) -> str:
    """Return a number with its *noun* and its verb, as ``1 row is`` or ``12 rows are``."""
    return f"{quantity(number, noun)} {verb if number == 1 else plural_verb}"


def usd(money: Decimal | float) -> str:
    """Return an amount as ``0.42 USD``: below 1 USD with three figures, at least two decimals."""
    value = float(money)
    figures = f"{value:,.2f}" if value >= 1 else _to_three_figures(value)
    return f"{figures} USD"


def _to_three_figures(value: float) -> str:
    exact = f"{Decimal(f'{value:.3g}'):f}"
    whole, _, decimals = exact.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def round_up(value: float) -> str:
    """Return *value* with three figures, rounded up, as it is written in a file."""
    step = 10.0 ** (floor(log10(value)) - 2) if value > 0 else 1.0
    return f"{ceil(value / step - 1e-9) * step:.10g}"


def milliseconds(value: float) -> str:
    """Return milliseconds as ``1,500 ms``, with two figures if below 10."""
    return f"{value:.2g} ms" if value < 10 else f"{value:,.0f} ms"  # noqa: PLR2004


def nats(value: float) -> str:
    """Return a divergence as ``0.031 nats a token``, with three figures."""
    return f"{value:.3g} nats a token"


def amount(value: float, unit: str) -> str:
    """Return *value* as text in its *unit*: ``share``, ``usd``, ``ms``, or what is counted."""
    known: Mapping[str, Callable[[float], str]] = {
        "share": percent,
        "usd": usd,
        "ms": milliseconds,
        "nats": nats,
    }
    return known[unit](value) if unit in known else _count(value, unit)


def _count(value: float, unit: str) -> str:
    text = f"{value:,.0f}"
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


#: Parts that have a word.
_PARTS = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 5: "a fifth", 1 / 10: "a tenth"}


def times(ratio: float) -> str:
    """Return a ratio as it stands before "as long": ``2.3 times``, ``half`` or ``11 %``."""
    if ratio >= 1:
        text = f"{ratio:,.1f}".removesuffix(".0")
        return "twice" if text == "2" else f"{text} times"
    near = min(_PARTS, key=lambda part: abs(part - ratio))
    is_near = abs(ratio / near - 1) <= 0.05  # noqa: PLR2004 - as good as the word
    return _PARTS[near] if is_near else percent(ratio)


def duration(seconds: float) -> str:
    """Return a duration as ``4:11``, or with hours as ``1:04:11``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


def signed_percent(share: float) -> str:
    """Return a relative change, signed: ``+23 %``."""
    return f"{points(share)} %"
