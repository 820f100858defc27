"""How long it takes to evaluate many gates of many cases, once their replies are scored.

    python benchmarks/judging.py [GATES] [CASES]

Builds one baseline and half as many variants as there are gates (200 of 10,000 cases without
arguments), and evaluates accuracy and format of each from fresh scores: of cases that are right or
wrong, that are graded, that weigh unequally, and that are related in groups of four. For comparison
it measures the time that Python takes to read each of these scores once: the least for any gate
that uses all its cases. Scores are drawn by a fixed seed. Seconds are those of the processor.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["a", "b"])
EXACT = Rule("exact")
GATES = (
    RateGate(kind="accuracy", line=1, max_drop=0.03),
    RateGate(kind="format", line=2, max_drop=0.02),
)


#: The kinds of cases, with the possible scores and the properties of the case of a number.
KINDS: dict[str, tuple[Sequence[float], Callable[[int], Mapping[str, Any]]]] = {
    "right or wrong": ((0.0, 1.0), lambda _: {}),
    "graded": ((0.0, 0.25, 0.5, 0.75, 1.0), lambda _: {}),
    "weighted": ((0.0, 1.0), lambda number: {"weight": 1.0 + number % 5}),
    "in groups of four": ((0.0, 1.0), lambda number: {"group": f"g{number // 4}"}),
}


def column(
    name: str, cases: list[Case], drawn: random.Random, grades: Sequence[float]
) -> VariantScores:
    """Return the scores of a variant that is right nine times in ten."""
    rows = {}
    for case in cases:
        right = drawn.random() < 0.9
        correct = 1.0 if right else drawn.choice(grades)
        score = Score(
            correct, None if right or drawn.random() < 0.9 else FormatError("wrong label")
        )
        reply = Reply(text="a" if right else "b")
        rows[case.id] = CaseResult(
            case=case, replies=(reply,), scores=(score,), fingerprints=(f"{name} {case.id}",)
        )
    return VariantScores(name, rows)


def suite(cases: list[Case]) -> Suite:
    """Return a suite with the two gates."""
    return Suite(
        path=Path("s.ftgate.yaml"),
        name="s.ftgate.yaml",
        cases=tuple(cases),
        reply=ReplyRules(format=(LABELS,), score=EXACT),
        variants={"base": Variant(name="base", line=1, provider="recorded")},
        baseline="base",
        gates={gate.kind: gate for gate in GATES},
    )


def numbered(count: int, properties: Callable[[int], Mapping[str, Any]]) -> list[Case]:
    """Return so many cases, each with the *properties* of its number."""
    return [
        Case(
            id=f"c{i}", location="c:1", input="q", expected="a", score=EXACT,
            format=(LABELS,), **properties(i),
        )
        for i in range(count)
    ]  # fmt: skip


def evaluate(made: Suite, base: VariantScores, variants: list[VariantScores]) -> list[str]:
    """Return the outcome of each gate of each variant."""
    return [
        evaluate_rate(made, gate, Comparison(one, base)).outcome
        for one in variants
        for gate in GATES
    ]


def main(gates: int, count: int) -> None:
    """Evaluate the gates on each kind of cases, and print how long it took."""
    for kind, (grades, properties) in KINDS.items():
        drawn = random.Random(0)
        cases = numbered(count, properties)
        base = column("base", cases, drawn, grades)
        variants = [column(f"v{i}", cases, drawn, grades) for i in range(gates // len(GATES))]
        measure(kind, suite(cases), base, variants)


def measure(kind: str, made: Suite, base: VariantScores, variants: list[VariantScores]) -> None:
    """Evaluate the gates of *variants*, and print how long it took."""
    started = time.process_time()
    for one in variants:
        for _ in GATES:
            for row in one.results.values():
                for score in row.scores:
                    _ = score.correct is not None and score.format_error is None
    once = time.process_time() - started
    started = time.process_time()
    ends = evaluate(made, base, variants)
    took = time.process_time() - started
    print(
        f"{kind}: {len(ends)} gates of {len(made.cases):,} cases: {took:.2f} s, "
        f"{took / len(ends) * 1000:.1f} ms each, {took / once:.1f} x reading the scores once; "
        + ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))),
        flush=True,
    )


if __name__ == "__main__":
    main(*(int(given) for given in (*sys.argv[1:], *("200", "10000")[len(sys.argv) - 1 :])))
