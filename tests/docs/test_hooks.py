"""What docs/hooks.md shows works as it stands there, and every hook has its example."""

from __future__ import annotations

import re
import shlex

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import assert_shows, page

from pytest_ftgate import hookspecs


def examples() -> dict[str, dict[str, str]]:
    """Return the code blocks under each hook by their language."""
    parts = re.split(r"^## (pytest_ftgate_\w+)\n", page("hooks"), flags=re.MULTILINE)
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
        write_rows(pytester.path / name, rows)
    (pytester.path / "conftest.py").write_text(blocks["python"], "utf-8")
    (pytester.path / "tickets.ftgate.yaml").write_text(blocks["yaml"], "utf-8")
    monkeypatch.setenv("COLUMNS", "80")
    typed, _, printed = blocks["console"].partition("\n")

    result = pytester.runpytest_inprocess(*shlex.split(typed)[2:])

    assert_shows(result, printed)
