"""The run record: all that a report shows of a run, and its form as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.client.budget import Bill
from pytest_ftgate.errors import Unavailable
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.recommend.advice import Advice

__all__ = [
    "FORMAT",
    "Answer",
    "Asking",
    "CaseRun",
    "Confusion",
    "Past",
    "Rate",
    "Report",
    "SuiteRun",
    "Unjudged",
    "VariantRun",
    "advice_from_json",
    "advice_to_json",
    "read_run",
    "run_schema",
    "suite_from_json",
    "suite_to_json",
    "verdict_of",
    "write_run",
]

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of *n* cases, 0 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one variant replied to one case; of several replies the first.

    Attributes:
        text: the reply, as the model gave it: foreign text.
        correct, valid: mean scores over the repeats, 0 to 1, or None where there is none; a reply
            to a skills case is correct only in the form that the case asks for.
        repeats: how many replies these rest on; 0 where none came, and *missing* says why.
        fault: how the form of the reply is broken, or "".
        wrong: what is wrong with its content, where the texts do not show it.
        stop: why the model stopped.
        tokens: by kind, as in replies.
        seconds: from request to whole reply.
        usd: what it cost, or None where nobody knows.
        called: the uses of tools, each in one line.
        passages: source and text of what was retrieved.
    """

    text: str = ""
    correct: float | None = None
    valid: float | None = None
    repeats: int = 1
    fault: str = ""
    wrong: str = ""
    stop: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    usd: float | None = None
    called: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One case, and the replies to it by variant.

    Attributes:
        asks: ``task`` for the suite's own cases, ``skills`` for those of a forgetting gate,
            ``held out`` for those that confirm what a ladder advises.
        where: ``path:line``.
        asked: the last thing that the user says.
        expected: in the words of a person.
    """

    id: str
    asks: Literal["task", "skills", "held out"]
    where: str
    asked: str
    expected: str
    tags: tuple[str, ...] = ()
    skill: str = ""
    difficulty: int | None = None
    language: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRun:
    """One variant, and how it did on the suite's own cases.

    Attributes:
        replies: how many came.
        system: the template of its system prompt.
        accuracy, form: rates over the cases, where the suite marks content and form.
        usd_per_1k: the mean price of a thousand calls, or None where nobody knows.
        tokens: the mean number of tokens of a call, in and out, or None where nobody says.
        p50_ms, p95_ms: how long replies took, whenever they were asked.
    """

    name: str
    line: int
    gated: bool
    provider: str
    model: str = ""
    system: str = ""
    replies: int = 0
    accuracy: Rate | None = None
    form: Rate | None = None
    usd_per_1k: float | None = None
    tokens: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """What a variant said where a label was expected.

    Attributes:
        labels: those of the suite; the last column of *counts* is for replies that are none.
        counts: of shape (labels, labels + 1): expected, said.
    """

    variant: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An accepted record as it was committed: by variant the mean scores of its cases."""

    at: str
    commit: str
    subject: str
    accuracy: Mapping[str, float] = field(default_factory=dict)
    form: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One suite: its variants, and every reply to its cases."""

    name: str
    baseline: str
    variants: tuple[VariantRun, ...] = ()
    cases: tuple[CaseRun, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    history: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A gate, or a whole suite, that brought no verdict, and why."""

    node: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How many replies were used, and how many of them asked in this run, in so many seconds.

    *spared* counts calls that were never asked because gates stopped early.
    """

    used: int = 0
    asked: int = 0
    seconds: float = 0.0
    spared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run.

    Attributes:
        verdict: ``passed`` or ``blocked``.
        at: when it ended, in ISO 8601.
        lenient: inconclusive gates do not block.
        unjudged: what could not be judged: an error, and never a failure.
        told: what the user should read of ledger, budget and accepted records.
        facts: where and by what it was run.
        suites: the cases; empty where no report needs them.
        advice: of each suite that has a ladder, whether fine-tuning is worth it.
    """

    verdict: Literal["passed", "blocked"]
    at: str
    format: int = FORMAT
    lenient: bool = False
    verdicts: tuple[Verdict, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    asking: Asking = field(default_factory=Asking)
    bill: Bill = field(default_factory=Bill)
    max_usd: float | None = None
    told: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    suites: tuple[SuiteRun, ...] = ()
    advice: tuple[Advice, ...] = ()

    @property
    def judged(self) -> tuple[Verdict, ...]:
        """The verdicts of gates, without those of variants that are merely measured."""
        return tuple(one for one in self.verdicts if one.gated)

    def count(self, outcome: Outcome) -> int:
        """Return how many gates ended so."""
        return sum(one.outcome is outcome for one in self.judged)


def verdict_of(report: Report) -> Literal["passed", "blocked"]:
    """Return whether *report* lets a change through: it was judged, and nothing blocks."""
    bad = report.count(Outcome.FAILED) + report.count(Outcome.INVALID) + len(report.unjudged)
    unsure = 0 if report.lenient else report.count(Outcome.INCONCLUSIVE)
    return "passed" if report.judged and not bad + unsure else "blocked"


# Built on first use, as it takes milliseconds.
@cache
def _runs() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def write_run(path: Path, report: Report) -> None:
    """Write *report* as indented JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(_runs().dump_json(report, indent=1) + b"\n")
    part.replace(path)


def read_run(path: Path) -> Report:
    """Read the run record at *path*.

    Raises:
        Unavailable: there is none, or one of a later version.
    """
    try:
        raw = json.loads(path.read_bytes())
        wanted = raw["format"] if isinstance(raw, dict) else None
        if isinstance(wanted, int) and wanted > FORMAT:
            raise Unavailable(f"{path} has format {wanted}, newer than this version reads; upgrade")
        return _runs().validate_python(raw)
    except OSError as error:
        remedy = "write one with pytest --ftgate --ftgate-json PATH"
        raise Unavailable(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except (KeyError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        place = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})" if first else ""
        remedy = "write one with pytest --ftgate --ftgate-json PATH"
        raise Unavailable(f"{path} is no run record{place}; {remedy}") from error


def run_schema() -> str:
    """Return the JSON Schema of run records; ``run.schema.json`` in this package is a copy."""
    schema: dict[str, Any] = _runs().json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema["title"] = "pytest-ftgate run record"
    return json.dumps({**head, **schema}, indent=1, ensure_ascii=False) + "\n"


# Built on first use, as it takes milliseconds.
@cache
def _suites() -> TypeAdapter[SuiteRun]:
    return TypeAdapter(SuiteRun)


@cache
def _advices() -> TypeAdapter[Advice]:
    return TypeAdapter(Advice)


def suite_to_json(suite: SuiteRun) -> str:
    """Return what one process knows of a suite as one line."""
    return _suites().dump_json(suite).decode()


def suite_from_json(text: str) -> SuiteRun:
    """Read what *suite_to_json* wrote."""
    return _suites().validate_json(text)


def advice_to_json(advice: Advice) -> str:
    """Return what is advised on a suite as one line."""
    return _advices().dump_json(advice).decode()


def advice_from_json(text: str) -> Advice:
    """Read what *advice_to_json* wrote."""
    return _advices().validate_json(text)
