"""Templates of words: what stands for a value in a sentence, by its style."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from pytest_ftgate.reporting.number_text import (
    change_text,
    digits_beside,
    milliseconds,
    percent,
    points,
    quantity,
    signed_percent,
    span,
    unsigned_points,
    usd,
)

#: What words a kind has: a template, or what makes them of the values.
Words = str | Callable[[Mapping[str, Any]], str]


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days >= 2 else f"{days:.1f} days"  # noqa: PLR2004 - 0.2 days


#: How a template writes a value, by what stands after the colon: ``{before:percent}``.
_STYLES: Mapping[str, Callable[[Any], str]] = {
    "percent": percent,
    "points": points,
    "size": unsigned_points,
    "signed": signed_percent,
    "usd": usd,
    "ms": milliseconds,
    "limit": lambda share: f"{share * 100:.3g}",
    "days": _days,
    "list": ", ".join,
    "p": lambda p: f"p = {p:.3f}" if p >= 0.001 else "p < 0.001",  # noqa: PLR2004
}


class _Template(Formatter):
    """A template whose fields may have a style, or words that depend on the value."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key == "gain":
            found = kwargs["change"], kwargs["low"], kwargs["high"]
            # What a change is compared with stands in the same sentence.
            beside = kwargs.get("required")
            return change_text(*found, 0 if beside is None else digits_beside(beside, *found))
        if key == "span":
            ends = kwargs["low"], kwargs["high"]
            return span(*ends, digits_beside(-kwargs["margin"], *ends))
        return super().get_value(key, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> Any:
        if format_spec.startswith("#"):
            return quantity(value, format_spec[1:])
        if format_spec.startswith("?"):
            return format_spec[1:].replace("#", str(value)) if value else ""
        if "/" in format_spec:
            return format_spec.split("/")[value != 1]
        style = _STYLES.get(format_spec)
        return style(value) if style else super().format_field(value, format_spec)


def fill(words: Words, values: Mapping[str, Any]) -> str:
    """Return *words* with *values*.

    A field of a template has a style of Python, such as ``{n:,}``, one of ours, such as
    ``{rate:percent}``, or a noun: ``{n:#case}``. ``{n:is/are}`` is a verb; ``{n:? and # more}``
    stands only if there are any, with the value for the hash. ``{gain}`` is the change with its
    interval, ``{span}`` the interval alone.
    """
    return words(values) if callable(words) else _Template().vformat(words, (), values)
