"""The training-data gate: it passes if the training file has no error. It sends no requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ftgate.gates.notes import Finding, FindingKind, Severity, text_note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind, Value
from pytest_ftgate.gates.training_data_checks import (
    CaseLeaks,
    TrainingDataRules,
    TrainingRow,
    answer_findings,
    duplicate_findings,
    find_case_leaks,
    finding,
    in_lines,
    sensitive_data_findings,
)
from pytest_ftgate.gates.verdict import Outcome, Verdict, verdict_place
from pytest_ftgate.readers.memory import reads_once
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import read_rows
from pytest_ftgate.requests.estimate import estimate_tokens
from pytest_ftgate.suite.gate_kinds import FINDING_KINDS, DataGate, data_gate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.training_data import parse_training_row

#: Values of the key "source" that mark a row as synthetic.
_SYNTHETIC_SOURCES = ("synthetic", "generated", "llm", "model")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A training file.

    Attributes:
        rows: the readable rows.
        broken_lines: the lines that cannot be read, by error message.
    """

    path: Path
    rows: tuple[TrainingRow, ...]
    broken_lines: dict[str, tuple[int, ...]]

    @property
    def row_count(self) -> int:
        """The number of rows, readable or not."""
        return len(self.rows) + sum(map(len, self.broken_lines.values()))

    @property
    def answered_row_count(self) -> int:
        """The number of rows to learn from."""
        return sum(row.answer is not None for row in self.rows)


@reads_once(files=4)
def read_training_data(path: Path) -> TrainingData:
    """Return the content of a training file in any format; an unchanged file is read once."""
    source = Source(root=path.parent, path=path)
    rows = []
    for row in read_rows(source, path, what="training data"):
        try:
            rows.append(TrainingRow(parse_training_row(row.line, row.value), row.value))
        except ValueError as error:
            source.add_error(row.line, str(error))
    broken_lines: dict[str, list[int]] = defaultdict(list)
    for diagnostic in source.errors:
        broken_lines[diagnostic.message].append(diagnostic.line)
    return TrainingData(
        path, tuple(rows), {message: tuple(lines) for message, lines in broken_lines.items()}
    )


def check_training_data(data: TrainingData, rules: TrainingDataRules) -> tuple[Finding, ...]:
    """Return the findings in a training file, in the order of ``FINDING_KINDS``."""
    findings = [
        finding for finding in _findings(data, rules) if finding.kind not in rules.gate.ignore
    ]
    return tuple(sorted(findings, key=lambda finding: FINDING_KINDS.index(finding.kind)))


def _findings(data: TrainingData, rules: TrainingDataRules) -> Iterator[Finding]:
    for error, lines in data.broken_lines.items():
        severity, message = Severity.ERROR, text_note(error)
        yield Finding(
            kind="broken", severity=severity, message=message, count=len(lines), lines=lines
        )
    yield from _size_findings(data, rules)
    yield from _row_findings(data.rows, rules.context)
    yield from sensitive_data_findings(data.rows)
    yield from duplicate_findings(data.rows)
    yield from answer_findings(data.rows, rules)
    if rules.cases:
        leaks = find_case_leaks(data.rows, rules.cases)
        yield from leaks.findings(len(rules.cases))


def _size_findings(data: TrainingData, rules: TrainingDataRules) -> Iterator[Finding]:
    rows, wanted = data.answered_row_count, rules.gate.min_rows
    if rows < wanted:
        yield finding(FindingKind.FEW_ROWS, (), rows=rows, wanted=wanted)


def _row_findings(rows: Sequence[TrainingRow], context: int | None) -> Iterator[Finding]:
    """Yield a finding for each way in which rows are wrong by themselves."""
    yield from in_lines(FindingKind.TURNS, filter(_has_misplaced_turn, rows))
    yield from in_lines(FindingKind.UNVERIFIED, filter(_is_unverified, rows))
    if context is not None:
        long = (row for row in rows if sum(map(estimate_tokens, row.texts)) > context)
        yield from in_lines(FindingKind.TOO_LONG, long, context=context)


def _has_misplaced_turn(row: TrainingRow) -> bool:
    example = row.example
    roles = [role for role, _ in example.turns if role != "tool"]
    # Conversations with tools need not alternate.
    if not example.usable or len(roles) < len(example.turns):
        return False
    roles += ["assistant"] if example.answer is not None else []
    return any(role != ("user", "assistant")[i % 2] for i, role in enumerate(roles))


def _is_unverified(row: TrainingRow) -> bool:
    raw = row.raw
    if not isinstance(raw, dict) or raw.get("verified_by"):
        return False
    source = str(raw.get("source", "")).lower()
    return bool(raw.get("synthetic") or raw.get("generated_by")) or source in _SYNTHETIC_SOURCES


#: The most lines, and the most cases, of a finding that a verdict stores; its count is complete.
_MAX_STORED = 200


def evaluate_data(suite: Suite, gate: DataGate, variant: Variant) -> Verdict:
    """Return the verdict on the training data of *variant*: passed if no finding is an error."""
    if variant.training_data is None:
        raise ValueError(f"{variant.name} has no training data")
    data = read_training_data(variant.training_data)
    findings = check_training_data(data, training_data_rules(suite, gate, variant))
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    remedies = dict.fromkeys(error.next.kind for error in errors if error.next)
    values: dict[str, Value] = {"file": variant.training_data.name, "rows": data.row_count}
    return Verdict(
        **verdict_place(suite, gate, variant.name),
        outcome=Outcome.FAILED if errors else Outcome.PASSED,
        statement=Statement(StatementKind.TRAINING_DATA, values),
        findings=tuple(_shortened(finding) for finding in findings),
        next=tuple(NextStep(StepKind.FIX_TRAINING_DATA, {"remedy": kind}) for kind in remedies),
    )


def _shortened(finding: Finding) -> Finding:
    lines, cases = finding.lines[:_MAX_STORED], finding.cases[:_MAX_STORED]
    return replace(finding, lines=lines, cases=cases)


def training_data_rules(suite: Suite, gate: DataGate, variant: Variant) -> TrainingDataRules:
    """Return the rules for the training data of *variant*."""
    spec = provider_spec(variant.provider)
    return TrainingDataRules(
        cases=(*suite.cases, *suite.holdout),
        format=suite.reply.format,
        thoughts=suite.reply.thoughts,
        folder=suite.path.parent,
        gate=gate,
        context=gate.context or variant.runtime.get("context", spec.context) or None,
    )


def find_leaked_cases(suite: Suite, variant: Variant) -> CaseLeaks:
    """Return the cases of *suite* that *variant* was trained on; none without a data gate."""
    gate = data_gate(suite)
    if variant.training_data is None or gate is None:
        return CaseLeaks({}, {})
    return find_case_leaks(read_training_data(variant.training_data).rows, suite.cases)
