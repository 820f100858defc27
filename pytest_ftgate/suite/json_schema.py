"""JSON Schemas: what checks by them, and whether one is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pytest_ftgate.errors import ScorerError, did_you_mean
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.source import Source

__all__ = ["TYPES", "read_format", "schema_fault", "validator"]

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
            return where, _told(schema, where) or cause.message
        return (), str(error)
    except TypeError as error:
        return (), f"it holds what is no JSON: {error}"
    return None


def _told(schema: Any, where: tuple[str | int, ...]) -> str:
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
