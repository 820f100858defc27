r"""How far two fresh runs of one suite agree: reply by reply, and mark by mark.

    pytest --ftgate examples/tickets --ftgate-ledger /tmp/one/ledger.sqlite
    pytest --ftgate examples/tickets --ftgate-ledger /tmp/two/ledger.sqlite
    python benchmarks/self_agreement.py examples/tickets/tickets.ftgate.yaml \\
        /tmp/one/ledger.sqlite /tmp/two/ledger.sqlite [general]

Greedy decoding is not exact where replies are decoded in batches: the last bit of a sum depends
on its neighbours. For each variant's labels, and for the skills of each base and tuned model, it
prints how many of the replies that both ledgers have are the same text, how many bring the same
mark, and the share that is right in each run. A skill or a set as the last word takes the place of
those that the suite names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.gates.skills import by_worth
from pytest_ftgate.reporting.tables import grid
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.requests.workload import base_of, skills, task
from pytest_ftgate.scoring.scores import Column, score
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import ForgettingGate, Suite


def asked(suite: Suite, named: str | None) -> Iterator[tuple[str, tuple[Ask, ...]]]:
    """Yield what a run asks, and what it is called."""
    for variant in suite.variants.values():
        yield f"{variant.name}: labels", task(suite, variant, {})
    gate = suite.gates["forgetting"]
    assert isinstance(gate, ForgettingGate)
    cases = skill_cases((named,)) if named else gate.cases
    tuned = [variant for variant in suite.variants.values() if variant.tuned]
    for one in (base_of(tuned[0]), *tuned):
        yield f"{one.name}: skills", skills(suite, one, cases, {})


def columns(asks: tuple[Ask, ...], paths: Sequence[Path], folder: Path) -> list[Column]:
    """Score the replies that all ledgers have."""
    found = []
    for path in paths:
        ledger = Ledger(path, run="self-agreement", clock=time.time)
        found.append(ledger.replies(ask.call.fingerprint for ask in asks))
        ledger.close()
    both = tuple(ask for ask in asks if all(ask.call.fingerprint in own for own in found))
    return [score("", both, own, folder) for own in found]


def marks(column: Column) -> dict[str, float]:
    """Return what each case is worth; of skills cases a reply must be in the form asked for too."""
    if any(row.case.skill for row in column.rows.values()):
        side = by_worth(column)
        return dict(zip(side.keys, map(float, side.values), strict=True))
    return {key: row.correct or 0.0 for key, row in column.rows.items()}


def row(name: str, sides: Sequence[Column]) -> list[str]:
    """Return the figures of one part of the suite."""
    one, other = (column.rows for column in sides)
    first, second = map(marks, sides)
    n = len(one)
    texts = sum(one[key].replies[0].text == other[key].replies[0].text for key in one)
    same = sum(first[key] == second[key] for key in first)
    right = [f"{sum(own.values()) / n:.1%}" for own in (first, second)]
    return [name, str(n), f"{texts / n:.1%}", f"{same / n:.1%}", *right]


def main(suite_path: Path, paths: Sequence[Path], named: str | None = None) -> None:
    """Print a row for each part of the suite."""
    suite = load(suite_path, Path.cwd())
    parts = ((name, columns(asks, paths, suite.path.parent)) for name, asks in asked(suite, named))
    rows = [row(name, sides) for name, sides in parts if sides[0].rows]
    headers = ["asked", "replies", "same text", "same mark", "right, first", "right, second"]
    print(grid(rows, headers, right=range(1, 6)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:4]], *sys.argv[4:5])
