r"""How far two fresh runs of one suite agree: reply by reply, and mark by mark.

    pytest --ftgate examples/tickets --ftgate-ledger /tmp/one/ledger.sqlite
    pytest --ftgate examples/tickets --ftgate-ledger /tmp/two/ledger.sqlite
    python benchmarks/self_agreement.py examples/tickets/tickets.ftgate.yaml \\
        /tmp/one/ledger.sqlite /tmp/two/ledger.sqlite

Greedy decoding is not exact where replies are decoded in batches: the last bit of a sum depends
on its neighbours. For each variant's labels, and for the skills of each base and tuned model, it
prints how many of the replies are the same text, how many bring the same mark, and the share that
is right in each run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_ftgate.ask.ledger.ledger import Ledger
from pytest_ftgate.plan.asks import base_of, skills, task
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.report.tables import grid
from pytest_ftgate.score.sheet import Column, score
from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.margins import ForgettingGate
from pytest_ftgate.suite.model import Suite


def asked(suite: Suite) -> Iterator[tuple[str, tuple[Ask, ...]]]:
    """Yield what a run asks, and what it is called."""
    for variant in suite.variants.values():
        yield f"{variant.name}: labels", task(suite, variant, {})
    gate = suite.gates["forgetting"]
    assert isinstance(gate, ForgettingGate)
    tuned = [variant for variant in suite.variants.values() if variant.tuned]
    for one in (base_of(tuned[0]), *tuned):
        yield f"{one.name}: skills", skills(suite, one, gate.cases, {})


def column(asks: tuple[Ask, ...], path: Path, folder: Path) -> Column:
    """Score the replies that a ledger has; every one must be there."""
    ledger = Ledger(path, run="self-agreement", clock=time.time)
    found = ledger.replies(ask.call.fingerprint for ask in asks)
    ledger.close()
    return score("", asks, found, folder)


def row(name: str, one: Column, other: Column) -> list[str]:
    """Return the figures of one part of the suite."""
    pairs = [(row, other.rows[key]) for key, row in one.rows.items()]
    texts = sum(a.replies[0].text == b.replies[0].text for a, b in pairs)
    marks = sum(a.correct == b.correct for a, b in pairs)
    right = [
        f"{sum(row.correct or 0 for row in side) / len(pairs):.0%}"
        for side in zip(*pairs, strict=True)
    ]
    return [name, str(len(pairs)), f"{texts / len(pairs):.1%}", f"{marks / len(pairs):.1%}", *right]


def main(suite_path: Path, first: Path, second: Path) -> None:
    """Print a row for each part of the suite."""
    suite = load(suite_path, Path.cwd())
    rows = []
    for name, asks in asked(suite):
        sides = [column(asks, path, suite.path.parent) for path in (first, second)]
        rows.append(row(name, *sides))
    headers = ["asked", "replies", "same text", "same mark", "right, first", "right, second"]
    print(grid(rows, headers, right=range(1, 6)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
