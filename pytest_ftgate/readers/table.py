"""Rows of `.jsonl`, `.json`, `.csv` and `.yaml` files, each with its line, and of Parquet files."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.source import Source, declared_keys, validation_message
from pytest_ftgate.readers.text import replace_in_json
from pytest_ftgate.readers.yaml import Document, KeyPath, read_yaml

#: Files that only a reader of answers can read, since other tools write them.
TOOL_SUFFIXES = (".tsv", ".parquet", ".eval")
_CONFLICT_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")
_CONFLICT_LINE = re.compile(f"^(?:{'|'.join(_CONFLICT_MARKERS)})", re.MULTILINE)
_SEPARATOR = re.compile(r"\s*,?\s*")
_Model = TypeVar("_Model", bound=BaseModel)
#: The delimiters of files that are called CSV.
_DELIMITERS = ",;\t|"
#: The first line by which Excel knows the delimiter.
_STATED_DELIMITER = re.compile(r"sep=(.)\n")
_QUOTED = re.compile(r'"[^"]*"')
_CONFLICT = "a version-control conflict marker; resolve the conflict"


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        path: the file.
        line: the line of the row, counted from 1.
        value: the parsed value.
        raw: the text of each scalar as written, by its keys within the row; YAML only.
    """

    path: Path
    line: int
    value: Any
    raw: Mapping[KeyPath, str] = {}


def first_object(path: Path) -> Mapping[str, Any]:
    """Return the object in the first line of *path* that is not empty; {} if it holds none."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            first = json.loads(next(filter(str.strip, stream), "{}"))
    # The reader of its rows says what is wrong with it.
    except (OSError, ValueError, RecursionError):
        return {}
    return first if isinstance(first, Mapping) else {}


def validate_row(
    source: Source, row: Row, model: type[_Model], what: str, context: Any = None
) -> _Model | None:
    """Return the value of *row* as a *model*, or None after adding its errors at its line.

    *what* is the noun for the row in messages, and *context* what the validators of *model* read.
    """
    try:
        return model.model_validate(row.value, context=context)
    except ValidationError as error:
        for detail in error.errors():
            raw = row.raw.get(tuple(detail["loc"]))
            message = validation_message(detail, declared_keys(model), raw)
            source.add_error(row.line, f"in a {what}: {message}", row.path)
    return None


def read_rows(
    source: Source, path: Path, line: int = 0, what: str = "cases", form: str = ""
) -> Iterator[Row]:
    """Yield the rows of one file; a broken line becomes an error, and reading goes on.

    *line* is the line of the suite that names the file, *what* the noun for the rows in messages,
    *form* the suffix of what the file holds, by default its own.
    """
    suffix = form or path.suffix
    if suffix not in (*_LINE_READERS, *_TEXT_READERS):
        more = ", .tsv, .parquet" * (what == "cases")
        problem = f"{path.suffix or 'no'} suffix; use .jsonl, .json, .csv{more} or .yaml"
        source.add_error(line, f"{what}: {path.name}: {problem}")
        return
    if suffix in _LINE_READERS:
        lines = source.read_lines(path, line, what)
        yield from _LINE_READERS[suffix](source, path, lines)
    elif (text := source.read_text(path, line, what)) is not None:
        yield from _TEXT_READERS[suffix](source, path, text)


def _read_jsonl(source: Source, path: Path, lines: Iterable[str]) -> Iterator[Row]:
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first, broken = next(numbered, (1, "")), 0
    if first[1].lstrip().startswith("["):
        remedy = "name the file .json, or write one object in each line"
        source.add_error(1, f"the file holds a list, as .json files do; {remedy}", path)
        return
    for number, line in chain([first] if first[1] else [], numbered):
        try:
            value = _decoder.decode(line.removesuffix("\n"))
            # Only an escape can hold a lone surrogate.
            value = replace_in_json(value) if "\\u" in line else value
        except (ValueError, RecursionError) as error:
            source.add_error(number, _line_problem(line, error), path)
            broken += 1
            if source.limits.problem_of_cases(broken):
                return
            continue
        # The first row of a data file may describe the file instead of being a row.
        if number == 1 and isinstance(value, dict) and "about" in value:
            continue
        yield Row(path, number, value)


def _line_problem(line: str, error: ValueError | RecursionError) -> str:
    if line.startswith(_CONFLICT_MARKERS):
        return _CONFLICT
    comma = "a comma follows the object; remove it" * line.rstrip().endswith("},")
    return f"not JSON: {comma or _json_problem(error)}"


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the JSON object of *pairs*; raise ValueError for a repeated key."""
    # Rows have the same keys, which share their memory.
    value = {intern(key): item for key, item in pairs}
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'key "{repeated}" appears here twice; keep one')
    return value


_decoder = json.JSONDecoder(object_pairs_hook=_object_of)


def _json_problem(error: ValueError | RecursionError) -> str:
    # Errors of other kinds say themselves what to write.
    remedy = "write a whole object, with keys and texts in double quotes"
    found = f"{error}; {remedy}" if isinstance(error, json.JSONDecodeError) else str(error)
    return "nested too deeply" if isinstance(error, RecursionError) else found


def _read_json(source: Source, path: Path, text: str) -> Iterator[Row]:
    """Yield the items of a list, decoded one by one so that each has its line."""
    if _has_conflicts(source, path, text):
        return
    position = _skip_separator(text, 0)
    if not text.startswith("[", position):
        remedy = "write [{…}, {…}], or name the file .jsonl if each line is an object"
        source.add_error(1, f"a .json file is a list of rows: {remedy}", path)
        return
    line, counted, position = 1, 0, _skip_separator(text, position + 1)
    has_escapes = "\\u" in text
    while not text.startswith("]", position):
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = _decoder.raw_decode(text, position)
            value = replace_in_json(value) if has_escapes else value
        except (ValueError, RecursionError) as error:
            error_line = getattr(error, "lineno", line)
            source.add_error(error_line, f"not JSON: {_json_problem(error)}", path)
            return
        yield Row(path, line, value)
        position = _skip_separator(text, end)
    if text[position:].strip() != "]":
        source.add_error(line, "not JSON: there is text after the end of the list", path)


def _skip_separator(text: str, position: int) -> int:
    """Return the position of the next item."""
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position


def _has_conflicts(source: Source, path: Path, text: str) -> bool:
    """Return True if the file holds conflict markers, after adding an error for each."""
    found = [match.start() for match in _CONFLICT_LINE.finditer(text)]
    for start in found:
        source.add_error(text.count("\n", 0, start) + 1, _CONFLICT, path)
    return bool(found)


def _read_csv(source: Source, path: Path, lines: Iterable[str]) -> Iterator[Row]:
    for row in read_delimited(source, path, lines):
        yield row._replace(value=_row_value(row.value))


def read_delimited(source: Source, path: Path, lines: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a table with a header: each value is the text of a cell, or None.

    A broken row of *lines*, and a column that stands there twice, become errors of *source*.
    """
    # Strict, because an unclosed quote would swallow the rows after it.
    head = next(rest := iter(lines), "")
    stated = _STATED_DELIMITER.match(head)
    above, head = int(bool(stated)), next(rest, "") if stated else head
    rows, delimiter = chain([head] * bool(head), rest), stated[1] if stated else _delimiter(head)
    reader = csv.DictReader(rows, delimiter=delimiter, strict=True)
    end = broken = 0
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        # pandas writes its numbers of rows, or names, into a first column without a name.
        reader.fieldnames = [name or "Unnamed: 0" * (n == 0) for n, name in enumerate(names)]
        end = 1 + above  # the header
        for name in sorted({name for name in names if name and names.count(name) > 1}):
            remedy = "rename one, or name the .json file of a tool that writes both"
            source.add_error(1, f'two columns are called "{name}"; {remedy}', path)
        for record in reader:
            end = reader.line_num + above
            cells = [cell for cell in record.values() if isinstance(cell, str) and cell]
            line = end - sum(cell.count("\n") for cell in cells)
            if None in record:
                source.add_error(line, _MORE_CELLS, path)
                broken += 1
                if source.limits.problem_of_cases(broken):
                    return
            elif cells and cells[0].startswith(_CONFLICT_MARKERS):
                source.add_error(line, _CONFLICT, path)
            elif cells:
                yield Row(path, line, {name: cell or None for name, cell in record.items()})
    except csv.Error as error:
        source.add_error(*_csv_problem(error, end, max(reader.line_num, 1) + above), path)


#: A row with more cells than columns.
_MORE_CELLS = "more cells than the header has columns: quote the text that holds the delimiter"


def _delimiter(head: str) -> str:
    """Return what separates the columns: what stands in the header most often, but in quotes."""
    return max(_DELIMITERS, key=_QUOTED.sub("", head).count)


def _csv_problem(error: csv.Error, end: int, line: int) -> tuple[int, str]:
    """Return the line and the message for a table that cannot be read.

    *end* is the last line of the last good row, and *line* the one where reading stopped.
    """
    if "unexpected end" in str(error):
        return end + 1, 'not CSV: a quote opens here and is not closed; close it with "'
    return line, f'not CSV: {error}; write a quote within quoted text twice: ""'


def _row_value(record: Mapping[str, str | None]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for column, cell in record.items():
        if not cell:
            continue
        if column.startswith("vars."):
            value.setdefault("vars", {})[column.removeprefix("vars.")] = cell
        elif column == "tags":
            value["tags"] = cell.replace(",", " ").split()
        else:
            value[column] = _cell_value(column, cell)
    return value


def _cell_value(column: str, cell: str) -> Any:
    """Return the typed value of a cell, or its text for the validation to report."""
    if column in ("must_pass", "holdout"):
        return {"true": True, "false": False}.get(cell.strip().lower(), cell)
    try:
        return _NUMBERS[column](cell) if column in _NUMBERS else cell
    except ValueError:
        return cell


#: How the columns of numbers are read.
_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "max_tokens": int,
    "difficulty": int,
    "weight": float,
}


def _read_yaml_rows(source: Source, path: Path, text: str) -> Iterator[Row]:
    if _has_conflicts(source, path, text):
        return
    document = read_yaml(text, source.display_path(path))
    source.errors.extend(document.errors)
    if isinstance(document.value, list):
        yield from rows_at(path, document, ())
    elif document.value is not None:
        source.add_error(1, "a .yaml file is a list of rows", path)


def rows_at(path: Path, document: Document, key_path: KeyPath) -> Iterator[Row]:
    """Yield the items of the list at *key_path* of a YAML document."""
    value: Any = document.value
    for key in key_path:
        value = value[key]
    depth = len(key_path)
    raw: dict[KeyPath, dict[KeyPath, str]] = defaultdict(dict)
    for scalar_path, text in document.raw.items():
        raw[scalar_path[: depth + 1]][scalar_path[depth + 1 :]] = text
    for index, item in enumerate(value):
        item_path = (*key_path, index)
        yield Row(path, document.line(item_path), item, raw[item_path])


#: The readers of files line by line, however large the file is.
_LINE_READERS: Mapping[str, Callable[[Source, Path, Iterable[str]], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
}
_TEXT_READERS: Mapping[str, Callable[[Source, Path, str], Iterator[Row]]] = {
    ".json": _read_json,
    ".yaml": _read_yaml_rows,
    ".yml": _read_yaml_rows,
}


# Parquet ------------------------------------------------------------------------------------------


def read_parquet(path: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file, with the names of labels in place of their numbers.

    *name* is the file in messages.

    Raises:
        ConfigurationError: the file cannot be read, or pyarrow, which reads it, is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        remedy = "pip install pyarrow, or save the table as .jsonl or .csv"
        raise ConfigurationError(f"{name}: a .parquet file needs pyarrow: {remedy}") from error
    try:
        with ParquetFile(path) as file:
            labels = _labels(file.schema_arrow.metadata or {})
            return [
                replace_in_json({key: _plain(value, labels.get(key)) for key, value in row.items()})
                for row in _parquet_rows(file, name, path.stat().st_size)
            ]
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{name} is no Parquet file: {error}") from error


#: The most bytes that a table unpacks to, and how many times its size if that is more.
_MAX_BYTES, _MAX_RATIO = 500_000_000, 20
#: The bytes, and the rows, that are unpacked at once.
_BATCH_BYTES, _BATCH_ROWS = 64_000_000, 1_000


def _parquet_rows(file: Any, name: str, packed: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of *file*: a text of a dictionary may stand for millions of rows."""
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    columns = (group.column(n) for group in groups for n in range(group.num_columns))
    largest = max((column.total_uncompressed_size for column in columns), default=0)
    at_once, most = _BATCH_BYTES // max(largest, 1), max(_MAX_BYTES, _MAX_RATIO * packed)
    read = 0
    for batch in file.iter_batches(batch_size=min(max(at_once, 1), _BATCH_ROWS)):
        rows = batch.to_pylist()
        # Not its bytes in Arrow: there, equal texts share one.
        read += sum(map(_weight, rows))
        if read > most:
            raise ConfigurationError(
                f"{name} has {packed / 1e6:,.0f} MB and unpacks to more than {most / 1e6:,.0f} MB; "
                "write fewer rows, or the columns that are read alone"
            )
        yield from rows


def _weight(value: Any) -> int:
    """Return about how many bytes *value* takes."""
    if isinstance(value, str | bytes):
        return len(value)
    inner = value.values() if isinstance(value, Mapping) else value
    return sum(map(_weight, inner)) if isinstance(value, Mapping | list) else 8


def _labels(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of the classes of each column of labels, which are stored as numbers."""
    info = json.loads(metadata.get(b"huggingface", b"{}")).get("info") or {}
    features = info.get("features") or {}
    return {
        name: keys["names"]
        for name, keys in features.items()
        if isinstance(keys, Mapping) and keys.get("_type") == "ClassLabel" and keys.get("names")
    }


def _plain(value: Any, labels: list[str] | None) -> Any:
    """Return a value as JSON has it; a picture or a sound has no text."""
    if labels is not None and isinstance(value, int) and 0 <= value < len(labels):
        return labels[value]
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, None) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, None) for inner in value]
    is_plain = value is None or isinstance(value, str | int | float | bool)
    return value if is_plain else None if isinstance(value, bytes) else str(value)
