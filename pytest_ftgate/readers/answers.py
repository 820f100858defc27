"""Read a file of answers: a table, or what a tool for evaluations writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import (
    ConfigurationError,
    Diagnostic,
    FtgateError,
    SuiteError,
    did_you_mean,
)
from pytest_ftgate.paths import exists, is_link, names_beside
from pytest_ftgate.readers.answer_rows import (
    AnswerFile,
    Columns,
    RawFile,
    ToolFormat,
    guess_columns,
    read_table,
    read_tool,
)
from pytest_ftgate.readers.eval_reports import DEEPEVAL, PYDANTIC_EVALS
from pytest_ftgate.readers.eval_samples import BATCH, EVERY_EVAL, HELM
from pytest_ftgate.readers.file_limits import read_here
from pytest_ftgate.readers.harbor import HARBOR, trials_in
from pytest_ftgate.readers.inspect import INSPECT, read_archive
from pytest_ftgate.readers.lm_eval import LM_EVAL, newest_by_task, sample_files
from pytest_ftgate.readers.openai_evals import OPENAI_EVENTS, OPENAI_ITEMS
from pytest_ftgate.readers.promptfoo import PROMPTFOO_RESULTS
from pytest_ftgate.readers.skill_creator import SKILL_CREATOR
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.swe_bench import SWE_BENCH, reports_in
from pytest_ftgate.readers.table import Row, read_delimited, read_parquet, read_rows
from pytest_ftgate.readers.terminal_bench import TERMINAL_BENCH, runs_in
from pytest_ftgate.readers.text import replace_in_json, values_checked

#: What may be compared: a path, or rows as mappings.
Answers = str | os.PathLike[str] | Sequence[Mapping[str, Any]]
_SUFFIXES = ".jsonl, .json, .csv, .tsv, .parquet or .eval"


def read_answers(
    answers: Answers,
    columns: Columns,
    name: str = "",
    *,
    needs_reply: bool = True,
    errors: list[Diagnostic] | None = None,
) -> AnswerFile:
    """Return the answers in a file, or in *answers* themselves.

    *name* stands for rows that have no file. ``PATH::PART`` reads one of the results in a file
    that holds several. Without *needs_reply* a table may hold cases alone. Lines that cannot be
    read are added to *errors* where it is given, and the others are read.

    Raises:
        ConfigurationError: the file cannot be used; the message holds the remedy.
        SuiteError: lines of the file cannot be read.
    """
    given = os.fspath(answers) if isinstance(answers, str | os.PathLike) else ""
    read = partial(_read_answers, answers, columns, name, errors, needs_reply=needs_reply)
    return read_here(read, given or name, [Path(given.partition("::")[0])] if given else [])


def with_short_names(files: Sequence[AnswerFile]) -> tuple[AnswerFile, ...]:
    """Return *files* with the names of the files alone, where these differ."""
    parts = (file.name.partition("::")[1:] for file in files)
    names = [file.path.name + "".join(part) for file, part in zip(files, parts, strict=True)]
    if len({*names}) < len(names) or not all(names):
        return tuple(files)
    return tuple(replace(file, name=name) for file, name in zip(files, names, strict=True))


def is_of_tool(path: Path) -> bool:
    """Return True if *path* holds what a tool for evaluations wrote, in a format of its own."""
    if path.is_dir():
        return True
    try:
        raw = _read_raw(path, "", Columns())
    # The reader of its rows says what is wrong with it.
    except (FtgateError, OSError):
        return False
    return any(_is_of(tool, raw) for tool in _TOOLS)


def _is_of(tool: ToolFormat, raw: RawFile) -> bool:
    try:
        with values_checked(raw.name):
            return tool.find(raw) is not None
    # Only its own format makes a tool say what is wrong with a file.
    except ConfigurationError:
        return True


def _read_answers(
    answers: Answers,
    columns: Columns,
    name: str,
    errors: list[Diagnostic] | None,
    *,
    needs_reply: bool,
) -> AnswerFile:
    folder = _folder(answers)
    raw = _gathered(folder, columns) if folder else None
    if folder and raw is None:
        return _checked(_read_samples(folder.path, columns), columns)
    raw = raw or _read_raw(answers, name, columns, errors)
    if not raw.rows and raw.document is None:
        raise ConfigurationError(f"{raw.name} has no rows")
    for tool in _TOOLS:
        with values_checked(raw.name):
            answer_file = read_tool(raw, columns, tool)
        if answer_file is not None:
            return _checked(answer_file, columns)
    if raw.document is not None:
        raw = _with_listed_rows(raw, raw.document)
    return read_table(raw, columns, needs_reply=needs_reply)


def _with_listed_rows(raw: RawFile, document: Mapping[str, Any]) -> RawFile:
    """Return the rows that *document* lists: under its one key of such a list, or by their ids.

    Raises:
        ConfigurationError: it holds no such list, or several and the user names none of them.
    """
    lists = {key: value for key, value in document.items() if _is_list_of_objects(value)}
    if raw.part in lists:
        return replace(raw, rows=_rows_of(raw, lists[raw.part]), part="")
    if len(lists) == 1:
        return replace(raw, rows=_rows_of(raw, *lists.values()))
    if lists:
        remedy = f"name one of them: {raw.path}::{next(iter(lists))}"
        raise ConfigurationError(f"{raw.name} holds several lists: {', '.join(lists)}; {remedy}")
    by_id = [{"id": k, **v} for k, v in document.items() if isinstance(v, Mapping)]
    # Figures of whole models or tasks have no replies.
    roles = guess_columns([*by_id[0]], ("reply", "expected")) if by_id else {}
    if len(by_id) == len(document) and "reply" in roles:
        return replace(raw, rows=_rows_of(raw, by_id))
    keys = ", ".join([*document][:8]) or "none"
    raise ConfigurationError(
        f"{raw.name} is a JSON object of no known tool (keys: {keys}); write a list of rows, "
        'such as [{"id": "1", "expected": "4", "reply": "4"}]'
    )


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _rows_of(raw: RawFile, values: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row(raw.path, number, value) for number, value in enumerate(values, start=1))


#: The formats of tools. Their files differ, so the order does not matter.
_TOOLS = (
    *(LM_EVAL, INSPECT, PROMPTFOO_RESULTS, OPENAI_ITEMS, OPENAI_EVENTS),
    *(DEEPEVAL, PYDANTIC_EVALS, HELM, EVERY_EVAL, BATCH),
    *(HARBOR, TERMINAL_BENCH, SKILL_CREATOR, SWE_BENCH),
)
#: The formats of runners of agents and of harnesses, by the names that a suite may assert.
FORMATS: Mapping[str, str] = {
    "harbor": HARBOR.name,
    "terminal-bench": TERMINAL_BENCH.name,
    "skill-creator": SKILL_CREATOR.name,
    "swe-bench": SWE_BENCH.name,
    "promptfoo": PROMPTFOO_RESULTS.name,
    "inspect": INSPECT.name,
    "lm-eval": LM_EVAL.name,
}
#: What gathers the results in a folder that a runner of agents wrote, each by other names.
_FOLDERS = (trials_in, runs_in, reports_in)


def _folder(answers: Answers) -> RawFile | None:
    """Return the folder that *answers* name, or None."""
    if not isinstance(answers, str | os.PathLike):
        return None
    written, _, part = os.fspath(answers).partition("::")
    path = Path(written)
    return RawFile(path, os.fspath(answers), part=part) if path.is_dir() else None


def _gathered(folder: RawFile, columns: Columns) -> RawFile | None:
    """Return the results in *folder*; None if no runner of agents wrote it."""
    with values_checked(folder.name):
        found = next(filter(None, (gather(folder) for gather in _FOLDERS)), None)
    # Of a folder that is one file, the file is read.
    if found is None or found.path == folder.path:
        return found
    rows = _read_raw(found.path, "", columns).rows
    return replace(folder, rows=rows)


def _read_samples(path: Path, columns: Columns) -> AnswerFile:
    """Return the newest samples of each task below a folder that lm-evaluation-harness wrote.

    Raises:
        ConfigurationError: it holds none, or those of several models.
    """
    paths = sample_files(path)
    if not paths:
        raise ConfigurationError(
            f"{path} is a folder; name a file that ends in {_SUFFIXES}, or a folder with the "
            "results of one job, run or model"
        )
    folders = sorted({str(file.parent) for file in paths})
    if len(folders) > 1:
        raise ConfigurationError(f"{path} holds several results; name one of {', '.join(folders)}")
    newest = newest_by_task(paths)
    files = {task: read_answers(file, columns) for task, file in newest.items()}
    rows = [
        replace(row, id=f"{task}/{row.id}", tags=row.tags or (task,))
        for task, file in files.items()
        for row in file.rows
    ]
    first = next(iter(files.values()))
    scores = dict.fromkeys(file.columns.get("score", "") for file in files.values())
    used = {**first.columns} | ({"score": ", ".join(filter(None, scores))} if any(scores) else {})
    return replace(
        first,
        path=path,
        name=str(path),
        rows=tuple(rows),
        columns={"tags": "task", **used},
        notes=tuple(dict.fromkeys(note for file in files.values() for note in file.notes)),
    )


def _checked(answer_file: AnswerFile, columns: Columns) -> AnswerFile:
    """Return *answer_file* if it has rows, and tags where the user wants them."""
    if not answer_file.rows:
        raise ConfigurationError(f"{answer_file.name} has no samples: did the evaluation end?")
    if columns.by and not any(row.tags for row in answer_file.rows):
        paths = ", ".join(columns.by)
        raise ConfigurationError(f"{answer_file.name}: --by: no sample has a value of {paths}")
    return answer_file


def _read_raw(
    answers: Answers, name: str, columns: Columns, errors: list[Diagnostic] | None = None
) -> RawFile:
    if not isinstance(answers, str | os.PathLike):
        raw = RawFile(Path(name), name)
        return replace(raw, rows=_rows_of(raw, map(dict, answers)))
    written, _, part = os.fspath(answers).partition("::")
    path = Path(written)
    if not exists(path) and is_link(path):
        raise ConfigurationError(f"{written} is a link to {path.readlink()}, which is not there")
    if not exists(path):
        hint = did_you_mean(path.name, names_beside(path))
        raise ConfigurationError(f"there is no file {written}{hint}")
    read = _READERS.get(path.suffix.lower())
    if read is None:
        what = f"a {path.suffix or 'nameless'} file"
        raise ConfigurationError(f"{written} is {what}; name a file that ends in {_SUFFIXES}")
    source = Source(root=path.parent, path=path)
    content = read(source, written, columns)
    document = content if isinstance(content, Mapping) else None
    rows = () if isinstance(content, Mapping) else tuple(content)
    if source.errors and (errors is None or not rows):
        raise SuiteError(written, source.errors)
    if errors is not None:
        errors.extend(source.errors)
    return RawFile(path, os.fspath(answers), rows, document, part)


#: The rows of a file, or the one object that it holds.
_Content = Iterable[Row] | Mapping[str, Any]


def _read_lines(source: Source, name: str, _: Columns, form: str = "") -> Iterator[Row]:
    """Yield the rows of a `.jsonl` file, or of a list in a `.json` file.

    *form* is the suffix of what the file holds, where its own is another.
    """
    for row in read_rows(source, source.path, what=name, form=form):
        if isinstance(row.value, Mapping):
            yield row
        else:
            source.add_error(row.line, 'a row is an object, such as {"id": "1", "reply": "4"}')


def _read_json(source: Source, name: str, columns: Columns) -> _Content:
    text = source.read_text(source.path, 0, "answers")
    if text is None or text.lstrip().startswith("["):
        return () if text is None else _read_lines(source, name, columns)
    try:
        document = json.loads(text)
        document = replace_in_json(document) if "\\u" in text else document
    except (ValueError, RecursionError) as error:
        if str(error).startswith("Extra data"):
            # One object in each line, as in a .jsonl file.
            return _read_lines(source, name, columns, ".jsonl")
        raise ConfigurationError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{name} holds no rows; write a list of objects")
    return document


def _read_cells(source: Source, _: str, __: Columns) -> _Content:
    return read_delimited(source, source.path, source.read_lines(source.path, 0, "answers"))


def _read_columns(source: Source, name: str, _: Columns) -> _Content:
    rows = enumerate(read_parquet(source.path, name), start=1)
    return (Row(source.path, number, row) for number, row in rows)


def _read_log(source: Source, name: str, columns: Columns) -> _Content:
    return read_archive(source.path, name, columns.first_keys)


_READERS: Mapping[str, Callable[[Source, str, Columns], _Content]] = {
    ".jsonl": _read_lines,
    ".ndjson": partial(_read_lines, form=".jsonl"),
    ".json": _read_json,
    ".csv": _read_cells,
    ".tsv": _read_cells,
    ".parquet": _read_columns,
    ".eval": _read_log,
}
