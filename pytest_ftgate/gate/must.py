"""Cases of which a single wrong reply is too much: ``must_pass: true``."""

from __future__ import annotations

from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.suite.model import Suite

__all__ = ["AGAIN", "ids_of", "must_pass", "to_ask_again"]

#: A case that is wrong is asked so often in all, and is wrong where most replies are.
AGAIN = 3
_HALF = 0.5


def ids_of(suite: Suite) -> frozenset[str]:
    """Return the ids of the must-pass cases, which are asked whatever a look takes in."""
    return frozenset(case.id for case in suite.cases if case.must_pass)


def to_ask_again(column: Column) -> tuple[str, ...]:
    """Return the must-pass cases that *column* has wrong, which one unlucky reply may explain."""
    return tuple(key for key, row in column.rows.items() if row.case.must_pass and _wrong(row))


def must_pass(column: Column, again: Column | None) -> Check | None:
    """Judge the must-pass cases of *column*; return None where there are none.

    Args:
        column: the variant's scores on them, or on more.
        again: the wrong ones among them, asked again; None where replies do not vary.
    """
    cases = [row for row in column.rows.values() if row.case.must_pass]
    if not cases:
        return None
    asked = again.rows if again else {}
    wrong = [row for row in cases if _wrong(row) and _wrong(asked.get(row.case.id, row))]
    missing = sum(not row.scores for row in cases)
    outcome = Outcome.FAILED if wrong else Outcome.INCONCLUSIVE if missing else Outcome.PASSED
    return Check(
        against="must_pass",
        outcome=outcome,
        limit=1.0,
        n=len(cases) - missing,
        effective=len(cases) - missing,
        after=(len(cases) - missing - len(wrong)) / max(1, len(cases) - missing),
        missing=missing,
        note=", ".join(row.case.id for row in wrong),
    )


def _wrong(row: Row) -> bool:
    return row.correct is not None and row.correct <= _HALF
