"""What docs/hooks.md shows works as it stands there, and every hook has its example."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pytest_ftgate import hookspecs

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


def examples() -> dict[str, dict[str, str]]:
    """Return the code blocks under each hook by their language."""
    parts = re.split(r"^## (pytest_ftgate_\w+)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {
        name: dict(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL))
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_every_hook_has_an_example():
    assert [*examples()] != []
    assert {*examples()} == {name for name in vars(hookspecs) if name.startswith("pytest_ftgate_")}


@pytest.mark.parametrize("hook", examples())
def test_an_example_prints_what_the_page_says(pytester, monkeypatch, hook):
    blocks = examples()[hook]
    labels = ("billing", "refund")
    cases = [
        {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": labels[n % 2]}
        for n in range(100)
    ]
    replies = [{"id": case["id"], "text": case["expected"]} for case in cases]
    for wrong in replies[:2]:
        wrong["text"] = "neither"
    for name, rows in (("tickets.cases.jsonl", cases), ("current.jsonl", replies)):
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (pytester.path / name).write_text(lines, "utf-8")
    (pytester.path / "conftest.py").write_text(blocks["python"], "utf-8")
    (pytester.path / "tickets.ftgate.yaml").write_text(blocks["yaml"], "utf-8")
    monkeypatch.setenv("COLUMNS", "80")
    typed, *printed = blocks["console"].splitlines()

    result = pytester.runpytest_inprocess(*shlex.split(typed)[2:])

    # A star is the only wildcard.
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in printed])
