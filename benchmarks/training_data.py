"""The time to check a training file, and the number of wrong labels that the check finds.

    python benchmarks/training_data.py TRAIN [TEST]

Checks TRAIN, with the rows of TEST as cases, and prints the processor time. Then changes the labels
of one row in twenty, chosen with a fixed seed, and prints how many of these rows the check calls
doubtful, and how many other rows. The other rows may be wrong in the original file.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.gates.training_data import check_training_data, read_training_data
from pytest_ftgate.gates.training_data_checks import (
    TrainingDataRules,
    TrainingRow,
    doubtful_label_findings,
)
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SHARE, SEED = 0.05, 7


def swapped(items: list[TrainingRow]) -> tuple[list[TrainingRow], set[int]]:
    """Return the rows with some labels changed, and the lines of these."""
    drawn = random.Random(SEED)
    labels = sorted({str(item.answer) for item in items})
    chosen = set(drawn.sample(range(len(items)), round(SHARE * len(items))))

    def other(item: TrainingRow) -> TrainingRow:
        label = drawn.choice([one for one in labels if one != item.answer])
        return replace(item, example=replace(item.example, answer=label))

    made = [other(item) if at in chosen else item for at, item in enumerate(items)]
    return made, {items[at].line for at in chosen}


def main(train: Path, test: Path | None) -> None:
    """Print a line for each of the two."""
    items = read_training_data(test).rows if test else ()
    cases = tuple(
        Case(
            id=f"r{n}", location="", input=item.example.input_text, expected="", score=Rule("exact")
        )
        for n, item in enumerate(items)
    )
    start = time.process_time()
    data = read_training_data(train)
    findings = check_training_data(data, TrainingDataRules(cases=cases))
    took = time.process_time() - start
    counts = ", ".join(f"{finding.kind} {finding.count:,}" for finding in findings)
    print(
        f"{len(data.rows):,} rows, {len(cases):,} cases: {took:.1f} s of processor time; {counts}"
    )
    made, lines = swapped([item for item in data.rows if item.answer is not None])
    doubts = {line for finding in doubtful_label_findings(made) for line in finding.lines}
    both = len(doubts & lines)
    print(f"{len(lines):,} labels swapped: {both:,} found ({both / len(lines):.0%}), and "
          f"{len(doubts) - both:,} others")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
