"""The ladder on the page: the recommendation, why, the table, and money by volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.advise.advice import Advice, Recommendation
from pytest_ftgate.advise.parts import Money
from pytest_ftgate.record.run import Report
from pytest_ftgate.report.html import figures
from pytest_ftgate.report.html.figures import Band, Picture
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.rungs import (
    conditions,
    crossings,
    indebted,
    legend,
    months,
    paid,
    recommended,
    rungs,
    watched,
)

__all__ = ["ladders"]

#: How a recommendation is coloured; the others are neither good news nor bad.
_MARKS = {
    Recommendation.ROLL_BACK: "failed",
    Recommendation.FINE_TUNE: "passed",
    Recommendation.KEEP: "passed",
}
_VOLUMES = 7


def ladders(report: Report) -> Mapping[str, Any] | None:
    """Return what the section of ladders shows; None where nothing is advised."""
    told = [_ladder(advice, number) for number, advice in enumerate(report.advice)]
    return {"ladders": told} if told else None


def _ladder(advice: Advice, number: int) -> Mapping[str, Any]:
    head, name, rest = recommended(advice)
    asides = [*advice.notes, *watched(advice), indebted(advice.debt)]
    return {
        "suite": advice.suite,
        "mark": _MARKS.get(advice.recommendation, "inconclusive"),
        "head": head,
        "name": name,
        "rest": rest.removeprefix(":").strip(),
        "reasons": [*(one.told for one in advice.reasons), *_confirmed(advice)],
        "table": rungs(advice),
        "legend": legend(advice),
        "conditions": conditions(advice),
        "asides": [*filter(None, asides)],
        "pictures": [*_money(advice, f"money-{number}")],
        "crossings": crossings(advice.money) if advice.money else None,
        "paid": [*paid(advice, advice.money, full=False)] if advice.money else [],
    }


def _confirmed(advice: Advice) -> Iterator[str]:
    if advice.confirmation is not None:
        yield f"held-out cases: {advice.confirmation.told}"


def _money(advice: Advice, name: str) -> Iterator[Picture]:
    money = advice.money
    if money is None or not money.series:
        return
    told = f"USD a month by calls a day, of {len(money.series)} variants"
    table = months(money, _VOLUMES)
    banded = any((one.low, one.high) != (one.usd, one.usd) for one in money.series)
    why = " Bands are 95 % intervals of the measured tokens." if banded else ""
    yield Picture(
        title="Cost by volume",
        caption=f"USD a month, by calls a day; {money.calls_per_day:,.0f} are declared.{why}",
        svg=figures.bands(name, told, [*_bands(money)], money.volumes, money.calls_per_day),
        headers=table.headers,
        rows=table.rows,
    )


def _bands(money: Money) -> Iterator[Band]:
    """Yield the lines of the plot; variants that cost the same share one."""
    alike: dict[tuple[float, ...], list[str]] = defaultdict(list)
    for one in money.series:
        alike[one.usd].append(visible(one.variant))
    for one in money.series:
        names = alike.pop(one.usd, None)
        if names:
            yield Band(", ".join(names), one.usd, one.low, one.high)
