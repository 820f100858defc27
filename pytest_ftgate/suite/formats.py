"""The formats that a suite may require of a reply, and their values."""

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
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.readers.source import Source, keys_of, sentence
from pytest_ftgate.suite.references import form_fault
from pytest_ftgate.suite.rule import Rule, function_of
from pytest_ftgate.suite.scorers import pattern_fault

__all__ = [
    "FORMATS",
    "LANGUAGES",
    "TYPES",
    "Format",
    "format_schema",
    "read_format",
    "schema_fault",
    "validator",
]

#: The languages that py3langid tells apart, as it calls them.
_CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et "
    "eu ext fa fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id "
    "ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt "
    "my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv "
    "sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx"
)
LANGUAGES = frozenset(_CODES.split())

_Count = Annotated[int, Field(strict=True, ge=1)]
_Size = Annotated[int, Field(strict=True, ge=0)]
_Texts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


def _fault(told: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{told}", {"told": told})


def _bounds(low: int | None, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        raise _fault(f"min {low} is above max {high}, so no reply could hold it")


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Lines(_Options):
    count: _Count | None = None
    min: _Count | None = None
    max: _Count | None = None
    prefix: Annotated[str, Field(min_length=1)] | None = None
    longest: _Count | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.model_fields_set:
            raise _fault("lines needs count, min, max, prefix or longest")
        if self.count is not None and (self.min, self.max) != (None, None):
            raise _fault("lines has count and min or max; write one of them")
        _bounds(self.min, self.max)
        return self


class _Csv(_Options):
    columns: _Texts


class _Markdown(_Options):
    table: _Texts


class _Length(_Options):
    unit: Literal["characters", "words", "sentences", "tokens"]
    min: _Size | None = None
    max: _Count | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.min, self.max) == (None, None):
            raise _fault("length needs min, max or both")
        _bounds(self.min, self.max)
        return self


class _ToolCall(_Options):
    name: Annotated[str, Field(min_length=1)]
    arguments: Any = Field(default=None, alias="schema")


def _installed(package: str, extra: str, what: str) -> None:
    if find_spec(package) is None:
        told = f'{what} needs {package}: pip install "pytest-ftgate[{extra}]"'
        raise _fault(told)


def _function(value: Any) -> Any:
    try:
        reference, options = function_of(value)
    except ValueError as error:
        raise _fault(str(error)) from error
    wrong = form_fault(reference)
    if wrong:
        raise _fault(wrong)
    return {"function": reference, **options}


def _model(value: str) -> str:
    wrong = form_fault(value)
    if wrong:
        raise _fault(wrong.replace("no function", "no model").replace(":function", ":Model"))
    return value


def _pattern(value: str) -> str:
    wrong = pattern_fault(value)
    if wrong:
        raise _fault(wrong)
    return value


def _schema(value: Any) -> Any:
    if not isinstance(value, str | Mapping):
        raise PydanticCustomError("whole", "not a schema")
    return value


def _code(value: str) -> str:
    if value == "sql":
        _installed("sqlglot", "sql", "code: sql")
    return value


def _language(value: str) -> str:
    if value not in LANGUAGES:
        near = did_you_mean(value.lower().partition("-")[0], LANGUAGES)
        raise _fault(f'"{value}" is no language that can be told{near}')
    _installed("py3langid", "language", "language")
    return value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of format: the type of its value, and that in words with an example."""

    type: Any
    needs: str
    example: str


_Code = Literal["python", "json", "yaml", "sql"]
_FORMS = WithJsonSchema({"type": ["string", "object"]})

#: format kind -> what an author writes for it
FORMATS: Mapping[str, _Kind] = {
    "choice": _Kind(_Texts, "a list of labels", "{choice: [a, b]}"),
    "json_schema": _Kind(
        Annotated[Any, AfterValidator(_schema), _FORMS],
        "a schema or the path of one",
        "{json_schema: ticket.schema.json}",
    ),
    "pydantic": _Kind(
        Annotated[str, AfterValidator(_model)], "a model", '{pydantic: "package.module:Model"}'
    ),
    "regex": _Kind(Annotated[str, AfterValidator(_pattern)], "a pattern", '{regex: "^[A-Z]+$"}'),
    "lines": _Kind(_Lines, "a mapping", '{lines: {max: 5, prefix: "- "}}'),
    "xml": _Kind(_Texts, "a list of tags", "{xml: [reason, answer]}"),
    "csv": _Kind(_Csv, "a mapping", "{csv: {columns: [name, price]}}"),
    "markdown": _Kind(_Markdown, "a mapping", "{markdown: {table: [name, price]}}"),
    "code": _Kind(
        Annotated[_Code, AfterValidator(_code)], "python, json, yaml or sql", "{code: python}"
    ),
    "length": _Kind(_Length, "a mapping", "{length: {unit: words, max: 50}}"),
    "language": _Kind(
        Annotated[str, AfterValidator(_language)], "the code of a language", "{language: de}"
    ),
    "contains": _Kind(_Texts, "a list of texts", "{contains: [refund]}"),
    "avoids": _Kind(_Texts, "a list of texts", "{avoids: [guarantee]}"),
    "tool_call": _Kind(
        Annotated[_ToolCall, BeforeValidator(_named), _FORMS],
        "the name of a tool",
        "{tool_call: lookup_order}",
    ),
    "python": _Kind(
        Annotated[Any, BeforeValidator(_function), _FORMS],
        "a function",
        '{python: "package.module:function"}',
    ),
}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(FORMATS[kind].type)


def _read(raw: Any) -> Rule:
    if isinstance(raw, Rule):
        return raw
    kind, value = _single(raw)
    try:
        read = _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise _fault(_format_error(kind, dict(error.errors()[0]))) from error
    if isinstance(read, BaseModel):
        read = read.model_dump(by_alias=True, exclude_none=True)
    if kind == "python":
        options = dict(read)
        return Rule(kind, options.pop("function"), options)
    return Rule(kind, read)


def _single(raw: Any) -> tuple[str, Any]:
    kind, value = next(iter(raw.items())) if isinstance(raw, Mapping) and raw else (raw, None)
    if not isinstance(kind, str) or (isinstance(raw, Mapping) and len(raw) != 1):
        told = "format is one name with its value, such as {choice: [refund, other]}; "
        raise _fault(f"{told}several go into a list; known: {', '.join(FORMATS)}")
    if kind not in FORMATS:
        near = did_you_mean(kind, FORMATS)
        raise _fault(f'unknown format "{kind}"{near}; known: {", ".join(FORMATS)}')
    return kind, value


def _format_error(kind: str, error: dict[str, Any]) -> str:
    """Say what is wrong with the value of a format, and what to write."""
    form, where = FORMATS[kind], error["loc"]
    if error["type"] == "rule":
        told = str(error["msg"])
        return told if told.startswith(kind) or "pip" in told else f"{kind}: {told}"
    if not where or error["type"] == "whole":
        return f"{kind} needs {form.needs}: {form.example}"
    if error["type"] == "string_too_short":
        return f"{kind} has an empty text; leave it out, or write one as in {form.example}"
    known = keys_of(form.type) if isinstance(form.type, type) else ()
    told = sentence({**error, "loc": (kind, *where)}, known or ("name", "schema"), None)
    return f"{'' if told.startswith(kind) else f'{kind}: '}{told}, as in {form.example}"


def _listed(raw: Any) -> Any:
    if raw is None:
        return ()
    return raw if isinstance(raw, list | tuple) else [raw]


#: One format or several; each that is wrong is a fault of its own.
Format = Annotated[tuple[Annotated[Any, BeforeValidator(_read)], ...], BeforeValidator(_listed)]


def format_schema() -> dict[str, Any]:
    """Return the JSON Schema of one format."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {kind: _adapter(kind).json_schema() for kind in FORMATS},
        "additionalProperties": False,
    }


#: The types that a schema may name.
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def schema_fault(schema: Any) -> tuple[tuple[str | int, ...], str] | None:
    """Say where and why *schema* is none, or return None.

    The draft is the one that its ``$schema`` names, 2020-12 where it names none.

    Args:
        schema: what should be one, as JSON would have it.
    """
    import jsonschema_rs

    try:
        validator(json.dumps(schema))
    except ScorerError as error:
        cause = error.__cause__
        if isinstance(cause, jsonschema_rs.ValidationError):
            where = tuple(cause.instance_path)
            return where, _type_error(schema, where) or cause.message
        return (), str(error)
    except TypeError as error:
        return (), f"it holds what is no JSON: {error}"
    return None


def _type_error(schema: Any, where: tuple[str | int, ...]) -> str:
    """Say of a type that there is none; the library would list the forms that a type may have."""
    for key in where:
        schema = schema[key]
    if where[-1:] != ("type",) or not isinstance(schema, str):
        return ""
    near = did_you_mean(schema, TYPES) or f"; types: {', '.join(TYPES)}"
    return f'"{schema}" is no type{near}'


@lru_cache(maxsize=256)
def validator(schema: str) -> Any:
    """Return what checks a JSON Schema, given as JSON.

    Raises:
        ScorerError: it is no schema, or refers to one that would have to be fetched.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(json.loads(schema), retriever=_never_fetched)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise ScorerError(f"json_schema: not a schema: {str(error).splitlines()[0]}") from error


def _never_fetched(uri: str) -> Any:
    raise ValueError(f"{uri} lies outside the schema; nothing is fetched")


def read_format(source: Source, rule: Rule, line: Callable[..., int]) -> Rule:
    """Return *rule* with the JSON Schema that it names read and held to be one, or faults noted.

    Args:
        source: where it stands.
        rule: of any kind.
        line: gives the line of the rule, or of the value at the keys that lead to it from there.
    """
    if rule.kind == "json_schema":
        return Rule(rule.kind, _held(source, rule.value, line, ("json_schema",)))
    if rule.kind == "tool_call" and "schema" in rule.value:
        schema = _held(source, rule.value["schema"], line, ("tool_call", "schema"))
        return Rule(rule.kind, {**rule.value, "schema": schema})
    return rule


def _held(source: Source, value: Any, line: Callable[..., int], keys: tuple[str, ...]) -> Any:
    what, schema = ".".join(keys), value
    if isinstance(value, str):
        path = source.find(value, line(*keys), what)
        text = source.text(path, line(*keys), what) if path else None
        if text is None:
            return {}
        try:
            schema = json.loads(text)
        except ValueError as error:
            source.say(line(*keys), f"{what}: {value} is not JSON: {error}")
            return {}
    wrong = schema_fault(schema)
    if wrong:
        where, told = wrong
        # In a file the keys tell where; in the suite the line does too.
        place = f"at {'/'.join(['', *map(str, where)])}: " if where else ""
        name = f"{value} is no schema" if isinstance(value, str) else "no schema"
        source.say(line(*keys, *where), f"{what}: {name}: {place}{told}")
        return {}
    return schema
