"""The tutorials work as they stand there; one that needs a model is read as a suite."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_ftgate.readers.yaml import read_yaml
from pytest_ftgate.suite.schema import suite_schema

DOCS = Path(__file__).parents[2] / "docs"
FIRST = (DOCS / "tutorials" / "first-gate.md").read_text("utf-8")


def test_the_first_gate_is_red_as_the_page_shows_and_green_when_mended(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pytester.mkdir("prompts")
    files = dict(re.findall(r"```\w+\n# (prompts/\S+)\n(.*?)```", FIRST, re.DOTALL))
    assert len(files) == 3
    for name, text in files.items():
        (pytester.path / name).write_text(text, "utf-8")
    first, refusal = re.findall(
        r"```console\n\$ pytest --ftgate prompts/\n(.*?)```", FIRST, re.DOTALL
    )

    result = pytester.runpytest_inprocess("--ftgate", "prompts/")

    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in first.splitlines() if line])
    suite = pytester.path / "prompts" / "tickets.ftgate.yaml"
    suite.write_text(
        suite.read_text("utf-8").replace("min: 0.9, evidence: point", "max_drop: 0.1"), "utf-8"
    )
    refused = pytester.runpytest_inprocess("--ftgate", "prompts/")
    refused.stdout.fnmatch_lines([f"*{refusal.strip()}*"])


def test_the_suites_of_the_pages_are_valid_by_the_schema():
    # Blocks without cases are parts of a suite. What needs a model or an adapter is not run.
    import json

    import jsonschema_rs

    validator = jsonschema_rs.validator_for(json.loads(suite_schema()))
    pages = [*(DOCS / "tutorials").glob("*.md"), *(DOCS / "how-to").glob("*.md")]
    blocks = [b for p in pages for b in re.findall(r"```yaml\n(.*?)```", p.read_text(), re.DOTALL)]
    frame = {
        "cases": "x.jsonl",
        "variants": {"a": {"provider": "python"}},
        "gates": {"accuracy": {}},
    }

    named = json.loads(suite_schema())["$defs"]["DeclaredVariant"]["properties"]["provider"]
    if "bedrock-converse" not in json.dumps(named):
        blocks = [block for block in blocks if "bedrock-converse" not in block]
    values = [read_yaml(block, "page").value for block in blocks]

    assert values
    assert [v for v in values if not validator.is_valid({**frame, **v})] == []
