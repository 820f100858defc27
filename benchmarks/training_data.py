"""What it takes to examine a training file, and how many wrong labels the examination finds.

    python benchmarks/training_data.py TRAIN [TEST]

Examines TRAIN, with the rows of TEST as cases, and tells the processor time. Then gives one row in
twenty another label, drawn by a fixed seed, and tells how many of these are called doubtful, and
how many others: those may be wrong in the file as it is.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.gates.training_data import examine, read
from pytest_ftgate.gates.training_data_checks import doubtful
from pytest_ftgate.gates.verdict import Item, Yardstick
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SHARE, SEED = 0.05, 7


def swapped(items: list[Item]) -> tuple[list[Item], set[int]]:
    """Return the rows with some labels changed, and the lines of these."""
    drawn = random.Random(SEED)
    labels = sorted({str(item.answer) for item in items})
    chosen = set(drawn.sample(range(len(items)), round(SHARE * len(items))))

    def other(item: Item) -> Item:
        label = drawn.choice([one for one in labels if one != item.answer])
        return replace(item, example=replace(item.example, answer=label))

    made = [other(item) if at in chosen else item for at, item in enumerate(items)]
    return made, {items[at].line for at in chosen}


def main(train: Path, test: Path | None) -> None:
    """Print a line for each of the two."""
    items = read(test).items if test else ()
    cases = tuple(
        Case(id=f"r{n}", where="", input=item.example.shown, expected="", score=Rule("exact"))
        for n, item in enumerate(items)
    )
    start = time.process_time()
    data = read(train)
    found = examine(data, Yardstick(cases=cases))
    took = time.process_time() - start
    told = ", ".join(f"{one.kind} {one.count:,}" for one in found)
    print(f"{len(data.items):,} rows, {len(cases):,} cases: {took:.1f} s of processor time; {told}")
    made, lines = swapped([item for item in data.items if item.answer is not None])
    doubts = {line for one in doubtful(made) for line in one.lines}
    both = len(doubts & lines)
    print(f"{len(lines):,} labels swapped: {both:,} told ({both / len(lines):.0%}), and "
          f"{len(doubts) - both:,} others")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
