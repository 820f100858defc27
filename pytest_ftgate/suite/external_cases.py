"""Cases and recorded replies of a suite from files of any tool, by the key ``columns``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns, guess_columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.inspect import task_of_log
from pytest_ftgate.readers.lm_eval import newest_by_task, sample_files, task_of
from pytest_ftgate.readers.memory import reads_once
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import TOOL_SUFFIXES, Row
from pytest_ftgate.readers.text import json_or_text
from pytest_ftgate.suite.declaration import DeclaredColumns
from pytest_ftgate.suite.model import Case

#: Replies are lines of JSON; a table of them is read as answers too.
_REPLY_SUFFIXES = (*TOOL_SUFFIXES, ".csv", ".json")
#: The kinds of scores that read an expected mapping, and those that read it as it is.
_MAPPING_KINDS, _PLAIN_KINDS = ("fields", "tool_call"), ("numeric", "python")


def case_value(case_id: str, row: AnswerRow, kind: str) -> dict[str, Any]:
    """Return a row as a line of a file of cases, for a score of *kind*."""
    expected = _expected(row.expected, kind)
    keys = {"id": case_id, "input": row.input or case_id, "expected": expected}
    value = {key: text for key, text in keys.items() if text not in (None, "")}
    return value | ({"tags": list(row.tags)} if row.tags else {})


def _expected(value: Any, kind: str) -> Any:
    """Return an expected answer as a score of *kind* reads it."""
    if isinstance(value, list | tuple):
        # An empty list of answers is no answer.
        return [_expected(answer, kind) for answer in value] or None
    if kind in _MAPPING_KINDS and isinstance(value, str) and value.lstrip().startswith("{"):
        return json_or_text(value)
    is_read = kind in _PLAIN_KINDS and not isinstance(value, bool)
    if value is None or isinstance(value, str) or is_read:
        return value
    if isinstance(value, Mapping) and kind in _MAPPING_KINDS:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def log_cases(
    source: Source, path: Path, line: int, tool: str
) -> Iterator[tuple[AnswerRow, dict[str, Any]]]:
    """Yield each case of a log of *tool* once, with its row: the tasks are skills.

    The scores of the log count as they are. *line* is the line of the suite that names the file.
    Errors go to *source*.
    """
    try:
        log = read_answers(path, Columns())
    except ConfigurationError as error:
        source.add_error(line, f"forgetting: skills: {error}")
        return
    except SuiteError as error:
        source.errors.extend(error.errors)
        return
    if not log.tool.lower().startswith(_TOOL_NAMES[tool]):
        found = log.tool or "a table"
        source.add_error(line, f"forgetting: skills: {path.name}: {found}, not {tool}")
    elif all(row.score is None for row in log.rows):
        source.add_error(line, f"forgetting: skills: {path.name} has no scores; log samples")
    else:
        yield from _cases_of_log(path, log.rows)


#: How the format of a tool begins, by the key of its logs in a suite.
_TOOL_NAMES = {"lm-eval": "lm-evaluation-harness", "inspect": "inspect"}


def _cases_of_log(
    path: Path, rows: tuple[AnswerRow, ...]
) -> Iterator[tuple[AnswerRow, dict[str, Any]]]:
    seen: set[str] = set()
    name = task_of(path) if is_samples_file(path) else task_of_log(path)
    for row in rows:
        # The samples of a folder have the name of their task in their ids.
        skill = row.id.partition("/")[0] if path.is_dir() else name
        key = row.id if path.is_dir() else f"{skill}/{row.id or row.line}"
        if key not in seen:
            seen.add(key)
            more = {"choices": row.choices} if row.choices > 1 else {}
            yield row, case_value(key, replace(row, tags=()), "python") | {"skill": skill} | more


def case_rows(
    source: Source, path: Path, line: int, declared: DeclaredColumns | None, kind: str
) -> Iterator[Row]:
    """Yield the cases in a file of another tool for a score of *kind*, each case once.

    *line* is the line of the suite that names the file. Errors go to *source*.
    """
    keys = declared.model_dump(exclude_none=True) if declared else {}
    named = {key: keys[key] for key in ("id", "input", "expected") if key in keys}
    tags = keys.get("tags", ())
    wanted = Columns(by=(tags,) if isinstance(tags, str) else tags, **named)
    try:
        rows = read_answers(path, wanted, needs_reply=False).rows
    except ConfigurationError as error:
        source.add_error(line, f"cases: {error}")
        return
    except SuiteError as error:
        source.errors.extend(error.errors)
        return
    seen: set[str] = set()
    for row in rows:
        # Repeated replies to a case, such as epochs, have its id again.
        if not row.id or row.id not in seen:
            seen.add(row.id)
            yield Row(path, row.line, case_value(row.id, row, kind))


def reply_columns(path: Path, options: Mapping[str, Any]) -> Columns | None:
    """Return the columns of a recorded variant's file; None for lines of recorded replies.

    *options* are those of the variant.
    """
    declared = options.get("columns")
    is_log = path.is_dir() or path.suffix.lower() in _REPLY_SUFFIXES or is_samples_file(path)
    if declared is None and not is_log and not (path.is_file() and _has_other_columns(path)):
        return None
    keys = declared or {}
    # The ids pair the replies with the cases; without ids the inputs do.
    by_input = {} if keys.get("id") else {"input": keys.get("input", "")}
    named = {key: keys.get(key, "") for key in ("id", "reply", "score")}
    return Columns(**named, **by_input)


@reads_once(files=16)
def _has_other_columns(path: Path) -> bool:
    """Return True if the first line of *path* has the reply under another name than ``text``."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            first = json.loads(next(filter(str.strip, stream), "{}"))
    # The reader of recorded replies says what is wrong with the line.
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(first, Mapping) or "text" in first:
        return False
    return "reply" in guess_columns([*first], ("id", "input", "reply"))


def is_samples_file(path: Path) -> bool:
    """Return True if lm-evaluation-harness wrote the file *path*, by its name."""
    return path.name.startswith("samples_") and path.suffix == ".jsonl"


def files_of_replies(path: Path) -> tuple[Path, ...]:
    """Return the files that hold recorded replies: *path*, or what is read in this folder."""
    if not path.is_dir():
        return (path,)
    samples = newest_by_task(sample_files(path)).values()
    # Runners of agents write a file for each trial, or for each run.
    return (*samples,) or (*sorted(path.glob("*.json*")), *sorted(path.glob("*/*.json*")))


@reads_once(files=16)
def recorded_answers(path: Path, columns: Columns) -> Mapping[str, tuple[AnswerRow, ...]]:
    """Return the rows of a file by id, or by input if they have no ids; cached until it changes.

    Raises:
        FtgateError: the file cannot be read.
    """
    index = defaultdict[str, list[AnswerRow]](list)
    for row in read_answers(path, columns).rows:
        index[row.id or row.input.strip()].append(row)
    return {key: tuple(rows) for key, rows in index.items()}


def rows_of_case(index: Mapping[str, tuple[AnswerRow, ...]], case: Case) -> tuple[AnswerRow, ...]:
    """Return the rows of *case* that can be scored, of those that `recorded_answers` returns."""
    # A file of one task has the ids of its samples alone.
    own_id = case.id.removeprefix(f"{case.skill}/")
    rows = index.get(case.id) or index.get(own_id) or index.get(case.input_text.strip(), ())
    states = "score" if case.score.kind == "recorded" else "reply"
    return tuple(row for row in rows if getattr(row, states) is not None)
