"""The ladder as its reader sees it: the table, one recommendation with its reasons, the money."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pytest_ftgate.advise.advice import Advice
from pytest_ftgate.advise.parts import BreakEven, Debt, Gain, Money
from pytest_ftgate.gate.words import counted, interval, percent, points, usd
from pytest_ftgate.report.quote import visible
from pytest_ftgate.report.tables import around, grid

__all__ = ["debt_lines", "ladder_lines"]

_WIDTH = 80
#: So many volumes are told in a terminal; a plot tells all.
_COLUMNS = 5
_NAMED = 4
_HOLDS = {True: "for", False: "against", None: "not known"}


def ladder_lines(advice: Advice, *, full: bool = False) -> Iterator[str]:
    """Yield the lines of one ladder.

    Args:
        advice: what is advised.
        full: tell the conditions and the money by volume as well.
    """
    yield f"  {advice.suite}: the ladder, least effort first"
    yield ""
    yield from _quality(advice)
    yield ""
    yield from _effort(advice)
    yield ""
    yield from _advised(advice)
    if full:
        yield from _conditions(advice)
    if advice.money is not None:
        yield from _money(advice, advice.money, full=full)
    yield from _watch(advice)
    yield from debt_lines(advice.debt)


def _quality(advice: Advice) -> Iterator[str]:
    rows = [
        [
            row.variant,
            "*" * row.frontier,
            _rate(row.accuracy, row.accuracy_low, row.accuracy_high),
            _gain(row.gain),
            _rate(row.form, row.form_low, row.form_high),
        ]
        for row in advice.rungs
    ]
    yield from _grid(rows, ["variant", "", "right", "over the one above", "form"])
    if any(row.frontier for row in advice.rungs):
        cheaper = "faster" if advice.frontier_by == "time" else "cheaper"
        yield f"  * no other is right as often and {cheaper}"


def _rate(rate: float | None, low: float | None, high: float | None) -> str:
    return "" if rate is None else f"{percent(rate)} {around(low, high)}".rstrip()


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return ""
    told = f"{points(gain.change)} {interval(gain.low, gain.high)}"
    return told if gain.certain or gain.change < 0 else f"{told} open"


def _effort(advice: Advice) -> Iterator[str]:
    columns = {
        "p50 ms": [_number(row.p50_ms) for row in advice.rungs],
        "p95 ms": [_number(row.p95_ms) for row in advice.rungs],
        "tokens": [_number(row.tokens) for row in advice.rungs],
        "USD/1k": [row.unknown or _usd(row.usd_per_1k) for row in advice.rungs],
        "USD/month": [_usd(row.usd_per_month) for row in advice.rungs],
    }
    # What was measured of no rung takes no room.
    told = {head: cells for head, cells in columns.items() if any(cells)}
    rows = [
        [row.variant, row.rung, *(cells[i] for cells in told.values())]
        for i, row in enumerate(advice.rungs)
    ]
    yield from _grid(rows, ["variant", "rung", *told], right=range(2, 2 + len(told)))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1 else f"{value:.1f}"


def _usd(value: float | None) -> str:
    return "" if value is None else usd(value).removesuffix(" USD")


def _grid(
    rows: Sequence[Sequence[str]], heads: Sequence[str], right: Sequence[int] = ()
) -> list[str]:
    return [f"  {line}".rstrip() for line in grid(rows, heads, right=right).split("\n")]


def _advised(advice: Advice) -> Iterator[str]:
    head, _, rest = advice.headline.partition(str(advice.recommendation))
    yield from _wrapped(f"{head}{str(advice.recommendation).upper()}{visible(rest)}")
    for reason in advice.reasons:
        yield from _wrapped(f"- {visible(reason.told)}", 4)
    if advice.confirmation is not None:
        yield from _wrapped(f"- held-out cases: {visible(advice.confirmation.told)}", 4)
    for note in advice.notes:
        yield from _wrapped(f"note: {visible(note)}")


def _conditions(advice: Advice) -> Iterator[str]:
    if advice.conditions:
        yield ""
        yield "  for and against fine-tuning (* needed)"
    for one in advice.conditions:
        star = "*" if one.needed else " "
        head = f"  {star} {one.name:<11}{_HOLDS[one.holds]:<10}"
        yield from textwrap.wrap(
            visible(one.told), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
            break_on_hyphens=False,
        )  # fmt: skip


def _money(advice: Advice, money: Money, *, full: bool) -> Iterator[str]:
    yield ""
    chosen = _told_volumes(money)
    heads = ["USD a month at", *(f"{money.volumes[i]:,.0f}" for i in chosen)]
    rows = [[one.variant, *(_whole(one.usd[index]) for index in chosen)] for one in money.series]
    if rows:
        yield from _grid(rows, heads, right=range(1, len(heads)))
        yield f"  calls a day; {money.calls_per_day:,.0f} are declared"
    for pair in money.break_even:
        if full or pair.against == advice.below:
            yield from _wrapped(_break_even(pair))
    if money.unpriced:
        told = ", ".join(f"{name} ({word})" for name, word in money.unpriced.items())
        yield from _wrapped(f"without a price: {told}")


def _told_volumes(money: Money) -> list[int]:
    """Return which volumes are told: the declared one, and powers of ten around it."""
    declared = money.volumes.index(money.calls_per_day)
    tens = [i for i, one in enumerate(money.volumes) if one in (100, 1_000, 10_000, 100_000)]
    return sorted({declared, *tens})[:_COLUMNS]


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"  # noqa: PLR2004 - 15.00, 1,560


def _break_even(pair: BreakEven) -> str:
    if pair.calls_per_day is None:
        return f"{pair.variant} is cheaper than {pair.against} at no volume"
    span = "" if pair.low is None else f" ({pair.low:,.0f} to {_open(pair.high)})"
    at = f"from {pair.calls_per_day:,.0f}{span} calls a day on" if pair.calls_per_day else "always"
    told = f"{pair.variant} is cheaper than {pair.against} {at}"
    if pair.days is None:
        return f"{told}; at the declared volume it saves nothing"
    days = f"{pair.days:,.1f}" if pair.days < 10 else f"{pair.days:,.0f}"  # noqa: PLR2004
    range_ = "" if pair.days_low is None else f" ({pair.days_low:,.1f} to {_open(pair.days_high)})"
    saves = usd(pair.saves_per_month or 0.0)
    return f"{told}; it saves {saves} a month and is paid back in {days}{range_} days"


def _open(value: float | None) -> str:
    return "…" if value is None else f"{value:,.0f}"


def _watch(advice: Advice) -> Iterator[str]:
    for one in advice.challenges:
        gain = f"{points(one.gain.change)} {interval(one.gain.low, one.gain.high)}"
        told = f"challenger {one.challenger}: {one.outcome}; {gain} points against {one.tuned}"
        yield from _wrapped(told)
    for model in advice.retiring:
        when = f"in {counted(model.days, 'day')}" if model.days >= 0 else "already"
        told = f"{model.model} ({', '.join(model.variants)}) retires {when}, on {model.date}"
        yield from _wrapped(visible(told))
    back = advice.rollback
    if back is not None and back.variant and not back.in_suite:
        told = f"{back.variant} was accepted {back.at} by {visible(back.by)} and has left the suite"
        yield from _wrapped(f"{told}: git show {back.commit}:./{advice.suite.rpartition('/')[2]}")
    elif back is not None and not back.variant:
        told = f"{back.failing} fails {', '.join(back.gates)}, and nothing accepted before passes"
        yield from _wrapped(told)


def debt_lines(debt: Debt) -> Iterator[str]:
    """Yield the paragraph on what the evaluation itself lacks; nothing where it lacks nothing."""
    told = []
    if debt.thin:
        count = f"{counted(len(debt.thin), 'label')} with fewer than 10 cases"
        told.append(f"{count} ({_listed([f'{k} {n}' for k, n in debt.thin.items()])})")
    if debt.blunt:
        gates = [f"{k} {_ruled_out(least)}" for k, least in debt.blunt.items()]
        told.append(f"{counted(len(gates), 'gate')} too blunt to use ({_listed(gates)})")
    if debt.unclaimed:
        count = counted(len(debt.unclaimed), "prompt file")
        told.append(f"{count} that no suite names ({_listed(debt.unclaimed)})")
    if told:
        yield from _wrapped(f"eval debt: {'; '.join(told)}")


def _ruled_out(least: float | None) -> str:
    return "rules out no drop" if least is None else f"rules out drops from {points(least)[1:]} on"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _wrapped(text: str, indent: int = 2) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(
        text, _WIDTH, initial_indent=blank, subsequent_indent=f"{blank}  ", break_on_hyphens=False
    )
