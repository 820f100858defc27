"""The JSON Schema of suite files, derived from the classes that validate them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_ftgate.suite.declaration import DeclaredJudge, DeclaredSuite
from pytest_ftgate.suite.descriptions import DESCRIPTIONS
from pytest_ftgate.suite.formats import format_schema
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.scorers import SCORE_KINDS, SCORE_OPTIONS


def _score_schema() -> dict[str, Any]:
    """Return the JSON Schema of a score: a name, a name with its options, or a list of these."""
    name = {"enum": list(SCORE_KINDS)}
    options = {
        kind: {**model.model_json_schema(), "type": ["object", "null"]}
        for kind, model in SCORE_OPTIONS.items()
    }
    single = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {**options, "fields": {}, "python": {}, "judge": _judge_schema()},
        "additionalProperties": False,
    }
    weight = {"type": "number", "exclusiveMinimum": 0}
    weighted = {**{kind: {} for kind in SCORE_KINDS}, "weight": weight}
    part = {**single, "maxProperties": 2, "properties": weighted}
    several = {"type": "array", "minItems": 1, "items": {"oneOf": [name, part]}}
    return {"oneOf": [name, single, several]}


def _judge_schema() -> dict[str, Any]:
    # References do not resolve inside another schema, so their definitions replace them.
    schema = DeclaredJudge.model_json_schema()
    return dict(_inline_references(schema, schema.pop("$defs")))


def _inline_references(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            definition = definitions[schema["$ref"].rpartition("/")[2]]
            is_ours = definition.get("description") is not None
            return _inline_references(definition, definitions) if is_ours else {}
        return {key: _inline_references(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inline_references(item, definitions) for item in schema]
    return schema


def suite_schema() -> str:
    """Return the schema of a suite as indented JSON; ``suite.schema.json`` is a copy."""
    schema = DeclaredSuite.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    schema["title"] = "pytest-ftgate suite"
    schema["additionalProperties"] = False
    _add_validated_keys(schema["$defs"])
    for name, keys in DESCRIPTIONS.items():
        properties = schema["$defs"].get(name, schema)["properties"]
        for key, text in keys.items():
            properties[key]["description"] = text
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _add_validated_keys(definitions: dict[str, Any]) -> None:
    """Add the schemas of keys that functions validate instead of types."""
    reference = {"$ref": "#/$defs/Format"}
    definitions["Format"] = format_schema()
    definitions["Score"] = _score_schema()
    for name in ("DeclaredCase", "DeclaredReply"):
        properties = definitions[name]["properties"]
        properties["score"] = {"$ref": "#/$defs/Score"}
        properties["format"] = {"oneOf": [reference, {"type": "array", "items": reference}]}
    definitions["DeclaredVariant"]["properties"]["provider"] = {"enum": list(PROVIDERS)}
