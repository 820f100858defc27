"""Numbers in the words of a model or an author, read as the options of ``numeric`` say."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["number", "numbers"]

#: What is meant by a mark between thousands: its look-alikes too.
_ALIKE = {" ": " \u00a0\u202f\u2009", "'": "'’"}
_FRACTION = (
    r"(?<![/\d])(?:(?P<whole>\d+)\s)?(?P<up>\d+)\s?[/⁄]\s?(?P<down>\d+)(?![/\d])"
    r"|(?P<ones>\d*)\s?(?P<vulgar>[¼-¾⅐-⅞])"
)


def numbers(text: str, options: Mapping[str, Any]) -> list[float]:
    """Return the numbers that stand in *text*, in their order.

    With a unit only those are read that have it beside them.

    Args:
        text: of a reply.
        options: of ``numeric``, checked.
    """
    pattern = _pattern(*_key(options), tuple(options.get("unit") or ()))
    wanted = (m for m in pattern.finditer(text) if not options.get("unit") or m["pre"] or m["post"])
    return [value for match in wanted if (value := _value(match)) is not None]


def number(written: object, options: Mapping[str, Any]) -> float | None:
    """Return the number that an author wrote, as text or plainly; None where it is none."""
    if isinstance(written, str):
        match = _pattern(*_key(options), ()).fullmatch(written.strip())
        value = _value(match) if match else _plain(written.replace(",", ""))
    else:
        value = _plain(written)
    return value if value is not None and math.isfinite(value) else None


def _plain(written: Any) -> float | None:
    try:
        return None if isinstance(written, bool) else float(written)
    except (ValueError, TypeError, OverflowError):
        return None


def _key(options: Mapping[str, Any]) -> tuple[str, str, bool, bool]:
    decimal = options.get("decimal", ".")
    marks = options.get("thousands") or ("," if decimal == "." else ".")
    alike = "".join(_ALIKE.get(mark, mark) for mark in marks)
    return decimal, alike, options.get("fractions", False), options.get("percent", False)


@lru_cache(maxsize=256)
def _pattern(
    decimal: str,
    thousands: str,
    fractions: bool,  # noqa: FBT001 - a key of the cache
    percent: bool,  # noqa: FBT001
    units: tuple[str, ...],
) -> re.Pattern[str]:
    marks, point = re.escape(thousands), re.escape(decimal)
    grouped = rf"\d{{1,3}}(?:[{marks}]\d{{3}})+(?!\d)"
    plain = rf"(?:(?P<front>{grouped}|\d+)(?:{point}(?P<part>\d+))?|{point}(?P<tail>\d+))"
    amount = f"(?:{_FRACTION}|{plain})" if fractions else plain
    hundredth = r"(?P<percent>\s?(?:%|per\s?cent\b))?" if percent else ""
    before, after = _beside(units)
    # A sign right after a digit or a letter is a dash: "10-12".
    sign = r"(?:(?<!\w)[-+−])?"
    pre = rf"(?P<pre>(?P<outer>{sign})(?:{before})\s?)?" if units else ""
    post = rf"(?P<post>\s?(?:{after}))?" if units else ""
    return re.compile(f"{pre}(?P<sign>{sign}){amount}{hundredth}{post}")


def _beside(units: tuple[str, ...]) -> tuple[str, str]:
    """Return what finds a unit before a number, and what finds one after it; each a whole word."""
    longest = sorted(units, key=len, reverse=True)
    before = (r"(?<!\w)" * _word(unit[0]) + re.escape(unit) for unit in longest)
    after = (re.escape(unit) + r"(?!\w)" * _word(unit[-1]) for unit in longest)
    return "|".join(before), "|".join(after)


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _value(match: re.Match[str]) -> float | None:
    said = match.groupdict()
    value = _amount(said)
    if value is None:
        return None
    signs = said["sign"] + (said.get("outer") or "")
    value = -value if "-" in signs or "−" in signs else value
    return value / 100 if said.get("percent") else value


def _amount(said: Mapping[str, str | None]) -> float | None:
    up, down = said.get("up"), said.get("down")
    if up and down:
        return float(said["whole"] or 0) + float(up) / float(down) if float(down) else None
    vulgar = said.get("vulgar")
    if vulgar:
        return float(said["ones"] or 0) + unicodedata.numeric(vulgar)
    front = re.sub(r"\D", "", said["front"] or "0")
    return float(f"{front}.{said['part'] or said['tail'] or 0}")
