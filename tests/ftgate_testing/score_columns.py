"""Suites and scores for the tests of gates, without requests to a model."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case, Gate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

LABELS = Rule("choice", ["refund", "late_delivery"])
EXACT = Rule("exact")


def case(name: str, *, skill: str | None = None) -> Case:
    return Case(
        id=name, location=f"cases.jsonl:{name}", input=f"ask {name}", expected="right", score=EXACT,
        format=() if skill else (LABELS,), skill=skill,
    )  # fmt: skip


def case_result(name: str, right: float, text: str, *, skill: str | None = None) -> CaseResult:
    valid = skill or text in LABELS.value
    format_error = None if valid else FormatError("not in enumeration")
    return CaseResult(
        case=case(name, skill=skill),
        replies=(Reply(text=text),),
        scores=(Score(right, format_error),),
        fingerprints=(f"call {name} {text}",),
    )


def variant_scores(variant: str, values: Sequence[float], *, text: str = "refund") -> VariantScores:
    """Return one result for each of the content scores *values*; 0 comes with the reply "no"."""
    results = [
        case_result(f"c{i:03}", value, text if value else "no") for i, value in enumerate(values)
    ]
    return VariantScores(variant, {result.case.id: result for result in results})


def case_samples(
    values: Iterable[float | None],
    name: str = "x",
    *,
    groups: Sequence[object] | None = None,
    weights: Sequence[float] | None = None,
    repeats: int = 1,
) -> Samples:
    """Return one sample for each of *values*; the replies are those of *name*."""
    return samples_from_cases(
        {
            f"c{i}": CaseSample(
                None if value is None else float(value),
                repeats,
                f"{name}-{i}",
                None if groups is None else f"g{groups[i]}",
                1.0 if weights is None else weights[i],
            )
            for i, value in enumerate(values)
        }
    )


def labelled(variant: str, texts: Sequence[str]) -> VariantScores:
    """Return scores of cases of which the first half expects refund, the others late_delivery."""
    rows = {}
    for i, text in enumerate(texts):
        expected = "refund" if i < len(texts) / 2 else "late_delivery"
        row = case_result(f"c{i:03}", float(text == expected), text)
        rows[f"c{i:03}"] = replace(row, case=replace(row.case, expected=expected))
    return VariantScores(variant, rows)


def without_replies(scores: VariantScores, names: Container[str]) -> VariantScores:
    """Return *scores* without the replies to the cases *names*."""
    rows = {
        key: replace(row, replies=(), scores=(), missing_reasons=("gone",)) if key in names else row
        for key, row in scores.results.items()
    }
    return VariantScores(scores.variant, rows)


def changed(
    scores: VariantScores, change: Callable[[int, CaseResult], CaseResult]
) -> VariantScores:
    """Return *scores* with each row changed by *change*, which takes its number and the row."""
    rows = {key: change(n, row) for n, (key, row) in enumerate(scores.results.items())}
    return VariantScores(scores.variant, rows)


def with_case(row: CaseResult, **values: Any) -> CaseResult:
    """Return *row* with other *values* of its case."""
    return replace(row, case=replace(row.case, **values))


def skill_scores(
    variant: str, skills: dict[str, tuple[int, int]], *, wrong: str = "no idea"
) -> VariantScores:
    """Return the results of skills cases, given the numbers of right and wrong replies by skill."""
    results = [
        case_result(
            f"{skill}-{i}", float(i < right), f"{variant} says" if i < right else wrong, skill=skill
        )
        for skill, (right, wrong_count) in skills.items()
        for i in range(right + wrong_count)
    ]
    return VariantScores(variant, {result.case.id: result for result in results})


def suite(*gates: Gate, variants: Sequence[str] = ("current", "new")) -> Suite:
    declared = {
        name: Variant(
            name=name, line=1, provider="llamacpp", model="m", base="b" if name == "new" else None
        )
        for name in variants
    }
    return Suite(
        path=Path("/suite.ftgate.yaml"), name="suite.ftgate.yaml", cases=(),
        reply=ReplyRules(format=(LABELS,), score=EXACT), variants=declared, baseline="current",
        gates={gate.kind: gate for gate in gates},
    )  # fmt: skip


def rate_verdict(gate: RateGate, *compared: Any, **known: Any) -> Verdict:
    """Return the verdict of *gate*, alone in its suite, on a `Comparison` of what is given."""
    return evaluate_rate(suite(gate), gate, Comparison(*compared, **known))
