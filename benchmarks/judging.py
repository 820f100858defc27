"""How long it takes to judge many gates of many cases, once their replies are scored.

    python benchmarks/judging.py [GATES] [CASES]

Builds one baseline and half as many variants as there are gates (200 of 10,000 cases without
arguments), and judges accuracy and format of each from columns that nothing was worked out of
before. Beside it stands the time that reading every score of those columns once takes in Python,
which no gate that looks at all its cases can beat. Scores are drawn by a fixed seed.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.model import Case, RateGate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["a", "b"])
EXACT = Rule("exact")
GATES = (
    RateGate(kind="accuracy", line=1, max_drop=0.03),
    RateGate(kind="format", line=2, max_drop=0.02),
)


def column(name: str, cases: list[Case], drawn: random.Random) -> Column:
    """Make a variant that is right nine times in ten."""
    rows = {}
    for case in cases:
        right = drawn.random() < 0.9
        score = Score(
            float(right), None if right or drawn.random() < 0.9 else Broken("wrong label")
        )
        reply = Reply(text="a" if right else "b")
        rows[case.id] = Row(
            case=case, replies=(reply,), scores=(score,), calls=(f"{name} {case.id}",)
        )
    return Column(name, rows)


def suite(cases: list[Case]) -> Suite:
    """Make a suite of the two gates."""
    return Suite(
        path=Path("s.ftgate.yaml"),
        name="s.ftgate.yaml",
        cases=tuple(cases),
        reply=ReplyRules(format=(LABELS,), score=EXACT),
        variants={"base": Variant(name="base", line=1, provider="recorded")},
        baseline="base",
        gates={gate.kind: gate for gate in GATES},
    )


def main(gates: int, count: int) -> None:
    """Judge, and print how long it took."""
    drawn = random.Random(0)
    cases = [
        Case(id=f"c{i}", where="c:1", input="q", expected="a", score=EXACT, format=(LABELS,))
        for i in range(count)
    ]
    made, base = suite(cases), column("base", cases, drawn)
    variants = [column(f"v{i}", cases, drawn) for i in range(gates // len(GATES))]
    started = time.perf_counter()
    read = sum(
        score.correct is not None and score.broken is None
        for one in variants
        for _ in GATES
        for row in one.rows.values()
        for score in row.scores
    )
    once = time.perf_counter() - started
    started = time.perf_counter()
    ends = [judge_rate(made, gate, Sides(one, base)).outcome for one in variants for gate in GATES]
    took = time.perf_counter() - started
    print(
        f"{len(ends)} gates of {count:,} cases: {took:.2f} s, {took / len(ends) * 1000:.1f} ms each"
    )
    print(f"reading their {read:,} sound scores once: {once:.2f} s; judging is {took / once:.1f} x")
    print(", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))))


if __name__ == "__main__":
    main(*(int(given) for given in (*sys.argv[1:], *("200", "10000")[len(sys.argv) - 1 :])))
