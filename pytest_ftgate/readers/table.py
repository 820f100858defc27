"""Rows of `.jsonl`, `.json`, `.csv` and `.yaml` files, each with its line, and of Parquet files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
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
    read = _READERS.get(form or path.suffix)
    if read is None:
        more = ", .tsv, .parquet" * (what == "cases")
        problem = f"{path.suffix or 'no'} suffix; use .jsonl, .json, .csv{more} or .yaml"
        source.add_error(line, f"{what}: {path.name}: {problem}")
        return
    text = source.read_text(path, line, what)
    if text is not None:
        yield from read(source, path, text)


def _read_jsonl(source: Source, path: Path, text: str) -> Iterator[Row]:
    if text.lstrip().startswith("["):
        remedy = "name the file .json, or write one object in each line"
        source.add_error(1, f"the file holds a list, as .json files do; {remedy}", path)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if line.startswith(_CONFLICT_MARKERS):
            source.add_error(number, _CONFLICT, path)
            continue
        try:
            value = _decoder.decode(line)
        except (ValueError, RecursionError) as error:
            comma = "a comma follows the object; remove it" * line.rstrip().endswith("},")
            source.add_error(number, f"not JSON: {comma or _json_problem(error)}", path)
            continue
        # The first row of a data file may describe the file instead of being a row.
        if number == 1 and isinstance(value, dict) and "about" in value:
            continue
        yield Row(path, number, _without_lone_surrogates(value, line))


def _without_lone_surrogates(value: Any, text: str) -> Any:
    """Return *value*, which *text* contains as JSON; only an escape can hold a lone surrogate."""
    return replace_in_json(value) if "\\u" in text else value


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
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


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
    while not text.startswith("]", position):
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = _decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            error_line = getattr(error, "lineno", line)
            source.add_error(error_line, f"not JSON: {_json_problem(error)}", path)
            return
        yield Row(path, line, _without_lone_surrogates(value, text))
        position = _skip_separator(text, end)
    if text[position:].strip() != "]":
        source.add_error(line, "not JSON: there is text after the end of the list", path)


def _skip_separator(text: str, position: int) -> int:
    """Return the position of the next item."""
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position


def _has_conflicts(source: Source, path: Path, text: str) -> bool:
    """Return True if the file holds conflict markers, after adding an error for each."""
    lines = text.split("\n")
    numbers = [n for n, line in enumerate(lines, 1) if line.startswith(_CONFLICT_MARKERS)]
    for number in numbers:
        source.add_error(number, _CONFLICT, path)
    return bool(numbers)


def _read_csv(source: Source, path: Path, text: str) -> Iterator[Row]:
    for row in read_delimited(source, path, text):
        yield row._replace(value=_row_value(row.value))


def read_delimited(source: Source, path: Path, text: str) -> Iterator[Row]:
    """Yield the rows of a table with a header: each value is the text of a cell, or None.

    A broken row, and a column that stands there twice, become errors of *source*.
    """
    # Strict, because an unclosed quote would swallow the rows after it.
    stated = _STATED_DELIMITER.match(text)
    stream = io.StringIO(text[stated.end() :] if stated else text)
    delimiter = stated[1] if stated else _delimiter(text)
    reader, above = csv.DictReader(stream, delimiter=delimiter, strict=True), int(bool(stated))
    end = 0
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
            elif cells and cells[0].startswith(_CONFLICT_MARKERS):
                source.add_error(line, _CONFLICT, path)
            elif cells:
                yield Row(path, line, {name: cell or None for name, cell in record.items()})
    except csv.Error as error:
        source.add_error(*_csv_problem(error, end, max(reader.line_num, 1) + above), path)


#: A row with more cells than columns.
_MORE_CELLS = "more cells than the header has columns: quote the text that holds the delimiter"


def _delimiter(text: str) -> str:
    """Return what separates the columns: what stands in the header most often, but in quotes."""
    head = _QUOTED.sub("", text.partition("\n")[0])
    return max(_DELIMITERS, key=head.count)


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


_READERS: Mapping[str, Callable[[Source, Path, str], Iterator[Row]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
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
        from pyarrow.parquet import read_table
    except ImportError as error:
        remedy = "pip install pyarrow, or save the table as .jsonl or .csv"
        raise ConfigurationError(f"{name}: a .parquet file needs pyarrow: {remedy}") from error
    try:
        table = read_table(path)
        records: list[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ConfigurationError(f"{name} is no Parquet file: {error}") from error
    labels = _labels(table.schema.metadata or {})
    return [
        replace_in_json({key: _plain(value, labels.get(key)) for key, value in record.items()})
        for record in records
    ]


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
