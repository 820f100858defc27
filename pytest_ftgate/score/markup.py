"""Replies that are XML, a table or code."""

from __future__ import annotations

import ast
import csv
import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.score.reader import Broken, Reader, around
from pytest_ftgate.score.structured import by_syntax

__all__ = ["by_code", "by_csv", "by_markdown", "by_xml"]

#: Between cells of a Markdown table; an escaped bar is part of its cell.
_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r":?-+:?")


# XML ------------------------------------------------------------------------------------------


class _Seen:
    """What a parser has met: the tags in their order, and text outside every element."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.loose = ""
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        del attributes
        self._depth += 1
        self.tags.append(tag)

    def end(self, tag: str) -> None:
        del tag
        self._depth -= 1

    def data(self, text: str) -> None:
        if self._depth == 1 and text.strip():
            # One tag is the element that is put around a reply.
            self.loose = self.loose or ("trailing text" if len(self.tags) > 1 else "preamble")


def by_xml(tags: Sequence[str], folder: Path) -> Reader:
    """Return what reads elements that hold *tags* in this order, and no text outside them."""
    del folder
    return Reader(partial(_xml, tags), (partial(_elements, tags),), structured=True)


def _xml(tags: Sequence[str], text: str) -> Broken | None:
    body = text.partition("?>")[2] if text.startswith("<?xml") else text
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    seen = _Seen()
    try:
        # Within an element no entity can be declared, so none can grow beyond bounds.
        parser = ET.XMLParser(target=seen)  # noqa: S314
        parser.feed(f"<reply>{body}\n</reply>".encode("utf-8", "surrogatepass"))
        parser.close()
    except ET.ParseError as error:
        # Where only the last line is amiss, which is not the reply's own, an element is open.
        cut = error.position[0] == body.count("\n") + 2
        return Broken("truncated" if cut else "invalid syntax", str(error))
    if seen.loose and set(tags) <= set(seen.tags):
        return Broken(seen.loose, "there is text outside the elements")
    return _ordered(tags, seen.tags)


def _ordered(tags: Sequence[str], seen: Sequence[str]) -> Broken | None:
    for tag in tags:
        if tag not in seen:
            return Broken("missing key", f"there is no <{tag}>")
    left = iter(seen)
    for tag in tags:
        if tag not in left:
            return Broken("xml", f"<{tag}> stands before its place: {', '.join(tags)}")
    return None


def _elements(tags: Sequence[str], text: str) -> tuple[str, str]:
    """Take what stands from the first to the last of the elements."""
    starts = [at for tag in tags if (at := text.find(f"<{tag}")) >= 0]
    last = [text.rfind(mark) for tag in tags for mark in (f"<{tag}", f"</{tag}")]
    end = text.find(">", max(last)) + 1
    return around(text, text[min(starts) : end] if starts and end else text)


# Tables ---------------------------------------------------------------------------------------


def by_csv(value: Any, folder: Path) -> Reader:
    """Return what reads comma-separated values with a header of just these columns."""
    del folder
    columns = value["columns"]
    return Reader(partial(_csv, columns), (partial(_csv_lines, columns),), structured=True)


def _csv(columns: Sequence[str], text: str) -> Broken | None:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        return Broken("invalid syntax", str(error))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) and rows[0] == columns:
            return Broken("invalid syntax", f"row {number} has {len(row)} of {len(columns)} cells")
    return _headed(columns, rows[0] if rows else [], "csv")


def _csv_lines(columns: Sequence[str], text: str) -> tuple[str, str]:
    lines = text.split("\n")
    header = ",".join(columns)
    start = next((i for i, line in enumerate(lines) if line.strip() == header), None)
    if start is None:
        return around(text, text)
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), len(lines))
    return around(text, "\n".join(lines[start:end]).strip())


def by_markdown(value: Any, folder: Path) -> Reader:
    """Return what reads Markdown in which a table of these columns stands."""
    del folder
    return Reader(partial(_markdown, value["table"]))


def _markdown(columns: Sequence[str], text: str) -> Broken | None:
    lines = _unquoted(text)
    heads = [
        (_cells(line), at)
        for at, line in enumerate(lines[:-1])
        if "|" in line
        and _is_rule(lines[at + 1])
        and len(_cells(line)) == len(_cells(lines[at + 1]))
    ]
    if not heads:
        return Broken("markdown", "there is no table")
    header, at = next((one for one in heads if one[0] == columns), heads[0])
    for number, line in enumerate(lines[at + 2 :], start=1):
        if "|" not in line:
            break
        if len(_cells(line)) != len(header):
            return Broken("invalid syntax", f"row {number} has {len(_cells(line))} cells")
    return _headed(columns, header, "markdown")


def _unquoted(text: str) -> list[str]:
    """Return the lines of *text* that stand in no code fence."""
    lines, inside = [], False
    for line in text.split("\n"):
        inside ^= line.startswith("```")
        lines += [] if inside else [line]
    return lines


def _is_rule(line: str) -> bool:
    return "-" in line and all(_RULE.fullmatch(cell) for cell in _cells(line))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in _BAR.split(inner)]


def _headed(columns: Sequence[str], header: Sequence[str], rule: str) -> Broken | None:
    if list(header) == list(columns):
        return None
    strange = [name for name in header if name not in columns]
    lacking = [name for name in columns if name not in header]
    if len(strange) < len(header) and lacking:
        return Broken("missing key", f"there is no column {lacking[0]}")
    if len(strange) < len(header) and strange:
        return Broken("extra key", f"there is a column {strange[0]}"[:200])
    told = f"the columns are {', '.join(header)}, not {', '.join(columns)}"
    return Broken(rule, told[:200])


# Code -----------------------------------------------------------------------------------------


def by_code(language: str, folder: Path) -> Reader:
    """Return what reads code by the grammar of *language*."""
    if language == "json":
        return by_syntax(None, folder)
    return Reader({"python": _python, "yaml": _yaml, "sql": _sql}[language], structured=True)


def _python(text: str) -> Broken | None:
    try:
        with warnings.catch_warnings():
            # What Python thinks of the style of a reply is no fault of its form.
            warnings.simplefilter("ignore")
            ast.parse(text)
    # Deep nesting is told by either of the last two.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Broken("invalid syntax", str(error) or "nested too deep")
    return None


def _yaml(text: str) -> Broken | None:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    collection = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
    try:
        events = yaml.parse(text.encode("utf-8", "surrogatepass"), Loader=loader)
        roots = [
            event for before, event in _pairs(events) if isinstance(before, yaml.DocumentStartEvent)
        ]
    except (yaml.YAMLError, RecursionError) as error:
        return Broken("invalid syntax", " ".join(str(error).split())[:200])
    if roots and all(isinstance(root, collection) for root in roots):
        return None
    # Every sentence is YAML, a text, which nobody means who asks for YAML.
    return Broken("invalid syntax", "it is neither a mapping nor a list")


def _pairs(events: Any) -> Any:
    before = None
    for event in events:
        yield before, event
        before = event


def _sql(text: str) -> Broken | None:
    import sqlglot
    from sqlglot import exp

    try:
        found = [one for one in sqlglot.parse(text) if one is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        return Broken("invalid syntax", str(error).splitlines()[0][:200])
    # A name or a value alone is read as an expression, and any word as a name.
    if not found or any(isinstance(one, exp.Condition | exp.Alias) for one in found):
        return Broken("invalid syntax", "it is no statement")
    return None
