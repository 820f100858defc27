"""Replies that are JSON: by a schema, by a pydantic model, or by their syntax alone."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ScorerError, Unavailable
from pytest_ftgate.score.reader import Broken, Reader, around, unfenced
from pytest_ftgate.suite.json_schema import validator
from pytest_ftgate.suite.reference import function

__all__ = ["by_model", "by_schema", "by_syntax", "invalid", "json_within"]

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
