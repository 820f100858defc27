"""What a run cost, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_ftgate.ask.bill import JUDGES, Bill
from pytest_ftgate.gate.words import usd
from pytest_ftgate.suite.prices import INSTALL

__all__ = ["bill_lines", "bill_phrase"]


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
    if bill.stopped:
        calls = f"{bill.unasked:,} call{'s' * (bill.unasked != 1)}"
        yield f"  stopped with {calls} not sent: {bill.stopped}"
    if max_usd is not None and bill.unknown:
        yield f"  not counted by --ftgate-max-usd, having no price: {_listed(bill.unknown)}"
    if full and bill.variants:
        told = [f"{name} {usd(cost)}" for name, cost in bill.variants.items()]
        told += [f"{name} {word}" for name, word in bill.unknown.items()]
        yield f"  replies cost: {', '.join(told)}"
    if bill.listed:
        yield f"  for prices of hosted models: {INSTALL}"


def _listed(unknown: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({word})" for name, word in _sorted(unknown.items()))


def _sorted(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what is unpriced before what is local, which nobody misses."""
    return sorted(items, key=lambda item: item[1] == "local")
