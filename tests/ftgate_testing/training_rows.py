"""Rows of training data, and the findings of one check in them."""

from __future__ import annotations

from pytest_ftgate.gates.training_data_checks import TrainingDataRules, TrainingRow
from pytest_ftgate.suite.training_data import parse_training_row


def rows_of(*values):
    """Return rows from line 1 on; a pair is a question with its answer, a text a question."""
    rows = []
    for line, value in enumerate(values, 1):
        pair = (value,) if isinstance(value, str) else value
        named = zip(("input", "expected"), pair, strict=False)
        raw = value if isinstance(value, dict) else dict(named)
        rows.append(TrainingRow(parse_training_row(line, raw), raw))
    return rows


def found(check, rows, kind, **rules):
    """Return the findings of one kind that *check* has in *rows*."""
    findings = check(rows, TrainingDataRules(**rules))
    return [finding for finding in findings if finding.kind == kind]
