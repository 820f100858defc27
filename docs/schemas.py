"""The JSON Schemas of suite files and of run records, from the classes that validate them.

The package ships both: `python docs/site.py reference` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from pytest_ftgate.results.run import Report, json_adapter
from pytest_ftgate.suite.declaration import DeclaredJudge, DeclaredSuite
from pytest_ftgate.suite.formats import FORMAT_KINDS
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.rule import JAVASCRIPT
from pytest_ftgate.suite.scorers import SCORE_KINDS, SCORE_OPTIONS

PACKAGE = Path(__file__).parents[1] / "pytest_ftgate"
#: The sentences that a run record holds for its readers, by class; reading it ignores them.
_SENTENCES = {
    "Verdict": {"headline": "The verdict in one line."},
    "NextStep": {"text": "What to do.", "command": 'The command that does it, or "".'},
    "Note": {"text": "The note in a sentence, without its full stop."},
    "Advice": {"headline": "The recommendation and what it is about."},
    "Confirmation": {"text": "Whether held-out cases confirm the choice, and with which rate."},
}


def write_schemas() -> None:
    """Write both schemas to where the package ships them."""
    (PACKAGE / "suite" / "suite.schema.json").write_text(suite_schema(), "utf-8")
    (PACKAGE / "results" / "run.schema.json").write_text(run_schema(), "utf-8")


def run_schema() -> str:
    """Return the schema of a run record as indented JSON."""
    schema: dict[str, Any] = json_adapter(Report).json_schema(mode="serialization")
    for name, sentences in _SENTENCES.items():
        for key, description in sentences.items():
            schema["$defs"][name]["properties"][key] = {
                "description": description,
                "type": "string",
            }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema["title"] = "pytest-ftgate run record"
    return json.dumps({**head, **schema}, indent=1, ensure_ascii=False) + "\n"


# Suites ------------------------------------------------------------------------------------------


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
        "properties": {
            **options,
            "fields": {},
            "python": {},
            "all": {},
            "judge": _judge_schema(),
            JAVASCRIPT: _inlined(TypeAdapter(FORMAT_KINDS[JAVASCRIPT].type).json_schema()),
        },
        "additionalProperties": False,
    }
    weight = {"type": "number", "exclusiveMinimum": 0}
    weighted = {**{kind: {} for kind in SCORE_KINDS}, "weight": weight}
    part = {**single, "maxProperties": 2, "properties": weighted}
    several = {"type": "array", "minItems": 1, "items": {"oneOf": [name, part]}}
    return {"oneOf": [name, single, several]}


def _format_schema() -> dict[str, Any]:
    kinds = {kind: TypeAdapter(entry.type) for kind, entry in FORMAT_KINDS.items()}
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {kind: _inlined(adapter.json_schema()) for kind, adapter in kinds.items()},
        "additionalProperties": False,
    }


def _judge_schema() -> dict[str, Any]:
    return _inlined(DeclaredJudge.model_json_schema())


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* for use inside another one, where references to its parts do not resolve."""
    return dict(_inline_references(schema, schema.pop("$defs", {})))


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
    """Return the schema of a suite as indented JSON."""
    schema = DeclaredSuite.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    schema["title"] = "pytest-ftgate suite"
    schema["additionalProperties"] = False
    _add_validated_keys(schema["$defs"])
    _add_descriptions(schema)
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def described_keys() -> Mapping[str, Mapping[str, tuple[str, Any]]]:
    """Return the description and an example of each key, by the name of its mapping."""
    path = Path(__file__).with_name("suite_keys.yaml")
    return dict(yaml.safe_load(path.read_text("utf-8")))


def reference_notes() -> Mapping[str, Any]:
    """Return what the generated pages say below their tables, as Markdown."""
    path = Path(__file__).with_name("reference_notes.yaml")
    return dict(yaml.safe_load(path.read_text("utf-8")))


def mappings_of_schema(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the ``properties`` of each mapping of a suite file."""
    yield "DeclaredSuite", schema["properties"]
    definitions = schema["$defs"]
    for name, definition in definitions.items():
        if "properties" in definition:
            yield name, definition["properties"]
    for kind, value in definitions["Format"]["properties"].items():
        yield from _inner_mappings(f"format.{kind}", value)
    _, single, several = definitions["Score"]["oneOf"]
    yield "Score", single["properties"]
    yield "Score", several["items"]["oneOf"][1]["properties"]
    for kind, value in single["properties"].items():
        yield from _inner_mappings(f"score.{kind}", value)


def _inner_mappings(name: str, schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mapping that *schema* describes, and those inside it."""
    for alternative in schema.get("anyOf", (schema,)):
        properties = alternative.get("properties")
        if properties:
            yield name, properties
            for key, value in properties.items():
                yield from _inner_mappings(f"{name}.{key}", value)


def _add_descriptions(schema: dict[str, Any]) -> None:
    described = described_keys()
    for name, properties in mappings_of_schema(schema):
        for key, value in properties.items():
            if key in described.get(name, {}):
                text, example = described[name][key]
                properties[key] = {**value, "description": text, "examples": [example]}


def _add_validated_keys(definitions: dict[str, Any]) -> None:
    """Add the schemas of keys that functions validate instead of types."""
    reference = {"$ref": "#/$defs/Format"}
    definitions["Format"] = _format_schema()
    definitions["Score"] = _score_schema()
    for name in ("DeclaredCase", "DeclaredReply"):
        properties = definitions[name]["properties"]
        properties["score"] = {"$ref": "#/$defs/Score"}
        properties["format"] = {"oneOf": [reference, {"type": "array", "items": reference}]}
    definitions["DeclaredVariant"]["properties"]["provider"] = {"enum": list(PROVIDERS)}
