"""The ladder as text: rows, recommendation, reasons, money."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_ftgate.gates.units import counted, interval, percent, points, usd
from pytest_ftgate.recommend.advice import Advice, BreakEven, Debt, Gain, Money
from pytest_ftgate.reporting.tables import around, grid
from pytest_ftgate.reporting.text import visible

__all__ = [
    "Table",
    "conditions",
    "crossings",
    "debt_lines",
    "indebted",
    "ladder_lines",
    "legend",
    "months",
    "paid",
    "quality",
    "recommended",
    "rungs",
    "taken",
    "watched",
]

_NAMED = 4
_HOLDS = {True: "for", False: "against", None: "not known"}


class Table(NamedTuple):
    """Headers, rows, and the places of the columns that are set flush right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()


def recommended(advice: Advice) -> tuple[str, str, str]:
    """Return what is said before the recommendation, the recommendation, and what is after it."""
    return advice.headline.partition(str(advice.recommendation))


def quality(advice: Advice) -> Table:
    """Return how often each rung is right, and how well formed its replies are."""
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
    return Table(["variant", "", "right", "over the one above", "form"], rows)


def legend(advice: Advice) -> str:
    """Say what the star means; "" where no rung has one."""
    cheaper = "faster" if advice.frontier_by == "time" else "cheaper"
    starred = any(row.frontier for row in advice.rungs)
    return f"* no other is right as often and {cheaper}" if starred else ""


def taken(advice: Advice) -> Table:
    """Return what each rung takes; what was measured of none has no column."""
    columns = {
        "p50 ms": [_number(row.p50_ms) for row in advice.rungs],
        "p95 ms": [_number(row.p95_ms) for row in advice.rungs],
        "tokens": [_number(row.tokens) for row in advice.rungs],
        "USD/1k": [row.unknown or _usd(row.usd_per_1k) for row in advice.rungs],
        "USD/month": [_usd(row.usd_per_month) for row in advice.rungs],
    }
    told = {head: cells for head, cells in columns.items() if any(cells)}
    rows = [
        [row.variant, row.rung, *(cells[i] for cells in told.values())]
        for i, row in enumerate(advice.rungs)
    ]
    return Table(["variant", "rung", *told], rows, range(2, 2 + len(told)))


def rungs(advice: Advice) -> Table:
    """Return both as one table, for faces that have the room."""
    better, dearer = quality(advice), taken(advice)
    rows = [
        [f"{a[0]} {a[1]}".rstrip(), b[1], *a[2:], *b[2:]]
        for a, b in zip(better.rows, dearer.rows, strict=True)
    ]
    headers = ["variant", "rung", *better.headers[2:], *dearer.headers[2:]]
    return Table(headers, rows, range(5, len(headers)))


def conditions(advice: Advice) -> list[tuple[str, str, str]]:
    """Return what speaks for and against fine-tuning: name, which of them, and why."""
    return [
        (f"{'*' if one.needed else ' '} {one.name}", _HOLDS[one.holds], one.told)
        for one in advice.conditions
    ]


def months(money: Money, most: int) -> Table:
    """Return what each rung costs a month, at no more than *most* volumes."""
    declared = money.volumes.index(money.calls_per_day)
    tens = [i for i, one in enumerate(money.volumes) if one in (100, 1_000, 10_000, 100_000)]
    chosen = sorted({declared, *tens})[:most]
    heads = ["USD a month at", *(f"{money.volumes[i]:,.0f}" for i in chosen)]
    rows = [[one.variant, *(_whole(one.usd[index]) for index in chosen)] for one in money.series]
    return Table(heads, rows, range(1, len(heads)))


def crossings(money: Money) -> Table:
    """Return from which volume on each fine-tune is cheaper than each other rung."""
    rows = [
        [
            one.variant,
            one.against,
            _volume(one),
            _usd(one.saves_per_month) if one.days is not None else "nothing",
            "" if one.days is None else _days(one),
        ]
        for one in money.break_even
    ]
    heads = ["cheaper", "than", "from calls a day", "saves/month", "days to pay back"]
    return Table(heads, rows, range(2, 5))


def paid(advice: Advice, money: Money, *, full: bool) -> Iterator[str]:
    """Yield from which volume on a fine-tune pays, and what has no price.

    Args:
        advice: whose money it is.
        money: the same.
        full: leave out the first, which ``crossings`` tells of every rung.
    """
    for pair in money.break_even:
        if pair.against == advice.below and not full:
            yield _break_even(pair)
    if money.unpriced:
        yield f"without a price: {', '.join(_priceless(money.unpriced))}"


def watched(advice: Advice) -> Iterator[str]:
    """Yield what to keep an eye on: challengers, models that retire, the way back."""
    for one in advice.challenges:
        gain = f"{points(one.gain.change)} {interval(one.gain.low, one.gain.high)}"
        yield f"challenger {one.challenger}: {one.outcome}; {gain} points against {one.tuned}"
    for model in advice.retiring:
        when = f"in {counted(model.days, 'day')}" if model.days >= 0 else "already"
        yield f"{model.model} ({', '.join(model.variants)}) retires {when}, on {model.date}"
    back = advice.rollback
    if back is not None and back.variant and not back.in_suite:
        told = f"{back.variant} was accepted {back.at} by {back.by} and has left the suite"
        yield f"{told}: git show {back.commit}:./{advice.suite.rpartition('/')[2]}"
    elif back is not None and not back.variant:
        yield f"{back.failing} fails {', '.join(back.gates)}, and nothing accepted before passes"


def indebted(debt: Debt) -> str:
    """Say what the evaluation itself lacks; "" where it lacks nothing."""
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
    return f"eval debt: {'; '.join(told)}" if told else ""


def _rate(rate: float | None, low: float | None, high: float | None) -> str:
    return "" if rate is None else f"{percent(rate)} {around(low, high)}".rstrip()


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return ""
    told = f"{points(gain.change)} {interval(gain.low, gain.high)}"
    return told if gain.certain or gain.change < 0 else f"{told} open"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1 else f"{value:.1f}"


def _usd(value: float | None) -> str:
    return "" if value is None else usd(value).removesuffix(" USD")


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"  # noqa: PLR2004 - 15.00, 1,560


def _priceless(unpriced: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{name} ({word})" for name, word in unpriced.items())


def _break_even(pair: BreakEven) -> str:
    told = f"{pair.variant} is cheaper than {pair.against}"
    if pair.calls_per_day is None:
        return f"{told} at no volume"
    told += f" from {_volume(pair)} calls a day on" if pair.calls_per_day else " at any volume"
    if pair.days is None:
        return f"{told}; at the declared volume it saves nothing"
    saves = usd(pair.saves_per_month or 0.0)
    return f"{told}; it saves {saves} a month and is paid back in {_days(pair)} days"


def _volume(pair: BreakEven) -> str:
    if not pair.calls_per_day:
        return "never" if pair.calls_per_day is None else "any"
    span = "" if pair.low is None else f" ({pair.low:,.0f} to {_open(pair.high)})"
    return f"{pair.calls_per_day:,.0f}{span}"


def _days(pair: BreakEven) -> str:
    days = pair.days or 0.0
    told = f"{days:,.1f}" if days < 10 else f"{days:,.0f}"  # noqa: PLR2004
    span = "" if pair.days_low is None else f" ({pair.days_low:,.1f} to {_open(pair.days_high)})"
    return f"{told}{span}"


def _open(value: float | None) -> str:
    return "…" if value is None else f"{value:,.0f}"


def _ruled_out(least: float | None) -> str:
    return "rules out no drop" if least is None else f"rules out drops from {points(least)[1:]} on"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


_WIDTH = 80
#: So many volumes are told in a terminal; a plot tells all.
_COLUMNS = 5


def ladder_lines(advice: Advice, *, full: bool = False) -> Iterator[str]:
    """Yield the lines of one ladder.

    Args:
        advice: what is advised.
        full: tell the conditions and the money by volume as well.
    """
    yield f"  {advice.suite}: the ladder, least effort first"
    yield ""
    yield from _grid(quality(advice))
    yield from _wrapped(legend(advice))
    yield ""
    yield from _grid(taken(advice))
    yield ""
    yield from _advised(advice)
    if full:
        yield from _conditions(advice)
    if advice.money is not None:
        yield from _money(advice, advice.money, full=full)
    for told in watched(advice):
        yield from _wrapped(visible(told))
    yield from debt_lines(advice.debt)


def debt_lines(debt: Debt) -> Iterator[str]:
    """Yield the paragraph on what the evaluation itself lacks; nothing where it lacks nothing."""
    yield from _wrapped(visible(indebted(debt)))


def _grid(table: Table) -> list[str]:
    laid = grid(table.rows, table.headers, right=table.right)
    return [f"  {line}".rstrip() for line in laid.split("\n")]


def _advised(advice: Advice) -> Iterator[str]:
    head, told, rest = recommended(advice)
    yield from _wrapped(f"{head}{told.upper()}{visible(rest)}")
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
    for name, holds, told in conditions(advice):
        head = f"  {name:<13}{holds:<10}"
        yield from textwrap.wrap(
            visible(told), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
            break_on_hyphens=False,
        )  # fmt: skip


def _money(advice: Advice, money: Money, *, full: bool) -> Iterator[str]:
    yield ""
    if money.series:
        yield from _grid(months(money, _COLUMNS))
        yield f"  calls a day; {money.calls_per_day:,.0f} are declared"
    if full and money.break_even:
        yield ""
        yield from _grid(crossings(money))
    for told in paid(advice, money, full=full):
        yield from _wrapped(told)


def _wrapped(text: str, indent: int = 2) -> list[str]:
    blank = " " * indent
    return textwrap.wrap(
        text, _WIDTH, initial_indent=blank, subsequent_indent=f"{blank}  ", break_on_hyphens=False
    )
