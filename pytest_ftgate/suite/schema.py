"""The JSON Schema of suite files, made from the classes that validate them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.suite.declaration import DeclaredJudge, DeclaredSuite
from pytest_ftgate.suite.formats import format_schema
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.scorers import OPTIONS, SCORES, Options

__all__ = ["score_schema", "suite_schema"]


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


def suite_schema() -> str:
    """Return the schema as indented JSON; ``suite.schema.json`` in this package is a copy."""
    schema = DeclaredSuite.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    schema["title"] = "pytest-ftgate suite"
    schema["additionalProperties"] = False
    _tell(schema["$defs"])
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _tell(parts: dict[str, Any]) -> None:
    """Say what the validators of single keys check, where the type alone does not say it."""
    parts["Format"], form = format_schema(), {"$ref": "#/$defs/Format"}
    parts["Score"] = score_schema()
    for part in ("DeclaredCase", "DeclaredReply"):
        parts[part]["properties"]["score"] = {"$ref": "#/$defs/Score"}
        parts[part]["properties"]["format"] = {"oneOf": [form, {"type": "array", "items": form}]}
    parts["DeclaredVariant"]["properties"]["provider"] = {"enum": list(PROVIDERS)}
