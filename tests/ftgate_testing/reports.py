"""Run records for the tests of reports, made by the real stages without any request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from random import Random
from typing import Any

from ftgate_testing.score_columns import case, skill_scores, suite, variant_scores
from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.plugin.verdicts import PASSED_XFAIL
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.collect import CaseSet, collect_suite_run
from pytest_ftgate.results.run import (
    AcceptedPoint,
    Answer,
    CaseRun,
    FailedTest,
    NotEvaluated,
    Report,
    RequestCounts,
    SuiteRun,
    overall_verdict,
)
from pytest_ftgate.results.steps import with_steps
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate

#: What a model may say to break out of each kind of report.
HOSTILE = {
    "script": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "closing": "</script></style></pre></details><svg onload=alert(1)>",
    "command": "::error::owned\n::set-output name=x::y\n##[group]x",
    "table": "| a | b |\n|---|---|\n[x](javascript:alert(1)) @everyone #1",
    "ticks": "```\n</details>\n```` <!-- x --> ``", "escape": "\x1b[2J\x1b]0;owned\x07 all cleared",
    "bidi": "\u202egnillib\u202c \u2066x\u2069",
    "separator": "one\u2028::error::owned\x85::error::owned", "nul": "a\x00b\x00",
    "template": "{{ 7 * 7 }} {% raw %} ${{ secrets.KEY }}", "huge": "x" * 1_000_000,
}  # fmt: skip
#: The same for names and sentences, of which none is so long.
HOSTILE_NAMES = {**HOSTILE, "huge": "x" * 10_000}

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05, min=0.5)
FORMAT = RateGate(kind="format", line=8, min=0.9, max_drop=0.05)
FORGETTING = ForgettingGate(line=9, cases=(), max_drop=0.1)


def case_result(name: str, text: str, *, right: bool = False) -> CaseResult:
    reply = Reply(text=text, usage={"input": 50, "output": 5}, seconds=0.4)
    broken = FormatError("fenced") if text.startswith("```") else None
    return CaseResult(
        case(name), (reply,), (Score(float(right), broken),), (f"call {name} {text}",)
    )


def variant_with_replies(variant: str, texts: Sequence[str], n: int = 100) -> VariantScores:
    """Return a variant whose first replies are *texts*, all wrong, and the others right."""
    rows = {f"c{i:03}": case_result(f"c{i:03}", "refund", right=True) for i in range(n)}
    rows |= {f"c{i:03}": case_result(f"c{i:03}", text) for i, text in enumerate(texts)}
    return VariantScores(variant, rows)


def report(*verdicts: Verdict, suites: Sequence[SuiteRun] = (), **more: Any) -> Report:
    record = Report(
        verdict="blocked", at="2026-11-25T09:30:00+00:00", verdicts=verdicts, suites=tuple(suites),
        requests=more.pop("requests", RequestCounts(replies=300, sent=100, seconds=12.0)),
        cost=more.pop("cost", CostReport(asked=0.1, variants={"current": 0.1, "new": 0.2})),
        facts=more.pop("facts", {"pytest-ftgate": "0.1.0"}), **more,
    )  # fmt: skip
    return with_steps(replace(record, verdict=overall_verdict(record)))


def failing_run(texts: Sequence[str] = (), *, wrong: int = 40) -> Report:
    """Return a run in which cases and general skills of the variant *new* regressed.

    Args:
        texts: its first replies; all of them wrong.
        wrong: how many of its 100 replies are.
    """
    return _failing_run((*texts,), wrong)


@lru_cache(maxsize=8)
def _failing_run(texts: tuple[str, ...], wrong: int) -> Report:
    declared = suite(ACCURACY, FORMAT, FORGETTING)
    wrong_texts = ("late_delivery", "```\nlate_delivery\n```")
    replies = [*texts, *(wrong_texts[n % 2] for n in range(wrong - len(texts)))]
    current, new = (
        variant_with_replies("current", ["refunds"] * 2),
        variant_with_replies("new", replies),
    )
    skills = {"arithmetic": (30, 2), "reading": (20, 12)}
    base = skill_scores("base of new", skills)
    tuned = skill_scores("new", {"arithmetic": (2, 30), "reading": (20, 12)})
    comparison = Comparison(new, current)
    verdicts = [evaluate_rate(declared, gate, comparison) for gate in (ACCURACY, FORMAT)]
    verdicts += [evaluate_forgetting(declared, FORGETTING, SkillComparison({"": (tuned, base)}))]
    verdicts += [evaluate_rate(declared, ACCURACY, Comparison(current, current))]
    columns: list[tuple[CaseSet, VariantScores]] = [
        ("task", current), ("task", new), ("skills", base), ("skills", tuned),
    ]  # fmt: skip
    history = [
        AcceptedPoint(at=f"2026-11-0{day}T10:00:00Z", commit=f"abc{day}", subject=f"day {day}",
             accuracy={"current": 0.9 + day / 100, "new": 0.8})
        for day in (1, 2, 3)
    ]  # fmt: skip
    run = replace(collect_suite_run(declared, columns), history=tuple(history))
    return report(*verdicts, suites=[run])


@cache
def inconclusive_verdict(number: int = 0) -> Verdict:
    """Return the verdict of an inconclusive gate."""
    declared = suite(ACCURACY)
    comparison = Comparison(
        variant_scores("new", [0.0] * 4 + [1.0] * 96), variant_scores("current", [1.0] * 100)
    )
    verdict = evaluate_rate(declared, ACCURACY, comparison)
    assert verdict.outcome == "inconclusive"
    return replace(verdict, variant=f"new-{number}" if number else "new")


def invalid(reason: str) -> Statement:
    """Return the statement that a variant is not what it claims."""
    return Statement(StatementKind.INVALID, text_note(reason).values_with("reason"))


def gate_not_evaluated(reason: str = "current: no key") -> NotEvaluated:
    return NotEvaluated(node="suite.ftgate.yaml::accuracy[new]", reason=reason)


def failed_test() -> FailedTest:
    return FailedTest(node="test_it.py::test_it[current]", reason=PASSED_XFAIL)


def large(cases: int = 10_000, variants: int = 5, words: int = 12) -> Report:
    """Return a run of many cases, each with a reply of its own from each variant."""
    stems = ("strong", "quiet", "early", "later", "whole")
    vocabulary = [f"{stem}{number}" for stem in stems for number in range(400)]
    names = ["current", *(f"v{number}" for number in range(1, variants))]

    drawn = Random(7)

    def text() -> str:
        return " ".join(drawn.choices(vocabulary, k=words))

    def answer(number: int, place: int) -> Answer:
        right = (number * 31 + place * 17) % 23 != 0
        return Answer(
            text=text(), correct=float(right), valid=1.0,
            tokens={"input": 120, "output": 30}, seconds=0.3 + (number % 50) / 100,
        )  # fmt: skip

    case_runs = tuple(
        CaseRun(
            id=f"case-{number:05}", case_set="task", location=f"big.jsonl:{number}",
            input=text(), expected=text(),
            tags=(("odd", "even")[number % 2],),
            answers={name: answer(number, place) for place, name in enumerate(names)},
        )
        for number in range(cases)
    )  # fmt: skip
    base = failing_run()
    big = replace(base.suites[0], cases=case_runs)
    return replace(base, suites=(big,))


def outside_of_code(text: str) -> str:
    """Return Markdown without its code blocks, read as GitHub reads them."""
    lines, fence = [], ""
    for line in text.split("\n"):
        mark = re.match(r"(`{3,})", line)
        if fence:
            fence = "" if line.strip() == fence else fence
        elif mark:
            fence = mark[1]
        else:
            lines.append(line)
    assert not fence, "a code block is left open"
    return "\n".join(lines)
