"""Cases and recorded replies of a suite from files of any tool, by the key ``columns``."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, FtgateError, SuiteError, did_you_mean
from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow, Columns, guess_columns
from pytest_ftgate.readers.answers import FORMATS, is_of_tool, read_answers
from pytest_ftgate.readers.inspect import task_of_log
from pytest_ftgate.readers.lm_eval import newest_by_task, sample_files, task_of
from pytest_ftgate.readers.memory import files_in, reads_once
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import TOOL_SUFFIXES, Row, first_object
from pytest_ftgate.readers.text import json_or_text
from pytest_ftgate.suite.declaration import DeclaredColumns
from pytest_ftgate.suite.draft import VariantLocation
from pytest_ftgate.suite.model import Case, Variant

#: Replies are lines of JSON; a table of them is read as answers too.
_REPLY_SUFFIXES = (*TOOL_SUFFIXES, ".csv", ".json")
#: The kinds of scores that read an expected mapping, and those that read it as it is.
_MAPPING_KINDS, _PLAIN_KINDS = ("fields", "tool_call"), ("numeric", "python")


#: The rows of a file by id or by input, as `recorded_answers` returns them.
_Index = Mapping[str, tuple[AnswerRow, ...]]


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


def is_foreign(path: Path) -> bool:
    """Return True if a tool wrote the file of cases *path*, so that no columns need names."""
    if path.is_dir() or path.suffix.lower() in TOOL_SUFFIXES:
        return True
    is_case = not _CASE_KEYS.isdisjoint(first_object(path))
    return path.suffix.lower() in (".json", ".jsonl") and not is_case and is_of_tool(path)


#: The keys of which each line of a file of cases has one.
_CASE_KEYS = frozenset(("input", "messages"))


def case_rows(
    source: Source, path: Path, line: int, declared: DeclaredColumns | None, kind: str, part: str
) -> Iterator[Row]:
    """Yield the cases in a file of another tool for a score of *kind*, each case once.

    *line* is the line of the suite that names the file, and *part* the one of its results, or "".
    Errors go to *source*.
    """
    keys = declared.model_dump(exclude_none=True) if declared else {}
    named = {key: keys[key] for key in ("id", "input", "expected") if key in keys}
    tags = keys.get("tags", ())
    wanted = Columns(by=(tags,) if isinstance(tags, str) else tags, **named)
    try:
        file = read_answers(_named(path, part), wanted, needs_reply=False, errors=source.errors)
    except ConfigurationError as error:
        source.add_error(line, f"cases: {_shown(source, path, error)}")
        return
    except SuiteError as error:
        source.errors.extend(error.errors)
        return
    seen: set[str] = set()
    for row in file.rows:
        if "input" in named and not row.input:
            hint = did_you_mean(named["input"], _keys_at(path, row.line))
            source.add_error(row.line, f'no "{named["input"]}" (columns: input){hint}', path)
            continue
        # Repeated replies to a case, such as epochs, have its id again.
        if not row.id or row.id not in seen:
            seen.add(row.id)
            yield Row(path, row.line, case_value(row.id, row, kind))


def _keys_at(path: Path, line: int) -> list[str]:
    """Return the keys of the object in a *line* of a file; none if it holds no object."""
    with suppress(OSError, ValueError, RecursionError), path.open(encoding="utf-8-sig") as stream:
        value = json.loads(next(islice(stream, line - 1, None), ""))
        return [*value] if isinstance(value, dict) else []
    return []


def recorded_options(written: str, columns: DeclaredColumns | None) -> dict[str, Any]:
    """Return the options of a variant whose replies are *written* as ``FILE`` or ``FILE::PART``."""
    part = written.partition("::")[2]
    named = columns.model_dump(exclude={"tags"}, exclude_none=True) if columns else {}
    return ({"columns": named} if columns else {}) | ({"part": part} if part else {})


def find_recording(
    location: VariantLocation, written: str, asserted: str, options: Mapping[str, Any]
) -> Path | None:
    """Return the file or folder of recorded replies; errors are added at the variant.

    *written* and *options* are as in `recorded_options`, and *asserted* is the format that the
    suite says it has, or "".
    """
    path = location.find_file(written.partition("::")[0], "replies", folders=True)
    # What is wrong with samples is said where they are read.
    is_run = path is not None and path.is_dir() and not sample_files(path)
    if path and (asserted or "part" in options or is_run):
        problem = _recording_problem(location.source, path, options, asserted)
        if problem:
            location.add_error(*problem)
    return path


def _recording_problem(
    source: Source, path: Path, options: Mapping[str, Any], asserted: str
) -> tuple[str, str] | None:
    """Return the key that is wrong, and why; None if the file can be read and is as asserted."""
    if asserted and asserted not in FORMATS:
        hint = did_you_mean(asserted, FORMATS) or f"; known: {', '.join(FORMATS)}"
        return "format", f'format: there is no format "{asserted}"{hint}'
    columns = reply_columns(path, options)
    try:
        tool = recorded_file(path, columns, options.get("part", "")).tool if columns else ""
    except FtgateError as error:
        return "replies", f"replies: {_shown(source, path, error)}"
    if asserted and tool != FORMATS[asserted]:
        own = next((name for name, of in FORMATS.items() if of == tool), "")
        found = tool or ("a table" if columns else "lines of recorded replies")
        remedy = f"write format: {own}" if own else "remove format"
        shown = source.display_path(path)
        return "format", f'format: {shown} is read as "{found}", not as {asserted}; {remedy}'
    return None


def _named(path: Path, part: str) -> str:
    return f"{path}::{part}" if part else str(path)


def _shown(source: Source, path: Path, error: FtgateError) -> str:
    """Return the message of *error* with *path* as the suite names it."""
    return str(error).replace(str(path), os.path.relpath(path, source.path.parent))


def reply_columns(path: Path, options: Mapping[str, Any]) -> Columns | None:
    """Return the columns of a recorded variant's file; None for lines of recorded replies.

    *options* are those of the variant.
    """
    declared = options.get("columns")
    is_log = path.is_dir() or path.suffix.lower() in _REPLY_SUFFIXES or is_samples_file(path)
    is_log = is_log or bool(options.get("part"))
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
    first = first_object(path)
    if not first or "text" in first:
        return False
    return "reply" in guess_columns([*first], ("id", "input", "reply")) or is_of_tool(path)


def is_samples_file(path: Path) -> bool:
    """Return True if lm-evaluation-harness wrote the file *path*, by its name."""
    return path.name.startswith("samples_") and path.suffix == ".jsonl"


def files_of_replies(path: Path) -> tuple[Path, ...]:
    """Return the files that hold recorded replies: *path*, or what is read in this folder."""
    if not path.is_dir():
        return (path,)
    samples = newest_by_task(sample_files(path)).values()
    return (*samples,) or files_in(path)


@reads_once(files=16)
def recorded_file(path: Path, columns: Columns, part: str = "") -> AnswerFile:
    """Return what a file of another tool holds, or *part* of it; cached until it changes.

    Raises:
        FtgateError: the file cannot be read.
    """
    return read_answers(_named(path, part), columns)


def recorded_answers(path: Path, options: Mapping[str, Any]) -> _Index | None:
    """Return the rows of a file by id, or by input if they have no ids.

    *options* are those of the variant. None for lines of recorded replies.

    Raises:
        FtgateError: the file cannot be read.
    """
    columns = reply_columns(path, options)
    if columns is None:
        return None
    index = defaultdict[str, list[AnswerRow]](list)
    for row in recorded_file(path, columns, options.get("part", "")).rows:
        index[row.id or row.input.strip()].append(row)
    return {key: tuple(rows) for key, rows in index.items()}


def runs_of_files(variants: Collection[Variant]) -> int:
    """Return the most runs of a task, if all *variants* are what runners of agents recorded; or 1.

    Other files may hold several replies to a case by mistake.
    """
    most = 1
    for variant in variants:
        file = file_of_runs(variant)
        if file is None or file.unit == "case":
            return 1
        most = max([most, *Counter(row.id for row in file.rows).values()])
    return most


def file_of_runs(variant: Variant) -> AnswerFile | None:
    """Return what another tool recorded for *variant*; None for other replies."""
    # The requests that read a file say what is wrong with it.
    with suppress(FtgateError, OSError):
        columns = variant.replies and reply_columns(variant.replies, variant.options)
        if variant.replies and columns:
            return recorded_file(variant.replies, columns, variant.options.get("part", ""))
    return None


def rows_of_case(index: _Index, case: Case) -> tuple[AnswerRow, ...]:
    """Return the rows of *case* that can be scored."""
    states = "score" if case.score.kind == "recorded" else "reply"
    return tuple(row for row in _all_rows(index, case) if getattr(row, states) is not None)


def missing_runs(index: _Index, case: Case) -> tuple[str, ...]:
    """Return how the runs of *case* ended that cannot be scored, in the words of their runner."""
    runs = (row.run for row in _all_rows(index, case) if row.score is None and row.run)
    return tuple(dict.fromkeys(run.status[:_MAX_STATUS] for run in runs if run.status))


#: The most characters of a status that are shown.
_MAX_STATUS = 40


def _all_rows(index: _Index, case: Case) -> tuple[AnswerRow, ...]:
    # A file of one task has the ids of its samples alone.
    own_id = case.id.removeprefix(f"{case.skill}/")
    return index.get(case.id) or index.get(own_id) or index.get(case.input_text.strip(), ())
