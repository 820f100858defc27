"""How long it takes to evaluate many gates of many cases, once their replies are scored.

    python benchmarks/judging.py [GATES] [CASES]

Builds one baseline and half as many variants as there are gates (200 of 10,000 cases without
arguments), and evaluates accuracy and format of each from fresh scores. For comparison it measures
the time that Python takes to read each of these scores once: the least for any gate that uses all
its cases. Scores are drawn by a fixed seed.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.declaration import Thresholds
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["a", "b"])
EXACT = Rule("exact")
GATES = (
    RateGate(kind="accuracy", line=1, max_drop=0.03),
    RateGate(kind="format", line=2, max_drop=0.02),
)


def column(name: str, cases: list[Case], drawn: random.Random) -> VariantScores:
    """Return the scores of a variant that is right nine times in ten."""
    rows = {}
    for case in cases:
        right = drawn.random() < 0.9
        score = Score(
            float(right), None if right or drawn.random() < 0.9 else FormatError("wrong label")
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
        ladder=Thresholds(),
    )


def numbered(count: int) -> list[Case]:
    """Return so many cases."""
    return [
        Case(id=f"c{i}", location="c:1", input="q", expected="a", score=EXACT, format=(LABELS,))
        for i in range(count)
    ]


def evaluate(made: Suite, base: VariantScores, variants: list[VariantScores]) -> list[str]:
    """Return the outcome of each gate of each variant."""
    return [
        evaluate_rate(made, gate, Comparison(one, base)).outcome
        for one in variants
        for gate in GATES
    ]


def main(gates: int, count: int) -> None:
    """Evaluate, and print how long it took."""
    drawn = random.Random(0)
    cases = numbered(count)
    made, base = suite(cases), column("base", cases, drawn)
    variants = [column(f"v{i}", cases, drawn) for i in range(gates // len(GATES))]
    started = time.perf_counter()
    read = sum(
        score.correct is not None and score.format_error is None
        for one in variants
        for _ in GATES
        for row in one.results.values()
        for score in row.scores
    )
    once = time.perf_counter() - started
    started = time.perf_counter()
    ends = evaluate(made, base, variants)
    took = time.perf_counter() - started
    print(
        f"{len(ends)} gates of {count:,} cases: {took:.2f} s, {took / len(ends) * 1000:.1f} ms each"
    )
    print(
        f"reading their {read:,} sound scores once: {once:.2f} s; evaluating is {took / once:.1f} x"
    )
    print(", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends))))


if __name__ == "__main__":
    main(*(int(given) for given in (*sys.argv[1:], *("200", "10000")[len(sys.argv) - 1 :])))
