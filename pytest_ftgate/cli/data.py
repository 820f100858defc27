"""The verb data: the findings in a training file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_ftgate.cli import VerbOutput
from pytest_ftgate.errors import ConfigurationError, SuiteError, did_you_mean
from pytest_ftgate.gates.training_data import (
    check_training_data,
    read_training_data,
    training_data_rules,
)
from pytest_ftgate.gates.training_data_checks import TrainingDataRules
from pytest_ftgate.gates.verdict import Severity
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.readers.source import Source
from pytest_ftgate.reporting.headlines import severity_counts
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.verdict import finding_lines
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.gate_kinds import DataGate, data_gate
from pytest_ftgate.suite.model import Case, Suite
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import read_training_rows


def examine_data(
    file: Path, suite: Path | None, against: Path | None, context: int | None, verbosity: int
) -> VerbOutput:
    """Return the findings in a training file; the exit code is 1 if one of them is an error.

    *suite* has the cases, labels and format to check the rows with. *against* has test rows for a
    model that is trained on *file*. *context* is the context size of the model, in tokens.
    *verbosity* is the number of lines for each finding; 0 shows the fewest.

    Raises:
        SuiteError: the suite or a row of *against* is invalid.
        ConfigurationError: a file does not exist.
    """
    rules = with_suite(suite, None, _suite_rules) if suite else TrainingDataRules()
    if against:
        rules = replace(rules, cases=(*rules.cases, *_test_cases(against)))
    if context:
        rules = replace(rules, context=context)
    data = read_training_data(_existing(file))
    findings = check_training_data(data, rules)
    head = f"{file}: {severity_counts(findings)} in {quantity(len(data.rows), 'row')}"
    has_error = any(finding.severity is Severity.ERROR for finding in findings)
    return VerbOutput((head, *finding_lines(findings, verbosity)), int(has_error))


def _suite_rules(suite: Suite, _session: Session) -> TrainingDataRules:
    trained = [variant for variant in suite.variants.values() if variant.training_data]
    variant = next(iter(trained or suite.variants.values()))
    return training_data_rules(suite, data_gate(suite) or DataGate(), variant)


def _test_cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=_existing(path).resolve())
    rows = read_training_rows(source, source.path)
    if source.errors:
        raise SuiteError(str(path), source.errors)
    score = Rule("exact")
    return [
        Case(
            id=f"{path.name}:{row.line}",
            location=f"{path}:{row.line}",
            input=row.input_text,
            score=score,
        )
        for row in rows
    ]


def _existing(path: Path) -> Path:
    """Return *path* if it is a file.

    Raises:
        ConfigurationError: it is not; the message suggests a file with a similar name.
    """
    if not path.is_file():
        names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigurationError(f"there is no file {path}{did_you_mean(path.name, names)}")
    return path
