"""The JSON Schema that editors read: shipped as made, and of one mind with the loader."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema_rs
import yaml

from pytest_ftgate.cli.record import schema_text

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))
from schemas import (  # noqa: E402
    described_keys,
    mappings_of_schema,
    run_schema,
    suite_schema,
)

EXAMPLE = ROOT / "examples" / "tickets" / "tickets.ftgate.yaml"

MINIMAL = """\
cases: tickets.cases.jsonl
variants: {current: {provider: anthropic, model: claude-haiku-5-5}}
gates: {accuracy: {min: 0.85}}
"""


SCHEMA = jsonschema_rs.validator_for(json.loads(suite_schema()))


def accepts(text):
    return SCHEMA.is_valid(yaml.safe_load(text))


TAKEN = [
    EXAMPLE.read_text("utf-8"),
    MINIMAL,
    MINIMAL.replace("tickets.cases.jsonl", "[{input: a, expected: b, tags: [x]}]"),
    f"{MINIMAL}reply: {{format: {{choice: [a, b]}}, score: choice}}\n",
    f"{MINIMAL}reply: {{format: [{{regex: a}}, {{json_schema: {{type: object}}}}]}}\n",
    f"{MINIMAL}reply: {{score: {{numeric: {{tolerance: 0.1}}}}}}\n",
    f"{MINIMAL}reply: {{score: {{fields: {{total: numeric, items: {{set: true}}}}}}}}\n",
    f"{MINIMAL}reply: {{score: [exact, {{similarity: {{by: rouge}}, weight: 2}}]}}\n",
    f"{MINIMAL}repeats: 3\nbaseline: current\nprompt: tickets.md\n",
]
REFUSED = [
    f"{MINIMAL}promt: tickets.md\n",
    MINIMAL.replace("model:", "modell:"),
    MINIMAL.replace("min:", "minimum:"),
    MINIMAL.replace("accuracy:", "acuracy:"),
    MINIMAL.replace("anthropic", "antropic"),
    MINIMAL.replace("0.85", "85"),
    MINIMAL.replace("gates:", "baseline:"),
    f"{MINIMAL}reply: {{format: {{choise: [a]}}}}\n",
    f"{MINIMAL}reply: {{score: exakt}}\n",
    f"{MINIMAL}reply: {{score: {{numeric: {{tolerance: -1}}}}}}\n",
    f"{MINIMAL}reply: {{score: [{{exact: {{}}, weight: 0}}]}}\n",
    f"{MINIMAL}repeats: 0\n",
]


def test_the_shipped_schemas_are_those_that_the_classes_make():
    # After a change: python docs/site.py reference
    assert schema_text("suite") + "\n" == suite_schema()
    assert schema_text("run") + "\n" == run_schema()


def test_suites_that_the_loader_takes_validate_and_those_that_it_refuses_do_not():
    assert [text for text in TAKEN if not accepts(text)] == []
    assert [text for text in REFUSED if accepts(text)] == []


def keys_of_schema():
    """Return each key of a suite file with its schema."""
    schema = json.loads(suite_schema())
    mappings = mappings_of_schema(schema)
    found = [(f"{name}.{key}", v) for name, keys in mappings for key, v in keys.items()]
    return schema["$defs"], found


def test_every_key_has_a_description_and_an_example():
    _, keys = keys_of_schema()

    bare = [name for name, value in keys if not {"description", "examples"} <= value.keys()]
    assert bare == []
    assert len(keys) > 200


def test_every_described_key_exists():
    names = {name for name, _ in keys_of_schema()[1]}
    extra = {f"{name}.{key}" for name, keys in described_keys().items() for key in keys} - names

    # The gates on rates share their keys, and only accuracy has a metric.
    assert extra == {"DeclaredFormatGate.claim", "DeclaredFormatGate.metric"}


def test_every_example_is_allowed():
    definitions, keys = keys_of_schema()

    for name, value in keys:
        validator = jsonschema_rs.validator_for({**value, "$defs": definitions})
        assert [name, *(e for e in value["examples"] if not validator.is_valid(e))] == [name]
