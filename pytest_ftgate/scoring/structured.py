"""Format checks of structured replies: JSON, XML, tables and code."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.scoring.score import FormatError, LenientReader, extract_part, strip_fence
from pytest_ftgate.suite.formats import json_schema_validator
from pytest_ftgate.suite.function_references import load_function
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import python_syntax_error

#: The most brackets in prose at which JSON may start. The limit bounds the time of hostile replies.
_MAX_STARTS = 20
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_OPENING = re.compile(r"[{\[]")
_MAX_DETAIL = 200

#: The kind of format error, by the keyword of the schema that a reply breaks.
_KIND_BY_KEYWORD = {
    "required": "missing key",
    "dependentRequired": "missing key",
    "additionalProperties": "extra key",
    "unevaluatedProperties": "extra key",
    "type": "wrong type",
    "enum": "not in enumeration",
    "const": "not in enumeration",
}
#: The kind of format error, by the type of a pydantic error. Wrong types end in _type or _parsing.
_KIND_BY_PYDANTIC_TYPE = {
    "missing": "missing key",
    "extra_forbidden": "extra key",
    "literal_error": "not in enumeration",
    "enum": "not in enumeration",
}


def find_json(text: str) -> Any:
    """Return the JSON that a lenient reader finds in *text*, or None."""
    for repair in (None, strip_fence, _extract_json, _strip_trailing_commas):
        text = repair(text)[1] if repair else text
        with suppress(ValueError, RecursionError):
            return _DECODER.decode(text)
    return None


def _reject_constant(name: str) -> Any:
    """Raise a ValueError for NaN and Infinity, which Python's reader of JSON accepts."""
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


@lru_cache(maxsize=4)
def read_json(text: str) -> Any:
    """Return *text* as JSON, parsed once for the scorer and the formats of a reply.

    The value is shared, and must not be changed.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    return _DECODER.decode(text)


def structured_reader(rule: Rule, folder: Path) -> LenientReader:
    """Return the reader of a rule that requires JSON, XML, a table or code.

    A pydantic model is searched in *folder* first.

    Raises:
        ScorerError: a JSON Schema is invalid.
        ConfigurationError: a pydantic model cannot be imported, or is none.
    """
    value = rule.value
    repairs: tuple[Any, ...] = (_extract_json, _strip_trailing_commas)
    match rule.kind, value:
        case "json_schema", _:
            check = partial(_json_error, json_schema_validator(json.dumps(value)))
        case "pydantic", _:
            check = partial(_model_error, value, _load_model(value, folder))
        case "code", "json":
            check = partial(_json_error, None)
        case "xml", _:
            check, repairs = partial(_xml_error, value), (partial(_extract_elements, value),)
        case "csv", _:
            columns = value["columns"]
            check, repairs = partial(_csv_error, columns), (partial(_extract_csv, columns),)
        case "markdown", _:
            return LenientReader(partial(markdown_error, value))
        case _:
            check, repairs = partial(_CODE_CHECKS[value]), ()
    return LenientReader(check, repairs, structured=True)


def _load_model(reference: str, folder: Path) -> Any:
    model = load_function(reference, folder)
    if not hasattr(model, "model_validate_json"):
        raise ConfigurationError(
            f"{reference} is no pydantic model; name a class made of BaseModel"
        )
    return model


def _json_error(validator: Any, text: str) -> FormatError | None:
    """Return how *text* breaks the syntax of JSON or the schema of *validator*, if there is one."""
    try:
        value = read_json(text)
        return None if validator is None else find_schema_error(validator, value, "json_schema")
    # Nested too deep, or escapes that are no valid text: a program cannot read such JSON.
    except RecursionError:
        return FormatError("invalid syntax", "nested too deep")
    except ValueError as error:
        return FormatError(
            "truncated" if _is_truncated(text, error) else "invalid syntax", str(error)
        )


def find_schema_error(validator: Any, value: Any, default_kind: str) -> FormatError | None:
    """Return how *value* breaks the schema of *validator*, or None if it is valid.

    The error is of *default_kind* if the broken keyword has no common kind.

    Raises:
        ValueError: *value* contains invalid text, or is nested too deep.
    """
    if validator.is_valid(value):
        return None
    first = next(validator.iter_errors(value))
    path = "/".join(str(key) for key in first.instance_path)
    keyword = str(first.schema_path[-1]) if first.schema_path else ""
    kind = _KIND_BY_KEYWORD.get(keyword, default_kind)
    return FormatError(kind, f"/{path}: {first.message}"[:_MAX_DETAIL])


def _is_truncated(text: str, error: ValueError) -> bool:
    """Return True if *text* is valid JSON that only ends too early."""
    if not isinstance(error, json.JSONDecodeError) or text[:1] not in ("{", "[", '"'):
        return False
    return error.pos >= len(text) or error.msg.startswith("Unterminated string")


def _model_error(reference: str, model: Any, text: str) -> FormatError | None:
    from pydantic import ValidationError

    try:
        # As bytes: half of a surrogate pair is then an error of the reply, and not of the model.
        model.model_validate_json(text.encode(errors="surrogatepass"))
    except ValidationError as error:
        first = error.errors()[0]
        path = "/".join(map(str, first["loc"]))
        return FormatError(_model_error_kind(first), f"/{path}: {first['msg']}"[:_MAX_DETAIL])
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise ScorerError(f"{reference} broke while it read a reply: {cause}") from error
    return None


def _model_error_kind(error: Any) -> str:
    kind = str(error["type"])
    if kind == "json_invalid":
        return "truncated" if "EOF while parsing" in error["msg"] else "invalid syntax"
    if kind.endswith(("_type", "_parsing")):
        return "wrong type"
    return _KIND_BY_PYDANTIC_TYPE.get(kind, "pydantic")


def _extract_json(text: str) -> tuple[str, str]:
    """Extract the longest JSON object or list in *text*: a repair step."""
    longest, end = "", 0
    for count, bracket in enumerate(_OPENING.finditer(text)):
        if count >= _MAX_STARTS:
            break
        if bracket.start() >= end:
            end = _json_end(text, bracket.start())
            longest = max(longest, text[bracket.start() : end], key=len)
    return extract_part(text, longest or _outermost_json(text))


def _json_end(text: str, start: int) -> int:
    """Return where the JSON that starts at *start* ends, or *start* if there is none."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return start


def _outermost_json(text: str) -> str:
    """Return *text* from the first to the last bracket, if that is JSON apart from commas."""
    first, last = _OPENING.search(text), max(text.rfind("}"), text.rfind("]"))
    part = text[first.start() : last + 1] if first else text
    return part if _json_error(None, _TRAILING_COMMA.sub("", part)) is None else text


def _strip_trailing_commas(text: str) -> tuple[str, str]:
    return "invalid syntax", _TRAILING_COMMA.sub("", text)


#: Separates the cells of a Markdown table. An escaped bar is part of a cell.
_BAR = re.compile(r"(?<!\\)\|")
_DIVIDER_CELL = re.compile(r":?-+:?")


# XML ------------------------------------------------------------------------------------------


def _xml_error(tags: Sequence[str], text: str) -> FormatError | None:
    """Require elements with *tags*, in this order, and no text outside."""
    body = text.partition("?>")[2] if text.startswith("<?xml") else text
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    document = f"<reply>{body}\n</reply>".encode(errors="surrogatepass")
    try:
        # Inside an element, XML cannot declare entities. So no entity can expand without limit.
        reply = ET.fromstring(document)  # noqa: S314
    except ET.ParseError as error:
        # An error only in the added last line means that an element is still open.
        truncated = error.position[0] == body.count("\n") + 2
        return FormatError("truncated" if truncated else "invalid syntax", str(error))
    found = [element.tag for element in reply.iter()]
    outside = "".join(filter(None, (reply.text, *(element.tail for element in reply))))
    if outside.strip() and not set(tags).difference(found):
        # Text before the elements gets its kind from the repair that removes it.
        return FormatError("trailing text", "there is text outside the elements")
    return _tag_order_error(tags, found)


def _tag_order_error(tags: Sequence[str], found: Sequence[str]) -> FormatError | None:
    for tag in tags:
        if tag not in found:
            return FormatError("missing key", f"there is no <{tag}>")
    remaining = iter(found)
    for tag in tags:
        if tag not in remaining:
            return FormatError("xml", f"<{tag}> comes too early: {', '.join(tags)}")
    return None


def _extract_elements(tags: Sequence[str], text: str) -> tuple[str, str]:
    """Extract the text from the first to the last of the elements: a repair step."""
    starts = [start for tag in tags if (start := text.find(f"<{tag}")) >= 0]
    last_starts = [text.rfind(opening) for tag in tags for opening in (f"<{tag}", f"</{tag}")]
    end = text.find(">", max(last_starts)) + 1
    return extract_part(text, text[min(starts) : end] if starts and end else text)


# Tables ---------------------------------------------------------------------------------------


def _csv_error(columns: Sequence[str], text: str) -> FormatError | None:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        return FormatError("invalid syntax", str(error))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) and rows[0] == columns:
            return FormatError(
                "invalid syntax", f"row {number} has {len(row)} of {len(columns)} cells"
            )
    return _header_error(columns, rows[0] if rows else [], "csv")


def _extract_csv(columns: Sequence[str], text: str) -> tuple[str, str]:
    """Extract the lines from the header to the next blank line: a repair step."""
    lines = text.split("\n")
    header = ",".join(columns)
    start = next((i for i, line in enumerate(lines) if line.strip() == header), None)
    if start is None:
        return extract_part(text, text)
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), None)
    return extract_part(text, "\n".join(lines[start:end]).strip())


def markdown_error(value: Any, text: str) -> FormatError | None:
    """Return how *text* breaks the ``markdown`` rule *value*, a table of its columns, or None."""
    columns, lines = value["table"], _lines_outside_fences(text)
    rows = [_cells(line) for line in lines]
    headers = [
        index
        for index, (row, divider) in enumerate(pairwise(rows))
        if "|" in lines[index]
        and all(map(_DIVIDER_CELL.fullmatch, divider))
        and len(row) == len(divider)
    ]
    if not headers:
        return FormatError("markdown", "there is no table")
    header = next((index for index in headers if rows[index] == columns), headers[0])
    for number, row in enumerate(rows[header + 2 :], start=1):
        if "|" not in lines[header + 1 + number]:
            break
        if len(row) != len(rows[header]):
            return FormatError("invalid syntax", f"row {number} has {len(row)} cells")
    return _header_error(columns, rows[header], "markdown")


def _lines_outside_fences(text: str) -> list[str]:
    lines, inside = [], False
    for line in text.split("\n"):
        inside ^= line.startswith("```")
        lines += [] if inside else [line]
    return lines


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in _BAR.split(inner)]


def _header_error(columns: Sequence[str], header: Sequence[str], kind: str) -> FormatError | None:
    if list(header) == list(columns):
        return None
    extra = [name for name in header if name not in columns]
    missing = [name for name in columns if name not in header]
    if len(extra) < len(header) and missing:
        return FormatError("missing key", f"there is no column {missing[0]}")
    if len(extra) < len(header) and extra:
        return FormatError("extra key", f"there is a column {extra[0]}"[:200])
    message = f"the columns are {', '.join(header)}, not {', '.join(columns)}"
    return FormatError(kind, message[:200])


# Code -----------------------------------------------------------------------------------------


def _python_error(text: str) -> FormatError | None:
    message = python_syntax_error(text)
    return FormatError("invalid syntax", message) if message else None


def _yaml_error(text: str) -> FormatError | None:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    collection = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
    try:
        events = yaml.parse(text.encode(errors="surrogatepass"), Loader=loader)
        roots = [
            event
            for previous, event in pairwise(events)
            if isinstance(previous, yaml.DocumentStartEvent)
        ]
    except (yaml.YAMLError, RecursionError) as error:
        return FormatError("invalid syntax", " ".join(str(error).split())[:200])
    if roots and all(isinstance(root, collection) for root in roots):
        return None
    # Every sentence is a YAML scalar, but a rule that requires YAML does not mean that.
    return FormatError("invalid syntax", "it is neither a mapping nor a list")


def _sql_error(text: str) -> FormatError | None:
    import sqlglot
    from sqlglot import exp

    try:
        statements = [statement for statement in sqlglot.parse(text) if statement is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        return FormatError("invalid syntax", str(error).splitlines()[0][:200])
    # The parser reads any single word as a name, which is an expression and no statement.
    expression = exp.Condition | exp.Alias
    if not statements or any(isinstance(statement, expression) for statement in statements):
        return FormatError("invalid syntax", "it is no statement")
    return None


#: language of code other than JSON -> its check
_CODE_CHECKS = {"python": _python_error, "yaml": _yaml_error, "sql": _sql_error}

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def last_code_block(text: str) -> str | None:
    """Return the content of the last code fence in *text*, or None if there is none.

    A fence that is not closed reaches to the end of the text.
    """
    last_block, block, opening = None, list[str](), ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not opening and fence:
            opening, block = fence[1], []
            last_block = block
        elif fence and fence[1].startswith(opening) and not fence[2].strip():
            opening = ""
        elif opening:
            block.append(line)
    return None if last_block is None else textwrap.dedent("\n".join(last_block))
