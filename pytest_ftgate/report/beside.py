"""What stands beside the judged variants: those without gates, and what needs no model at all."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pytest_ftgate.gate.verdict import Check, Verdict
from pytest_ftgate.gate.words import percent
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.tables import around, grid

__all__ = ["beside", "modest"]

_WIDTH = 80


def beside(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield a table of the variants that have no gates, and why others could not be measured."""
    rows: dict[str, dict[str, Check]] = defaultdict(dict)
    for verdict in verdicts:
        if not verdict.gated and verdict.check is not None:
            rows[verdict.variant][verdict.gate] = verdict.check
    kinds = list(dict.fromkeys(kind for own in rows.values() for kind in own))
    if rows:
        cells = [[name, *(_rate(own.get(kind)) for kind in kinds)] for name, own in rows.items()]
        yield ""
        yield from grid(cells, ["not gated", *kinds]).split("\n")
    notes = [(v.variant, note) for v in verdicts if not v.gated for note in v.notes]
    for variant, note in dict.fromkeys(notes):
        yield from _wrapped(f"{variant}: {visible(note)}")
    for verdict in verdicts:
        if not verdict.gated and verdict.check is None:
            told = visible(verdict.headline).replace("\n", " ")
            yield from _wrapped(f"not gated: {verdict.variant}: {told}")


def _rate(check: Check | None) -> str:
    return "" if check is None else f"{percent(check.after)} {around(check.low, check.high)}"


def modest(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say of each variant that needs no language model which others are not shown to be better.

    The classifier is the floor: a language model that is not above it is not needed here.
    """
    rates = {v.variant: v.check for v in verdicts if v.gate == "accuracy" and v.check is not None}
    plain = [v.variant for v in verdicts if v.facts.get("provider") == "classical"]
    for name in dict.fromkeys(one for one in plain if one in rates):
        own = rates[name]
        others = {other: check for other, check in rates.items() if other != name}
        level = [other for other, check in others.items() if (check.low or 0) <= (own.high or 1)]
        if level:
            told = f"{name} needs no language model and is right in {percent(own.after)}"
            yield from _wrapped(f"{told}; not clearly above it: {', '.join(level)}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)
