"""Structured replies: JSON, XML, tables and code, with or without code fences."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import textwrap
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.scoring.score import Broken, Reader, around, unfenced
from pytest_ftgate.suite.formats import validator
from pytest_ftgate.suite.references import function

__all__ = [
    "by_code",
    "by_csv",
    "by_markdown",
    "by_model",
    "by_schema",
    "by_syntax",
    "by_xml",
    "invalid",
    "json_within",
    "last_fenced",
]

#: Places at which JSON is looked for in prose: enough for any reply, few for a hostile one.
_STARTS = 20
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_OPENING = re.compile(r"[{\[]")
_LONGEST = 200

#: By the keyword of a schema that does not hold.
_BY_KEYWORD = {
    "required": "missing key",
    "dependentRequired": "missing key",
    "additionalProperties": "extra key",
    "unevaluatedProperties": "extra key",
    "type": "wrong type",
    "enum": "not in enumeration",
    "const": "not in enumeration",
}
#: By the type of a pydantic error; those of types end in _type or _parsing.
_BY_ERROR = {
    "missing": "missing key",
    "extra_forbidden": "extra key",
    "literal_error": "not in enumeration",
    "enum": "not in enumeration",
}


def json_within(text: str) -> Any:
    """Return the JSON that a lenient reader finds in *text*, or None where there is none."""
    for step in (lambda one: ("", one), unfenced, _embedded, _without_trailing_commas):
        text = step(text)[1]
        with suppress(ValueError, RecursionError):
            return _DECODER.decode(text)
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def by_schema(schema: Any, folder: Path) -> Reader:
    """Return what reads JSON by *schema*.

    Raises:
        ScorerError: it is no schema.
    """
    del folder
    return _reader(partial(_parsed, validator(json.dumps(schema))))


def by_syntax(value: Any, folder: Path) -> Reader:
    """Return what reads any JSON."""
    del value, folder
    return _reader(partial(_parsed, None))


def by_model(reference: str, folder: Path) -> Reader:
    """Return what reads JSON by the pydantic model that *reference* names.

    Raises:
        Unavailable: it cannot be imported, or is no model.
    """
    model = function(reference, folder)
    if not hasattr(model, "model_validate_json"):
        raise Unavailable(f"{reference} is no pydantic model; name a class made of BaseModel")
    return _reader(partial(_modelled, reference, model))


def _reader(strict: Any) -> Reader:
    return Reader(strict, (_embedded, _without_trailing_commas), structured=True)


def _parsed(checker: Any, text: str) -> Broken | None:
    try:
        value = _DECODER.decode(text)
        return None if checker is None else invalid(checker, value, "json_schema")
    # Nested too deep, or escapes that make no text: JSON that a program cannot take.
    except RecursionError:
        return Broken("invalid syntax", "nested too deep")
    except ValueError as error:
        return Broken("truncated" if _breaks_off(text, error) else "invalid syntax", str(error))


def invalid(checker: Any, value: Any, rule: str) -> Broken | None:
    """Say how *value* breaks a schema, or return None.

    Args:
        checker: of the schema.
        value: as JSON has it.
        rule: the kind of fault where it is none of the common ones.

    Raises:
        ValueError: the value holds what is no text, or is nested too deep.
    """
    if checker.is_valid(value):
        return None
    first = next(checker.iter_errors(value))
    place = "/".join(str(key) for key in first.instance_path)
    kind = _BY_KEYWORD.get(str(first.schema_path[-1]) if first.schema_path else "", rule)
    return Broken(kind, f"/{place}: {first.message}"[:_LONGEST])


def _breaks_off(text: str, error: ValueError) -> bool:
    """Tell whether *text* is JSON up to its end, and only ends too early."""
    if not isinstance(error, json.JSONDecodeError) or text[:1] not in ("{", "[", '"'):
        return False
    return error.pos >= len(text) or error.msg.startswith("Unterminated string")


def _modelled(reference: str, model: Any, text: str) -> Broken | None:
    from pydantic import ValidationError

    try:
        # As bytes, since half a character is a fault of the reply and not of the model.
        model.model_validate_json(text.encode("utf-8", "surrogatepass"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "/".join(map(str, first["loc"]))
        return Broken(_model_kind(first), f"/{place}: {first['msg']}"[:_LONGEST])
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ScorerError(f"{reference} broke while it read a reply: {what}") from error
    return None


def _model_kind(error: Any) -> str:
    kind = str(error["type"])
    if kind == "json_invalid":
        return "truncated" if "EOF while parsing" in error["msg"] else "invalid syntax"
    if kind.endswith(("_type", "_parsing")):
        return "wrong type"
    return _BY_ERROR.get(kind, "pydantic")


def _embedded(text: str) -> tuple[str, str]:
    """Take the longest JSON object or list that stands in *text*."""
    best, after = "", 0
    for count, found in enumerate(_OPENING.finditer(text)):
        if count >= _STARTS:
            break
        if found.start() >= after:
            after = _end(text, found.start())
            best = max(best, text[found.start() : after], key=len)
    return around(text, best or _outermost(text))


def _end(text: str, start: int) -> int:
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return start


def _outermost(text: str) -> str:
    """Return what stands between the first and the last bracket, if it is JSON but for commas."""
    first, last = _OPENING.search(text), max(text.rfind("}"), text.rfind("]"))
    part = text[first.start() : last + 1] if first else ""
    return part if _parsed(None, _TRAILING_COMMA.sub("", part)) is None else text


def _without_trailing_commas(text: str) -> tuple[str, str]:
    return "invalid syntax", _TRAILING_COMMA.sub("", text)


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


_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def last_fenced(text: str) -> str | None:
    """Return what stands in the last code fence of *text*, or None where there is none.

    A fence that is not closed reaches to the end.
    """
    found, inside, mark = None, list[str](), ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not mark and fence:
            mark, inside = fence[1], []
            found = inside
        elif fence and fence[1].startswith(mark) and not fence[2].strip():
            mark = ""
        elif mark:
            inside.append(line)
    return None if found is None else textwrap.dedent("\n".join(found))
