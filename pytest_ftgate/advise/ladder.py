"""The ladder of a suite as it was measured: its rows, the pairs of them, and their money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pytest_ftgate.advise.compare import Compared, compared
from pytest_ftgate.advise.evidence import Evidence
from pytest_ftgate.advise.money import Cost, cost_of, money
from pytest_ftgate.advise.parts import BreakEven, Money, Retirement, Standing
from pytest_ftgate.advise.standing import in_order, standings
from pytest_ftgate.gate.side import side
from pytest_ftgate.suite.ladder import Spend

__all__ = ["Ladder", "ladder_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """What was measured of the rungs.

    Attributes:
        rows: least effort first.
        found: every two of them, held against each other.
        money: by volume, where a volume is declared.
        retiring: models in use that will be gone.
    """

    rows: tuple[Standing, ...]
    found: Compared
    money: Money | None
    retiring: tuple[Retirement, ...]

    def row(self, variant: str) -> Standing | None:
        """Return the row of *variant*, or None where it was not measured."""
        return next((row for row in self.rows if row.variant == variant), None)

    def break_even(self, variant: str, against: str) -> BreakEven | None:
        """Return from which volume on a fine-tune is cheaper than another rung, if known."""
        pairs = self.money.break_even if self.money else ()
        return next((p for p in pairs if (p.variant, p.against) == (variant, against)), None)


def ladder_of(evidence: Evidence) -> Ladder:
    """Return the ladder of a suite."""
    suite = evidence.suite
    rungs = in_order(evidence)
    sides = {one.name: side(evidence.columns[one.name], "accuracy") for _, one in rungs}
    marked = {name: own for name, own in sides.items() if own.known.any()}
    found = compared(marked, suite.ladder.worth)
    costs = _costs(evidence)
    rows = standings(evidence, found, costs)
    tuned = [row.variant for row in rows if row.rung == "fine-tuned"]
    unpriced = {row.variant: row.unknown for row in rows if row.unknown}
    priced = {row.variant: costs[row.variant] for row in rows if row.variant in costs}
    told = money(suite.economics, priced, tuned, unpriced) if suite.economics else None
    return Ladder(rows=rows, found=found, money=told, retiring=tuple(_retiring(evidence)))


def _costs(evidence: Evidence) -> Mapping[str, Cost]:
    suite = evidence.suite
    spends = suite.economics.spend if suite.economics else {}
    found = {
        name: cost_of(
            suite.variants[name], column, spends.get(name, Spend()), _bill(evidence, name)
        )
        for name, column in evidence.columns.items()
    }
    return {name: cost for name, cost in found.items() if cost is not None}


def _bill(evidence: Evidence, name: str) -> float:
    return evidence.bill.get(name, 0.0)


def _retiring(evidence: Evidence) -> Sequence[Retirement]:
    """Return the models that will be gone within as many days as the suite looks ahead."""
    users: dict[tuple[str, str], list[str]] = {}
    for name, facts in evidence.facts.items():
        if facts.get("retires"):
            users.setdefault((facts.get("model", name), facts["retires"]), []).append(name)
    found = []
    for (model, when), variants in users.items():
        try:
            days = (date.fromisoformat(when[:10]) - evidence.today).days
        except ValueError:
            continue
        if days <= evidence.suite.ladder.retirement_days:
            told = tuple(variants)
            found.append(Retirement(model=model, date=when[:10], days=days, variants=told))
    return sorted(found, key=lambda one: one.days)
