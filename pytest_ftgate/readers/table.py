"""Rows of `.jsonl`, `.json`, `.csv` and `.yaml` files, each with its line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.yaml import Document, Where, read_yaml

__all__ = ["Row", "in_place", "rows"]

_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")
_GAP = re.compile(r"\s*,?\s*")
_CONFLICT = "a version-control conflict marker; resolve the conflict"


class Row(NamedTuple):
    """One row as it was written, and where."""

    path: Path
    line: int
    value: Any
    written: Mapping[Where, str] = {}


def rows(source: Source, path: Path, line: int = 0, what: str = "cases") -> Iterator[Row]:
    """Read the rows of one file; a broken line becomes a fault, the others are still read.

    Args:
        source: where faults are noted.
        path: the file.
        line: where the suite names it.
        what: what the rows are.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        suffix = path.suffix or "no"
        source.say(line, f"{what}: {path.name}: {suffix} suffix; use .jsonl, .json, .csv or .yaml")
        return
    text = source.text(path, line, what)
    if text is not None:
        yield from read(source, path, text)


def _jsonl(source: Source, path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if line.startswith(_MARKERS):
            source.say(number, _CONFLICT, path)
            continue
        try:
            value = _decoder.decode(line)
        except (ValueError, RecursionError) as error:
            source.say(number, f"not JSON: {_told(error)}", path)
            continue
        # The first row of a data file may describe it instead of being one of its rows.
        if number == 1 and isinstance(value, dict) and "about" in value:
            continue
        yield Row(path, number, value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'key "{twice}" stands here twice; keep one')
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_once)


def _told(error: ValueError | RecursionError) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _json(source: Source, path: Path, text: str) -> Iterator[Row]:
    """Read the items of a list one by one, so that each has its line."""
    if _conflicts(source, path, text):
        return
    at = _past(text, 0)
    if not text.startswith("[", at):
        source.say(1, "a .json file is a list of rows", path)
        return
    line, counted, at = 1, 0, _past(text, at + 1)
    while not text.startswith("]", at):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            source.say(getattr(error, "lineno", line), f"not JSON: {_told(error)}", path)
            return
        yield Row(path, line, value)
        at = _past(text, end)
    if text[at:].strip() != "]":
        source.say(line, "not JSON: something stands after the end of the list", path)


def _past(text: str, at: int) -> int:
    """Return where the next item stands."""
    found = _GAP.match(text, at)
    return found.end() if found else at


def _conflicts(source: Source, path: Path, text: str) -> bool:
    """Note the markers of a file that cannot be read line by line."""
    marked = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(_MARKERS)]
    for number in marked:
        source.say(number, _CONFLICT, path)
    return bool(marked)


def _csv(source: Source, path: Path, text: str) -> Iterator[Row]:
    # Strict, because a quote that is not closed would swallow the rows after it.
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for record in reader:
            if None in record:
                source.say(reader.line_num, "more cells than the header has columns", path)
                continue
            cells = [cell for cell in record.values() if cell]
            line = reader.line_num - sum(cell.count("\n") for cell in cells)
            if cells and cells[0].startswith(_MARKERS):
                source.say(line, _CONFLICT, path)
                continue
            yield Row(path, line, _from_cells(record))
    except csv.Error as error:
        message = f"not CSV: {error}; is every quote closed?"
        source.say(reader.line_num + 1, message, path)


def _from_cells(record: Mapping[str, str | None]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for column, cell in record.items():
        if not cell:
            continue
        if column.startswith("vars."):
            value.setdefault("vars", {})[column.removeprefix("vars.")] = cell
        elif column == "tags":
            value["tags"] = cell.replace(",", " ").split()
        else:
            value[column] = _read(column, cell)
    return value


def _read(column: str, cell: str) -> Any:
    """Return what a cell stands for; what cannot be read is left for the validation to name."""
    try:
        match column:
            case "max_tokens" | "difficulty":
                return int(cell)
            case "weight":
                return float(cell)
            case "must_pass" | "holdout":
                return {"true": True, "false": False}.get(cell.strip().lower(), cell)
    except ValueError:
        pass
    return cell


def _yaml(source: Source, path: Path, text: str) -> Iterator[Row]:
    if _conflicts(source, path, text):
        return
    document = read_yaml(text, source.name(path))
    source.faults.extend(document.faults)
    if isinstance(document.value, list):
        yield from in_place(path, document, ())
    elif document.value is not None:
        source.say(1, "a .yaml file is a list of rows", path)


def in_place(path: Path, document: Document, where: Where) -> Iterator[Row]:
    """Yield the rows that stand as a list at *where* of a YAML document."""
    value: Any = document.value
    for key in where:
        value = value[key]
    depth = len(where)
    written: dict[Where, dict[Where, str]] = defaultdict(dict)
    for place, text in document.written.items():
        written[place[: depth + 1]][place[depth + 1 :]] = text
    for index, one in enumerate(value):
        at = (*where, index)
        yield Row(path, document.line(at), one, written[at])


_READERS: Mapping[str, Callable[[Source, Path, str], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
}
