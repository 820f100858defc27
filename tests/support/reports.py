"""Run records for the tests of reports: judged and told by the real stages, without asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from columns import case, column, skills_column, suite

from pytest_ftgate.client.budget import Bill
from pytest_ftgate.gates.forgetting import Compared, judge_forgetting
from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.collect import tell
from pytest_ftgate.results.run import (
    Answer,
    Asking,
    CaseRun,
    Past,
    Report,
    SuiteRun,
    Unjudged,
    verdict_of,
)
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.model import ForgettingGate, RateGate

#: What a model may say to break out of each face of a report.
HOSTILE = {
    "script": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "closing": "</script></style></pre></details><svg onload=alert(1)>",
    "command": "::error::owned\n::set-output name=x::y\n##[group]x",
    "table": "| a | b |\n|---|---|\n[x](javascript:alert(1)) @everyone #1",
    "ticks": "```\n</details>\n```` <!-- x --> ``",
    "escape": "\x1b[2J\x1b]0;owned\x07 all cleared",
    "bidi": "\u202egnillib\u202c \u2066x\u2069",
    "separator": "one\u2028::error::owned\x85::error::owned",
    "nul": "a\x00b\x00",
    "template": "{{ 7 * 7 }} {% raw %} ${{ secrets.KEY }}",
    "huge": "x" * 1_000_000,
}

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05, min=0.5)
FORMAT = RateGate(kind="format", line=8, min=0.9, max_drop=0.05)
FORGETTING = ForgettingGate(line=9, cases=(), max_drop=0.1)


def answered(name: str, text: str, *, right: bool = False) -> Row:
    reply = Reply(text=text, usage={"input": 50, "output": 5}, seconds=0.4)
    broken = Broken("fenced") if text.startswith("```") else None
    return Row(case(name), (reply,), (Score(float(right), broken),), (f"call {name} {text}",))


def saying(variant: str, texts: Sequence[str], n: int = 100) -> Column:
    """Return a variant whose first replies are *texts*, all wrong, and the others right."""
    rows = {f"c{i:03}": answered(f"c{i:03}", "refund", right=True) for i in range(n)}
    rows |= {f"c{i:03}": answered(f"c{i:03}", text) for i, text in enumerate(texts)}
    return Column(variant, rows)


def report(*verdicts: Verdict, suites: Sequence[SuiteRun] = (), **more) -> Report:
    made = Report(
        verdict="blocked",
        at="2026-11-25T09:30:00+00:00",
        verdicts=verdicts,
        suites=tuple(suites),
        asking=more.pop("asking", Asking(used=300, asked=100, seconds=12.0)),
        bill=more.pop("bill", Bill(asked=0.1, variants={"current": 0.1, "new": 0.2})),
        facts=more.pop("facts", {"pytest-ftgate": "0.1.0"}),
        **more,
    )
    return replace(made, verdict=verdict_of(made))


def judged(texts: Sequence[str] = (), *, wrong: int = 40) -> Report:
    """Return a run in which the variant *new* lost cases, and general skills too.

    Args:
        texts: its first replies; all of them wrong.
        wrong: how many of its 100 replies are.
    """
    both = suite(ACCURACY, FORMAT, FORGETTING)
    amiss = ("late_delivery", "```\nlate_delivery\n```")
    said = [*texts, *(amiss[n % 2] for n in range(wrong - len(texts)))]
    current, new = saying("current", ["refunds"] * 2), saying("new", said)
    skills = {"arithmetic": (30, 2), "reading": (20, 12)}
    base = skills_column("base of new", skills)
    tuned = skills_column("new", {"arithmetic": (2, 30), "reading": (20, 12)})
    sides = Sides(new, current)
    verdicts = [judge_rate(both, gate, sides) for gate in (ACCURACY, FORMAT)]
    verdicts += [judge_forgetting(both, FORGETTING, Compared({"": (tuned, base)}))]
    verdicts += [judge_rate(both, ACCURACY, Sides(current, current))]
    columns = [("task", current), ("task", new), ("skills", base), ("skills", tuned)]
    past = [
        Past(at=f"2026-11-0{day}T10:00:00Z", commit=f"abc{day}", subject=f"day {day}",
             accuracy={"current": 0.9 + day / 100, "new": 0.8})
        for day in (1, 2, 3)
    ]  # fmt: skip
    told = replace(tell(both, columns), history=tuple(past))
    return report(*verdicts, suites=[told])


def open_verdict(number: int = 0) -> Verdict:
    """Return the verdict of a gate that cannot tell."""
    both = suite(ACCURACY)
    sides = Sides(column("new", [0.0] * 4 + [1.0] * 96), column("current", [1.0] * 100))
    made = judge_rate(both, ACCURACY, sides)
    assert made.outcome == "inconclusive"
    return replace(made, variant=f"new-{number}" if number else "new")


def unjudged(why: str = "current: no key") -> Unjudged:
    return Unjudged(node="suite.ftgate.yaml::accuracy[new]", why=why)


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

    made = tuple(
        CaseRun(
            id=f"case-{number:05}", asks="task", where=f"big.jsonl:{number}",
            asked=text(), expected=text(),
            tags=(("odd", "even")[number % 2],),
            answers={name: answer(number, place) for place, name in enumerate(names)},
        )
        for number in range(cases)
    )  # fmt: skip
    base = judged()
    big = replace(base.suites[0], cases=made)
    return replace(base, suites=(big,))
