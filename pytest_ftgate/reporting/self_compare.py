"""The lines of an agent that is compared with itself."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pytest_ftgate.gates.selftest import PLAIN_DROP, SelfComparison
from pytest_ftgate.readers.answer_rows import AnswerFile
from pytest_ftgate.reporting.number_text import level_span, percent, quantity, unsigned_points
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.reporting.text import escape_controls, fit_parts, wrap_lines
from pytest_ftgate.stats.proportions import clopper_pearson

_CONFIDENCE = 0.95


def self_compare_lines(
    file: AnswerFile, found: SelfComparison, *, left_out: int = 0
) -> Iterator[str]:
    """Yield the lines of an agent that is compared with itself; *left_out* tasks have one run."""
    unit, run = file.unit, "reply" if file.unit == "case" else "run"
    runs, halves = quantity(found.runs, run), quantity(found.half, run)
    head = f"{escape_controls(file.name)} against itself"
    facts = f"{quantity(found.tasks, unit)}, {runs} each, in halves of {halves}"
    yield from fit_parts([head, facts], 2)
    yield ""
    yield from table_lines(_table(found))
    yield ""
    yield from wrap_lines(_splits_text(found, run), 2)
    yield from wrap_lines(_shown_text(found, unit, run), 2)
    if left_out:
        yield from wrap_lines(f"{quantity(left_out, unit)} with one {run} or none left out", 2)


def _table(found: SelfComparison) -> TextTable:
    """Return how often the gate and two plain thresholds are red, each in one row."""
    limit = unsigned_points(found.limit)
    plain = {
        "red at any drop": found.any_drop,
        f"red at a drop of {unsigned_points(PLAIN_DROP)} points or more": found.large_drop,
    }
    open_, passed = (percent(n / found.splits) for n in (found.inconclusive, found.passed))
    rows = [
        [f"this gate, limit {limit}", _share(found, found.failed), open_, passed],
        *(
            [name, _share(found, n), "", percent(1.0 - n / found.splits)]
            for name, n in plain.items()
        ),
    ]
    return TextTable(["rule", "failed", "inconclusive", "passed"], rows, (1, 2, 3))


def _share(found: SelfComparison, count: int) -> str:
    """Return a share of the splits, with its interval if they are drawn from more."""
    share = percent(count / found.splits)
    if found.splits == found.possible:
        return share
    low, high = clopper_pearson(count, found.splits, _CONFIDENCE)
    return f"{share} ({level_span(low, high)})"


def _splits_text(found: SelfComparison, run: str) -> str:
    runs = quantity(2, run)[2:]
    if found.splits == found.possible:
        drawn = f"These are all {found.splits:,} splits."
    else:
        drawn = f"{found.splits:,} splits were drawn, and the intervals are of that draw alone."
    return (
        f"{drawn} All of them share the same {runs}, so that they are no independent tests: other "
        f"{runs} of the same agent may give other shares."
    )


def _shown_text(found: SelfComparison, unit: str, run: str) -> str:
    """Return the limits that half of the runs can show, and all of them."""
    half, whole = (_limit_text(limit) for limit in (found.shown_by_half, found.shown_by_all))
    about = f"these {unit}s" if found.claims_these else f"{unit}s like these"
    return (
        f"With {quantity(found.half, run)} of each {unit} on either side, an unchanged agent "
        f"passes {half} on {about} 9 times in 10; with {quantity(found.runs, run)}, {whole}."
    )


def _limit_text(limit: float) -> str:
    return "no limit" if limit >= 1.0 else f"a limit of {ceil(100 * limit)} points"
