"""What stands beside the judged variants: those without gates, and what needs no model at all."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

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
    for verdict in verdicts:
        if not verdict.gated and verdict.check is None:
            told = visible(verdict.headline).replace("\n", " ")
            yield from textwrap.wrap(f"not gated: {verdict.variant}: {told}", _WIDTH - 2)


def _rate(check: Check | None) -> str:
    return "" if check is None else f"{percent(check.after)} {around(check.low, check.high)}"


def modest(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Say of each variant that needs no model which others it does as well as.

    The classifier is the floor: a language model below it is not needed here.
    """
    rates = {v.variant: v.check for v in verdicts if v.gate == "accuracy" and v.check is not None}
    plain = [v.variant for v in verdicts if v.facts.get("provider") == "classical"]
    for name in dict.fromkeys(one for one in plain if one in rates):
        told = f"{name} needs no language model and is right in {percent(rates[name].after)}"
        below, above = _split(name, rates)
        told += f": {', '.join(below)} {'is' if len(below) == 1 else 'are'} no better" * bool(below)
        told += f"; {', '.join(above)} {'is' if len(above) == 1 else 'are'}" * bool(above)
        yield from textwrap.wrap(told, _WIDTH - 2, subsequent_indent="  ", break_on_hyphens=False)


def _split(name: str, rates: Mapping[str, Check]) -> tuple[list[str], list[str]]:
    others = [other for other in rates if other != name]
    below = [other for other in others if rates[other].after <= rates[name].after]
    return below, [f"{o} with {percent(rates[o].after)}" for o in others if o not in below]
