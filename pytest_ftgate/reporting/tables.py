"""Rows and lines that all reports share: verdict line, costs, gates."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from textwrap import wrap

from tabulate import tabulate

from pytest_ftgate.client.budget import JUDGES, Bill
from pytest_ftgate.gates.units import (
    amount,
    clock,
    counted,
    interval,
    percent,
    points,
    rise,
    risen,
    usd,
)
from pytest_ftgate.gates.verdict import Check, FaultShare, Outcome, Slice, Trait, Verdict
from pytest_ftgate.results.run import Report
from pytest_ftgate.scoring.classification import LabelRate
from pytest_ftgate.suite.prices import INSTALL

__all__ = [
    "around",
    "asked_line",
    "bill_lines",
    "bill_phrase",
    "gates_line",
    "grid",
    "label_rows",
    "share_rows",
    "slice_rows",
    "stopped",
    "trait_rows",
    "verdict_rows",
    "word",
]

_WORDS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "FAILED",
    Outcome.INCONCLUSIVE: "INCONCLUSIVE",
    Outcome.INVALID: "INVALID",
}
#: How wide a table is at most, which is shown two columns in; a column that is broken, at least.
_MOST, _LEAST = 78, 12
#: Holds together what must not be broken.
_JOINED = "\N{NO-BREAK SPACE}"
_ORDER = (Outcome.FAILED, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASSED)


def word(verdict: Verdict) -> str:
    """Return the outcome as it is printed; what blocks stands out without colour."""
    return _WORDS[verdict.outcome] if verdict.gated else "not gated"


def grid(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    right: Iterable[int] = (),
    most: int | None = _MOST,
) -> str:
    """Lay out *rows* in plain columns.

    Args:
        rows: of cells.
        headers: one for each column.
        right: columns that are set flush right, and never broken.
        most: how wide a line may be, for which cells of the widest other columns are broken; None
            for as wide as it gets.
    """
    flush = {*right}
    # As headers they would be set two columns wider than they are.
    laid = [headers, *rows]
    widths = _fitting([max(map(len, one)) for one in zip(*laid, strict=True)], flush, most)
    return tabulate(
        [[_broken(*pair) for pair in zip(row, widths, strict=True)] for row in laid],
        tablefmt="plain",
        colalign=["right" if i in flush else "left" for i in range(len(headers))],
        disable_numparse=True,
    ).replace(_JOINED, " ")


def _broken(cell: str, width: int) -> str:
    return cell if len(cell) <= width else "\n".join(wrap(cell, width))


def _fitting(widths: Sequence[int], flush: Container[int], most: int | None) -> list[int]:
    """Return how wide each column may be."""
    fitting, gaps = [*widths], 2 * (len(widths) - 1)
    left = [index for index in range(len(widths)) if index not in flush]
    while left and most is not None and sum(fitting) + gaps > most:
        widest = max(left, key=lambda index: fitting[index])
        if fitting[widest] <= _LEAST:
            break
        fitting[widest] -= 1
    return fitting


def verdict_rows(verdicts: Iterable[Verdict], *, brief: bool = False) -> list[list[str]]:
    """Return a row for each verdict, those that block first.

    Args:
        verdicts: of gates.
        brief: tell limits in signs instead of words.
    """
    ranked = sorted(verdicts, key=lambda v: (not v.gated, _ORDER.index(v.outcome)))
    return [_verdict_row(verdict, _brief if brief else _limit) for verdict in ranked]


def _verdict_row(verdict: Verdict, limit: Callable[[Check], str]) -> list[str]:
    head, decided = [verdict.variant, verdict.gate], verdict.check
    if decided is None:
        aside = "not measured" if verdict.headline.startswith("not measured") else ""
        return [*head, "", "", "", "", word(verdict), aside]
    # Where a floor decided, the drop is still what tells a reader how things were before; of what
    # replies take each limit is of another figure.
    alike = [c for c in (decided, *verdict.checks) if c.unit == "share" and c.before is not None]
    told = next(iter(alike), decided)
    before = "" if told.before is None else amount(told.before, told.unit)
    return [
        *(*head, before, amount(told.after, told.unit), _change(told)),
        *(str(told.n), word(verdict), limit(decided)),
    ]


def _change(check: Check) -> str:
    """Return the change that was seen, and in what bounds; of a rate or amount its bounds alone."""
    if check.before is None:
        return _around(check)
    if check.unit != "share":
        seen = "" if check.rise is None else rise(check.rise)
        return f"{seen} {risen(check.low, check.high)}".strip()
    return f"{points(check.after - check.before)} {interval(check.low, check.high)}"


def _limit(check: Check) -> str:
    if check.against == "must_pass":
        return "must pass"
    if check.unit != "share":
        whole = check.before is None
        return (
            f"limit {amount(check.limit, check.unit)}" if whole else f"allowed {rise(check.limit)}"
        )
    if check.before is None:
        return f"floor {percent(check.limit)}"
    return f"allowed {points(-check.limit)}"


def _brief(check: Check) -> str:
    words = _limit(check)
    sign = "≥" if check.unit == "share" else "≤"
    return words if check.against == "must_pass" else f"{sign} {words.partition(' ')[2]}"


def around(low: float | None, high: float | None) -> str:
    """Return the interval of a rate in percent, ``(88 to 98)``; empty where there is none."""
    return "" if low is None or high is None else f"({round(low * 100)} to {round(high * 100)})"


def _around(check: Check) -> str:
    low, high = check.low, check.high
    if check.unit != "share":
        ends = ["…" if one is None else _bare(one, check.unit) for one in (low, high)]
        return "" if ends[0] == ends[1] else f"({' to '.join(ends)})"
    return "" if low is None or high is None else f"({round(low * 100)} to {round(high * 100)})"


def _bare(value: float, unit: str) -> str:
    return amount(value, unit).rpartition(" ")[0]


def slice_rows(changes: Sequence[Slice]) -> list[list[str]]:
    """Return a row for each slice, in the order given."""
    mixed = len({change.kind for change in changes}) > 1
    return [
        [
            f"{change.kind} {change.name}" if mixed else change.name,
            percent(change.before),
            percent(change.after),
            f"{points(change.change)} {interval(change.low, change.high)}",
            str(change.n),
            change.state,
        ]
        for change in changes
    ]


def label_rows(rates: Iterable[LabelRate], most: int = 1) -> list[list[str]]:
    """Return a row for each label, in the order given, with *most* others it is taken for."""
    return [
        [
            rate.label,
            "" if rate.f1_before is None else percent(rate.f1_before),
            percent(rate.f1),
            percent(rate.precision),
            percent(rate.recall),
            str(rate.n),
            ", ".join(f"{label}{_JOINED}{n}" for label, n in [*rate.taken_for.items()][:most]),
        ]
        for rate in rates
    ]


def share_rows(shares: Sequence[FaultShare]) -> list[list[str]]:
    """Return a row for each kind of fault: its share before, where that is told, its share, n."""
    compared = any(one.before is not None for one in shares)
    return [
        [
            one.kind,
            *([_share(one.before, one.before_low, one.before_high)] * compared),
            _share(one.after, one.low, one.high),
            f"{one.replies:,}",
        ]
        for one in shares
    ]


def _share(share: float | None, low: float | None, high: float | None) -> str:
    return "" if share is None else f"{percent(share)} {around(low, high)}"


def trait_rows(traits: Iterable[Trait]) -> list[list[str]]:
    """Return a row for each trait of all replies: what it was, what it is, and of how many."""
    return [
        [one.what, *map(_measure, (one.before, one.after), (one.unit,) * 2), f"{one.n:,}"]
        for one in traits
    ]


def _measure(value: float, unit: str) -> str:
    return percent(value) if unit == "share" else f"{value:,.0f} {unit}"


def bill_phrase(bill: Bill) -> str:
    """Return what was paid in this run, and what all replies are worth; "" where nobody knows."""
    if not bill.variants:
        return "unpriced" if "unpriced" in bill.unknown.values() else ""
    told = usd(bill.asked)
    if usd(bill.used) != told:
        told += f" of {usd(bill.used)}"
    graded = bill.variants.get(JUDGES)
    told += f", {usd(graded)} of it for the judge" if graded and len(bill.variants) > 1 else ""
    return f"{told} without {_listed(bill.unknown)}" if bill.unknown else told


def bill_lines(bill: Bill, *, full: bool, max_usd: float | None) -> Iterator[str]:
    """Yield what else is to be said of money.

    Args:
        bill: of the run.
        full: tell each variant.
        max_usd: what might be spent, or None for no limit.
    """
    yield from stopped(bill)
    if max_usd is not None and bill.unknown:
        yield f"  not counted by --ftgate-max-usd, having no price: {_listed(bill.unknown)}"
    if full and bill.variants:
        told = [f"{name} {usd(cost)}" for name, cost in bill.variants.items()]
        told += [f"{name} {word}" for name, word in bill.unknown.items()]
        yield f"  replies cost: {', '.join(told)}"
    if bill.listed:
        yield f"  for prices of hosted models: {INSTALL}"


def stopped(bill: Bill) -> Iterator[str]:
    """Yield why a budget stopped the run, if one did."""
    if bill.stopped:
        calls = f"{bill.unasked:,} call{'s' * (bill.unasked != 1)}"
        yield f"  stopped with {calls} not sent: {bill.stopped}"


def _listed(unknown: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({word})" for name, word in _sorted(unknown.items()))


def _sorted(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what is unpriced before what is local, which nobody misses."""
    return sorted(items, key=lambda item: item[1] == "local")


def gates_line(report: Report) -> str:
    """Return ``1 failed of 6 gates``, or ``6 gates`` where all passed."""
    told = [
        f"{count} {name}"
        for count, name in (
            (report.count(Outcome.FAILED), "failed"),
            (report.count(Outcome.INVALID), "invalid"),
            (len(report.unjudged), "could not be judged"),
            (report.count(Outcome.INCONCLUSIVE), "inconclusive"),
        )
        if count
    ]
    gates = counted(len(report.judged) + len(report.unjudged), "gate")
    return f"{', '.join(told)} of {gates}" if told else gates


def asked_line(report: Report) -> str:
    """Return how many replies were used and asked, how long that took, and what it cost."""
    asking, money = report.asking, bill_phrase(report.bill)
    took = f" in {clock(asking.seconds)}" if asking.asked else ""
    spared = f", {asking.spared:,} spared by stopping early" if asking.spared else ""
    told = f"{asking.used:,} replies, {asking.asked:,} asked{took}{spared}"
    return f"{told} · {money}" if money else told
