"""The run record: what a report shows of a run, and its JSON; the file of the last verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.errors import ConfigurationError, Diagnostic
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.readers.text import replace_in_json
from pytest_ftgate.recommend.advice import Advice

#: The file of the last verdicts, in the folder of the cache.
VERDICTS = "verdicts.jsonl"

_T = TypeVar("_T")

#: Reads and writes values of a dataclass. Built on first use, which takes milliseconds.
json_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def to_json(value: Any) -> str:
    """Return a dataclass, such as a verdict, as one line of JSON, as processes exchange it."""
    adapter = json_adapter(type(value))
    try:
        return adapter.dump_json(value).decode()
    except pydantic_core.PydanticSerializationError:
        # A scorer may unescape a lone surrogate in a reply that is JSON.
        whole = replace_in_json(adapter.dump_python(value, mode="json"))
        return pydantic_core.to_json(whole, inf_nan_mode="null").decode()


def from_json(kind: type[_T], text: str | bytes) -> _T:
    """Parse a value of *kind* from the output of *to_json*.

    Raises:
        ValidationError: *text* is no such value.
    """
    value: _T = json_adapter(kind).validate_json(text)
    return value


def store_verdicts(folder: Path, new: Iterable[Verdict]) -> None:
    """Store the verdicts of a run in *folder*, that of the cache; they replace older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = {node_id(verdict): verdict for verdict in (*load_verdicts(folder), *new)}
    part = folder / f"{VERDICTS}.part"
    lines = (f"{to_json(verdict)}\n" for verdict in verdicts.values())
    part.write_text("".join(lines), "utf-8")
    part.replace(folder / VERDICTS)


def load_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts stored in *folder*, without those that this version cannot read."""
    path = folder / VERDICTS
    known = {field.name for field in fields(Verdict)}
    verdicts = []
    # Split only at line feeds: texts of replies may contain other line separators.
    for line in path.read_text("utf-8").split("\n") if path.is_file() else ():
        with suppress(ValidationError):
            verdict = from_json(Verdict, line)
            # A field that is not known comes from another version, whose numbers would read as 0.
            if json.loads(line).keys() <= known:
                verdicts.append(verdict)
    return tuple(verdicts)


def node_id(verdict: Verdict) -> str:
    """Return the pytest node id of the gate of *verdict*."""
    return verdict.node or f"{verdict.suite}::{verdict.gate}[{verdict.variant}]"


#: The values of a next step that are paths or node ids.
_PATHS = ("node", "record", "suite", "where")


def as_typed(verdict: Verdict, typed: Callable[[str], str]) -> Verdict:
    """Return *verdict* with its node id, and the commands that hold it, as the user types them.

    *typed* returns a node id, relative to the root directory, relative to the folder where the
    command was started.
    """
    steps = [
        step.add(**{key: typed(str(step.values[key])) for key in _PATHS if key in step.values})
        for step in verdict.next
    ]
    return replace(verdict, node=typed(node_id(verdict)), next=tuple(steps))


def node_name(verdict: Verdict) -> str:
    """Return the part of the node id after the file, which is unique within the file."""
    return node_id(verdict).partition("::")[2]


#: The version of the file format. Raise it if a key changes its name or its meaning.
RUN_FORMAT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The reply of one variant to one case. Of several replies, the text is that of the first.

    Attributes:
        text: the text of the reply. It comes from a model, so never trust it.
        correct, valid: the mean scores over the repeats, 0 to 1, or None if there is none. A reply
            to a skills case is correct only if its format is valid too.
        repeats: the number of replies; 0 if there is none, and *missing* gives the reason.
        format_error: how the reply breaks its format, or "".
        content_error: what is wrong with the content, if the texts do not show it; or "".
        stop: why the model stopped.
        tokens: the number of tokens by kind, as in a reply.
        seconds: the time from the request to the whole reply.
        usd: the cost in USD, or None if the price is unknown.
        tool_calls: one line for each tool call.
        passages: the source and the text of each retrieved passage.
        missing: why there is no reply, or "".
        thought: what the model thought before the reply, or "". It is no part of the answer.
    """

    text: str = ""
    correct: float | None = None
    valid: float | None = None
    repeats: int = 1
    format_error: str = ""
    content_error: str = ""
    stop: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    usd: float | None = None
    tool_calls: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    missing: str = ""
    thought: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRun:
    """One case, with the answer of each variant.

    Attributes:
        id: the case id.
        case_set: ``task`` for cases of the suite, ``skills`` for cases of a forgetting gate,
            ``held out`` for cases that confirm the choice of a ladder.
        location: ``path:line`` of the case.
        input: the last message of the user.
        expected: the accepted answers in one line.
        answers: by variant.
    """

    id: str
    case_set: Literal["task", "skills", "held out"]
    location: str
    input: str
    expected: str
    tags: tuple[str, ...] = ()
    skill: str = ""
    difficulty: int | None = None
    language: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRun:
    """One variant, with its results on the cases of the suite.

    Attributes:
        line: the line of the variant in the suite file.
        gated: False for a variant that is only measured.
        system: the template of its system prompt.
        replies: the number of replies.
        figures: by name, those that are known: ``accuracy`` (``accuracy.graded`` beside it if human
            labels correct it), ``format``, ``usd_per_1k``, ``tokens`` of a request,
            and ``p05``, ``p25``, ``p50``, ``p75`` and ``p95`` of the latency.
    """

    name: str
    line: int
    gated: bool
    provider: str
    model: str = ""
    system: str = ""
    replies: int = 0
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionMatrix:
    """The confusion matrix of one variant.

    Attributes:
        labels: the labels of the suite.
        counts: of shape (labels, labels + 1): one row for each expected label, one column for each
            predicted label. The last column counts replies that are no label.
    """

    variant: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPoint:
    """One committed version of the accepted record.

    Attributes:
        at: the date of the commit, in ISO 8601.
        commit: its hash, shortened.
        subject: the first line of its message.
        accuracy, format: by variant, the mean score of its cases.
    """

    at: str
    commit: str
    subject: str
    accuracy: Mapping[str, float] = field(default_factory=dict)
    format: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """One suite: its variants, its cases with all answers, and its history in git.

    Attributes:
        bases: by fine-tuned variant, the name under which its base answers skills cases.
    """

    name: str
    baseline: str
    bases: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[VariantRun, ...] = ()
    cases: tuple[CaseRun, ...] = ()
    confusions: tuple[ConfusionMatrix, ...] = ()
    history: tuple[AcceptedPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEvaluated:
    """A gate without a verdict, or a file of gates that could not be collected.

    Attributes:
        node: its pytest node id; ``pytest`` for the run as a whole.
        reason: why there is no verdict.
        variant: its variant, if the error is one of that; else "".
        same_as: the node id of the gate that has shown the same error before; else "".
        errors: the errors in a file whose gates cannot be read; empty for any other reason.
    """

    node: str
    reason: str
    variant: str = ""
    same_as: str = ""
    errors: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTest:
    """A gate that passed, and whose test failed.

    Attributes:
        node: its pytest node id.
        reason: why the test failed.
    """

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCounts:
    """The numbers of requests and replies of a run.

    Attributes:
        replies: the replies used, cached ones included.
        sent: the requests sent in this run.
        seconds: the time that these took.
        skipped: the requests that were not needed, because gates stopped early.
    """

    replies: int = 0
    sent: int = 0
    seconds: float = 0.0
    skipped: int = 0


#: What happened to a file; git does not know an untracked one.
Change = Literal["added", "changed", "deleted", "untracked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that decides, and differs from the base branch.

    Attributes:
        name: its path, relative to the root directory.
        change: what happened to it.
    """

    name: str
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanges:
    """How the files that decide differ from the base branch in git.

    These files are suites, what suites name (prompts, cases, examples, rubrics, schemas, modules),
    accepted records and committed replies.

    Attributes:
        branch: the base branch, such as ``main``: the one that a pull request goes to, or the
            default branch; ``the last commit`` without one; "" if nothing was compared.
        commit: the last commit of the branch that the run is built on.
        files: those that differ, changes that are not committed included.
        unknown: why git cannot tell, or "".
    """

    branch: str = ""
    commit: str = ""
    files: tuple[FileChange, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run.

    Attributes:
        verdict: ``passed`` or ``blocked``.
        at: the end of the run, in ISO 8601.
        format: the version of the file format.
        lenient: inconclusive gates do not block.
        verdicts: of all gates.
        not_evaluated: gates without a verdict. This is an error, never a failed gate.
        failed_tests: gates that passed, and whose tests failed.
        requests: the numbers of requests and replies.
        cost: the cost of the replies.
        max_usd: the budget of the run in USD, or None.
        notes: messages for the user about cache, budget and accepted records.
        facts: versions and environment of the run.
        suites: the cases; empty if no report needs them.
        advice: for each suite with a ladder, whether fine-tuning is worth its cost.
        file_changes: how the files that decide differ from the base branch.
        unselected: the suites below the root directory in which no gate was selected.
        left_out: the gates that were deselected or skipped, by node id.
        options: the options of the command line that a command which goes on repeats.
        overrides: the keys of variants that were set outside the suites: ``KEY=VALUE``.
    """

    verdict: Literal["passed", "blocked"]
    at: str
    format: int = RUN_FORMAT
    lenient: bool = False
    verdicts: tuple[Verdict, ...] = ()
    not_evaluated: tuple[NotEvaluated, ...] = ()
    failed_tests: tuple[FailedTest, ...] = ()
    requests: RequestCounts = field(default_factory=RequestCounts)
    cost: CostReport = field(default_factory=CostReport)
    max_usd: float | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    suites: tuple[SuiteRun, ...] = ()
    advice: tuple[Advice, ...] = ()
    file_changes: FileChanges = field(default_factory=FileChanges)
    unselected: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()

    @property
    def unread_files(self) -> tuple[NotEvaluated, ...]:
        """The files whose gates could not be read, with the errors in them."""
        return tuple(gate for gate in self.not_evaluated if gate.errors)

    @property
    def gated_verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts without those of variants that are only measured."""
        return tuple(verdict for verdict in self.verdicts if verdict.gated)

    @property
    def gate_verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of gates, with those that nothing can fail, or that decide nothing."""
        kinds = (StatementKind.NOT_GATED, StatementKind.USAGE)
        found = (v for v in self.verdicts if not v.is_ungated or v.statement.kind in kinds)
        return tuple(found)

    @property
    def has_checkpoints(self) -> bool:
        """True if a variant is several checkpoints of a training."""
        return any(verdict.checkpoint for verdict in self.verdicts)

    @property
    def errors(self) -> tuple[NotEvaluated | FailedTest, ...]:
        """What blocks beside verdicts: gates that were not evaluated, and tests that failed."""
        return (*self.not_evaluated, *self.failed_tests)

    def count(self, outcome: Outcome) -> int:
        """Return the number of gates with *outcome*."""
        return sum(verdict.outcome is outcome for verdict in self.gated_verdicts)


def overall_verdict(report: Report) -> Literal["passed", "blocked"]:
    """Return the verdict on the whole run.

    It is ``passed`` if at least one gate was evaluated and none blocks.
    """
    failed = report.count(Outcome.FAILED) + report.count(Outcome.INVALID)
    open_verdicts = (v for v in report.gated_verdicts if v.outcome is Outcome.INCONCLUSIVE)
    inconclusive = sum(not report.lenient or verdict.always_blocks for verdict in open_verdicts)
    blocking = len(report.errors) + failed + inconclusive
    return "passed" if report.gated_verdicts and not blocking else "blocked"


def read_run(path: Path) -> Report:
    """Return the run record at *path*.

    Raises:
        ConfigurationError: there is no run record, or it has an older or newer format.
    """
    try:
        document = json.loads(path.read_bytes())
        number = document["format"] if isinstance(document, dict) else None
        if isinstance(number, int) and number != RUN_FORMAT:
            raise _format_error(path, number)
        report: Report = json_adapter(Report).validate_python(document)
    except OSError as error:
        raise _unreadable_error(path, f"cannot be read ({error.strerror})") from error
    except (KeyError, ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        place = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})" if first else ""
        raise _unreadable_error(path, f"is no run record{place}") from error
    return report


def _unreadable_error(path: Path, what: str) -> ConfigurationError:
    remedy = "write one with pytest --ftgate --ftgate-json PATH"
    return ConfigurationError(f"{path} {what}; {remedy}")


def _format_error(path: Path, number: int) -> ConfigurationError:
    if number < RUN_FORMAT:
        return _unreadable_error(path, f"has format {number}, older than this version reads")
    return ConfigurationError(f"{path} has format {number}, newer than this version reads; upgrade")
