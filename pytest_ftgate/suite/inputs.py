"""Inputs without an expected answer: what production was asked, to compare two variants on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.readers.table import Row
from pytest_ftgate.suite.cases import to_cases
from pytest_ftgate.suite.declaration import DeclaredInputs
from pytest_ftgate.suite.draft import SuiteDraft
from pytest_ftgate.suite.model import INSTRUCTION, Case, Inputs, input_digest
from pytest_ftgate.suite.pair_labels import read_pair_labels
from pytest_ftgate.suite.rule import Rule

#: The keys of a case that an input may have.
_KEYS = ("id", "input", "messages", "vars", "tags", "language", "max_tokens")
#: Returns the rows of a file of cases.
ReadRows = Callable[[Path], Iterable[Row]]


def resolve_inputs(draft: SuiteDraft, declared: str | DeclaredInputs, read: ReadRows) -> Inputs:
    """Return the inputs that a suite declares. Errors go to its source."""
    named = {"from": declared} if isinstance(declared, str) else declared
    keys = DeclaredInputs.model_validate(named)
    source, line = draft.source, draft.source.line("inputs")
    error_count = len(source.errors)
    paths = source.find_files(keys.source, line, "inputs")
    rows = [row for path in paths for row in read(path) if _is_input(draft, row)]
    # The suite's score would ask judges and call functions, and an input expects nothing.
    reply = replace(draft.reply, score=Rule("exact"))
    cases = to_cases(source, rows, reply)
    left = _without_cases(draft, cases, line)
    if not left and len(source.errors) == error_count:
        problem = "all of them are cases too" if cases else f"{keys.source} holds no input"
        source.add_error(line, f"inputs: {problem}; write what production was asked")
    name = source.path.name.removesuffix(".ftgate.yaml")
    labels_path = source.path.with_name(f"{name}.pairs.jsonl")
    return Inputs(
        line=line,
        cases=left,
        score=draft.reply.score,
        labels=read_pair_labels(source, labels_path),
        labels_path=labels_path,
        instruction=keys.instruction or INSTRUCTION,
        most_labels=keys.labels,
    )


def _is_input(draft: SuiteDraft, row: Row) -> bool:
    """Return True unless *row* has a key that only a case has; adds the error."""
    if not isinstance(row.value, dict):
        return True
    other = [key for key, value in row.value.items() if key not in _KEYS and value is not None]
    if not other:
        return True
    known = ", ".join(_KEYS)
    why = "it belongs into cases" if "expected" in other else f"an input has {known}"
    draft.source.add_error(row.line, f'an input has no "{other[0]}": {why}', row.path)
    return False


def _without_cases(draft: SuiteDraft, inputs: tuple[Case, ...], line: int) -> tuple[Case, ...]:
    """Return *inputs* without those that are cases as well, which would count twice."""
    known = {input_digest(case) for case in draft.cases}
    left = tuple(case for case in inputs if input_digest(case) not in known)
    if count := len(inputs) - len(left):
        verb = "input is a case" if count == 1 else "inputs are cases"
        draft.source.add_warning(line, f"inputs: {count:,} {verb} as well, and left out here")
    return left
