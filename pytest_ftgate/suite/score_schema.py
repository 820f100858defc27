"""The JSON Schema of a score, which editors read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.suite.judge import DeclaredJudge
from pytest_ftgate.suite.scores import OPTIONS, SCORES, Options

__all__ = ["score_schema"]


def score_schema() -> dict[str, Any]:
    """Return the JSON Schema of a score: a name, a name with its options, or a list of these."""
    named = {"enum": list(SCORES)}
    options = {kind: _options_schema(one) for kind, one in OPTIONS.items()}
    single = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {**options, "fields": {}, "python": {}, "judge": _judge_schema()},
        "additionalProperties": False,
    }
    weight = {"type": "number", "exclusiveMinimum": 0}
    weighed = {**{kind: {} for kind in SCORES}, "weight": weight}
    part = {**single, "maxProperties": 2, "properties": weighed}
    several = {"type": "array", "minItems": 1, "items": {"oneOf": [named, part]}}
    return {"oneOf": [named, single, several]}


def _judge_schema() -> dict[str, Any]:
    # Within another schema references would not lead anywhere, so what they lead to is put in.
    schema = DeclaredJudge.model_json_schema()
    return dict(_put_in(schema, schema.pop("$defs")))


def _put_in(schema: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            found = named[schema["$ref"].rpartition("/")[2]]
            return {} if found.get("description") is None else _put_in(found, named)
        return {key: _put_in(one, named) for key, one in schema.items()}
    return [_put_in(one, named) for one in schema] if isinstance(schema, list) else schema


def _options_schema(options: type[Options]) -> dict[str, Any]:
    return {**options.model_json_schema(), "type": ["object", "null"]}
