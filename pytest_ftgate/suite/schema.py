"""The JSON Schema of suite files, made from the classes that validate them."""

from __future__ import annotations

import json
from typing import Any

from pytest_ftgate.suite.declared import DeclaredSuite
from pytest_ftgate.suite.formats import format_schema
from pytest_ftgate.suite.providers import PROVIDERS
from pytest_ftgate.suite.score_schema import score_schema

__all__ = ["suite_schema"]


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
