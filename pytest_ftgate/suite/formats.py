"""The kinds of formats that a suite may require of a reply, and their values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.readers.source import (
    Count,
    Declared,
    Source,
    Text,
    Texts,
    declared_keys,
    rule_error,
    validation_message,
)
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule
from pytest_ftgate.suite.scorers import (
    DeclaredJavaScript,
    offered_rule,
    parse_function,
    parse_javascript,
    pattern_error,
    split_kind,
)

#: The language codes of py3langid.
_CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et "
    "eu ext fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id "
    "ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt "
    "my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv "
    "sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx"
)
LANGUAGES = frozenset(_CODES.split())

_Size = Annotated[int, Field(strict=True, ge=0)]


def _check_bounds(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        raise rule_error(f"min {low} is above max {high}, so no reply can satisfy both")


class _Lines(Declared):
    count: Count | None = None
    min: Count | None = None
    max: Count | None = None
    prefix: Text | None = None
    longest: Count | None = None

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if not self.model_fields_set:
            raise rule_error("lines needs count, min, max, prefix or longest")
        if self.count is not None and (self.min, self.max) != (None, None):
            raise rule_error("lines has count and min or max; write one of them")
        _check_bounds(self.min, self.max)
        return self


class _Csv(Declared):
    columns: Texts


class _Markdown(Declared):
    table: Texts


class _Length(Declared):
    unit: Literal["characters", "words", "sentences", "tokens"]
    min: _Size | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if (self.min, self.max) == (None, None):
            raise rule_error("length needs min, max or both")
        _check_bounds(self.min, self.max)
        return self


class _Contained(Declared):
    texts: Texts
    case: StrictBool = False
    whole_words: StrictBool = True


class _AnyContained(_Contained):
    any: StrictBool = False


class _ToolCall(Declared):
    name: Text
    arguments: Any = Field(default=None, alias="schema")


def _require_package(package: str, extra: str, what: str) -> None:
    if find_spec(package) is None:
        install = f'pip install "pytest-ftgate[{extra}]"'
        raise rule_error(f"{what} needs {package}: {install}")


def _check_model(value: str) -> str:
    from pytest_ftgate.suite.function_references import reference_syntax_error

    if message := reference_syntax_error(value):
        message = message.replace("no function", "no model").replace(":function", ":Model")
        raise rule_error(message)
    return value


def _check_pattern(value: str) -> str:
    if message := pattern_error(value):
        raise rule_error(message)
    return value


def _check_schema(value: Any) -> Any:
    if not isinstance(value, str | Mapping):
        raise PydanticCustomError("whole_value", "not a schema")
    return value


def _check_code(value: str) -> str:
    if value == "sql":
        _require_package("sqlglot", "sql", "code: sql")
    return value


def _check_language(value: str) -> str:
    if value not in LANGUAGES:
        hint = did_you_mean(value.lower().partition("-")[0], LANGUAGES)
        raise rule_error(f'"{value}" is no language that can be detected{hint}')
    _require_package("py3langid", "language", "language")
    return value


def _parse_tool_call(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _FormatKind:
    """One kind of format.

    Attributes:
        type: the type of its value.
        needs: the same in words, for messages.
        example: one format of the kind, in YAML.
    """

    type: Any
    needs: str
    example: str


def _listed(keys: Any) -> Any:
    """Return the type of texts that stand in a list, or in a mapping with the options of *keys*."""
    several = Annotated[Texts, Tag("_list")] | Annotated[keys, Tag("_mapping")]
    choice = Discriminator(lambda raw: "_mapping" if isinstance(raw, Mapping) else "_list")
    return Annotated[several, choice, WithJsonSchema({"type": ["array", "object"]})]


_TEXT_OR_OBJECT = WithJsonSchema({"type": ["string", "object"]})
_Schema = Annotated[Any, AfterValidator(_check_schema), _TEXT_OR_OBJECT]
_Model = Annotated[str, AfterValidator(_check_model)]
_Pattern = Annotated[str, AfterValidator(_check_pattern)]
_Code = Annotated[Literal["python", "json", "yaml", "sql"], AfterValidator(_check_code)]
_Language = Annotated[str, AfterValidator(_check_language)]
_Tool = Annotated[_ToolCall, BeforeValidator(_parse_tool_call), _TEXT_OR_OBJECT]
_Function = Annotated[Any, BeforeValidator(parse_function), _TEXT_OR_OBJECT]
_JavaScript = Annotated[
    str | DeclaredJavaScript, WrapValidator(lambda raw, _: parse_javascript(raw))
]

#: format kind -> the value that it takes
FORMAT_KINDS: Mapping[str, _FormatKind] = {
    "choice": _FormatKind(Texts, "a list of labels", "{choice: [a, b]}"),
    "json_schema": _FormatKind(
        _Schema, "a schema or the path of one", "{json_schema: ticket.schema.json}"
    ),
    "pydantic": _FormatKind(_Model, "a model", '{pydantic: "package.module:Model"}'),
    "regex": _FormatKind(_Pattern, "a pattern", '{regex: "^[A-Z]+$"}'),
    "lines": _FormatKind(_Lines, "a mapping", '{lines: {max: 5, prefix: "- "}}'),
    "xml": _FormatKind(Texts, "a list of tags", "{xml: [reason, answer]}"),
    "csv": _FormatKind(_Csv, "a mapping", "{csv: {columns: [name, price]}}"),
    "markdown": _FormatKind(_Markdown, "a mapping", "{markdown: {table: [name, price]}}"),
    "code": _FormatKind(_Code, "python, json, yaml or sql", "{code: python}"),
    "length": _FormatKind(_Length, "a mapping", "{length: {unit: words, max: 50}}"),
    "language": _FormatKind(_Language, "the code of a language", "{language: de}"),
    "contains": _FormatKind(_listed(_AnyContained), "a list of texts", "{contains: [refund]}"),
    "avoids": _FormatKind(_listed(_Contained), "a list of texts", "{avoids: [guarantee]}"),
    "tool_call": _FormatKind(_Tool, "the name of a tool", "{tool_call: lookup_order}"),
    "python": _FormatKind(_Function, "a function", '{python: "package.module:function"}'),
    JAVASCRIPT: _FormatKind(_JavaScript, "code or a file", '{javascript: "output.length < 200"}'),
}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(FORMAT_KINDS[kind].type)


def parse_format(raw: Any, info: ValidationInfo) -> Rule:
    """Return the rule of a declared format.

    Raises:
        PydanticCustomError: *raw* is no format. The message holds the remedy.
    """
    offered = offered_rule(raw, info.context.formats) if info.context else None
    if offered:
        return offered
    usage = "format is one name with its value, such as {choice: [refund, other]}"
    kind, value = split_kind(raw, FORMAT_KINDS, "format", f"{usage}; several go into a list")
    try:
        parsed = _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise rule_error(_value_error(kind, dict(error.errors()[0]))) from error
    if isinstance(parsed, BaseModel):
        parsed = parsed.model_dump(by_alias=True, exclude_none=True)
    return parsed if isinstance(parsed, Rule) else Rule(kind, parsed)


def _value_error(kind: str, error: dict[str, Any]) -> str:
    """Return what is wrong with the value of a format, and what to write instead."""
    format_kind = FORMAT_KINDS[kind]
    key_path = tuple(key for key in error["loc"] if key not in ("_list", "_mapping"))
    example = format_kind.example
    if error["type"] == "rule":
        message = str(error["msg"])
        return message if message.startswith(kind) or "pip" in message else f"{kind}: {message}"
    if not key_path or error["type"] == "whole_value":
        return f"{kind} needs {format_kind.needs}: {example}"
    if error["type"] == "string_too_short":
        return f"{kind} has an empty text; leave it out, or write one as in {example}"
    known = declared_keys(format_kind.type) if isinstance(format_kind.type, type) else ()
    known = known or ("name", "schema")
    message = validation_message({**error, "loc": (kind, *key_path)}, known, None)
    return f"{'' if message.startswith(kind) else f'{kind}: '}{message}, as in {example}"


def _as_sequence(raw: Any) -> Any:
    if raw is None:
        return ()
    return raw if isinstance(raw, list | tuple) else [raw]


#: One format or several. Each invalid one gives an error of its own.
DeclaredFormat = Annotated[
    tuple[Annotated[Any, BeforeValidator(parse_format)], ...], BeforeValidator(_as_sequence)
]


#: The types that a JSON Schema may name.
JSON_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def _schema_error(schema: Any) -> tuple[tuple[str | int, ...], str] | None:
    """Return the path inside *schema* and the message of its first error, or None if it is valid.

    ``$schema`` selects the draft. The default is 2020-12.
    """
    import jsonschema_rs

    try:
        json_schema_validator(json.dumps(schema))
    except ScorerError as error:
        cause = error.__cause__
        if isinstance(cause, jsonschema_rs.ValidationError):
            path = tuple(cause.instance_path)
            return path, _unknown_type_error(schema, path) or cause.message
        return (), str(error)
    except TypeError as error:
        return (), f"it contains a value that is not JSON: {error}"
    return None


def _unknown_type_error(schema: Any, path: tuple[str | int, ...]) -> str:
    """Return an error for an unknown type, shorter than the library's, or an empty text."""
    value = schema
    for key in path:
        value = value[key]
    if path[-1:] != ("type",) or not isinstance(value, str):
        return ""
    hint = did_you_mean(value, JSON_TYPES) or f"; types: {', '.join(JSON_TYPES)}"
    return f'"{value}" is no type{hint}'


@lru_cache(maxsize=256)
def json_schema_validator(schema: str) -> Any:
    """Return the validator of a JSON Schema, given as JSON text.

    Raises:
        ScorerError: it is not a valid schema, or it refers to a schema elsewhere.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(json.loads(schema), retriever=_refuse_fetch)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ScorerError(f"json_schema: not a schema: {str(error).splitlines()[0]}") from error


def _refuse_fetch(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside the schema; nothing is fetched")


def resolve_format(source: Source, rule: Rule, line: Callable[..., int]) -> Rule:
    """Return *rule* with the file that it names read, and its schema checked. Errors: *source*.

    *rule* may be of any kind. *line* returns the line of a key, given its key path below the rule.
    """
    if rule.kind == "json_schema":
        return Rule(rule.kind, _load_schema(source, rule.value, line, ("json_schema",)))
    if rule.kind == "tool_call" and "schema" in rule.value:
        schema = _load_schema(source, rule.value["schema"], line, ("tool_call", "schema"))
        return Rule(rule.kind, {**rule.value, "schema": schema})
    if rule.kind == JAVASCRIPT:
        from pytest_ftgate.suite.javascript import resolve_javascript

        return resolve_javascript(source, rule, line(JAVASCRIPT))
    return rule


def _load_schema(
    source: Source, value: Any, line: Callable[..., int], keys: tuple[str, ...]
) -> Any:
    """Return the schema *value*, or the one in the file that *value* names, or {} on an error."""
    key, schema = ".".join(keys), value
    if isinstance(value, str):
        schema = read_json_file(source, value, line(*keys), key)
    from pytest_ftgate.suite.grammars import schema_size_error

    too_large = schema_size_error(schema)
    error_at = ((), too_large) if too_large else _schema_error(schema)
    if error_at:
        path_in_schema, message = error_at
        # A schema in a file has no line in the suite, so the message gives the path.
        place = f"at {'/'.join(['', *map(str, path_in_schema)])}: " if path_in_schema else ""
        name = f"{value} is no schema" if isinstance(value, str) else "no schema"
        source.add_error(line(*keys, *path_in_schema), f"{key}: {name}: {place}{message}")
        return {}
    return schema


def read_json_file(source: Source, written: str, line: int, what: str) -> Any:
    """Return the JSON in the file at *written*, or {} after adding an error.

    *line* is its line in the suite, and *what* its key, for messages.
    """
    path = source.find_file(written, line, what)
    text = source.read_text(path, line, what) if path else None
    if text is None:
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else error
        source.add_error(line, f"{what}: {written} is not JSON: {problem}")
        return {}
