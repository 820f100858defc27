"""One run has one record, whichever way it is made."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.repositories import Repository

from pytest_ftgate import compare, evaluate

JSON = "--ftgate-json=run.json"
#: A hook that breaks once, at the first verdict, so that the run has a note.
BREAKS = """\
def pytest_ftgate_verdict(nodeid):
    if nodeid == "tickets.ftgate.yaml::accuracy[draft]":
        raise RuntimeError("closed")
"""
VARIANTS = {
    "current": "{provider: recorded, replies: current.jsonl, usd_per_1k: 1.5}",
    "draft": "{provider: recorded, replies: draft.jsonl, usd_per_1k: 3, rung: few-shot}",
    "floor": "{provider: recorded, replies: floor.jsonl, gated: false}",
}
BUILD_SERVER = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "shop/desk",
    "GITHUB_RUN_ID": "5",
    "GITHUB_SHA": "abc",
    "GITHUB_ACTOR": "ada",
}

#: What may differ between any two runs of one suite.
OF_TIME = {"at", "facts.duration", "requests.seconds"}
#: What the record of ``evaluate`` cannot have.
OF_PYTEST = {"facts.command", "facts.pytest"}
#: What the record of ``compare`` says of its files, and the record of pytest of the suite.
OF_FILES = {
    *OF_TIME,
    *OF_PYTEST,
    *("facts.commit", "facts.replies", "facts.suites"),
    *("file_changes.branch", "file_changes.commit", "file_changes.unknown"),
    *("suites[].name", "suites[].variants[].line", "suites[].cases[].location"),
    *("verdicts[].suite", "verdicts[].line", "verdicts[].declared", "verdicts[].flips[].where"),
    # A suite has a provider, and a place where a limit can be changed.
    *("verdicts[].facts.provider", "verdicts[].next"),
}
ABSENT = object()


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield the keys of two records whose values differ, without the numbers of rows."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            values = one.get(key, ABSENT), other.get(key, ABSENT)
            yield from differences(*values, f"{path}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for values in zip(one, other, strict=True):
            yield from differences(*values, f"{path}[]")
    elif one != other:
        yield path


def record(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return made


@pytest.fixture
def project(desk, monkeypatch):
    """A suite with all that a record holds, which differs from the main branch."""
    for name, value in {**BUILD_SERVER, "GITHUB_WORKSPACE": str(desk.pytester.path)}.items():
        monkeypatch.setenv(name, value)
    desk.path("conftest.py").write_text(BREAKS, "utf-8")
    for name, wrong in (("current", 4), ("draft", 30), ("floor", 50)):
        desk.replies(name, wrong=wrong)
    desk.suite_of(VARIANTS, "{accuracy: {min: 0.6, max_drop: 0.1}, format: {min: 0.9}}")
    suite = desk.path("tickets.ftgate.yaml")
    suite.write_text(f"ladder: {{}}\n{suite.read_text('utf-8')}", "utf-8")
    desk.path("old.ftgate.yaml").write_text("a suite that is deleted on this branch\n", "utf-8")
    repository = Repository.made(desk.pytester.path)
    desk.run("--ftgate-accept", "--ftgate-accept-failed", "tickets.ftgate.yaml")
    repository.commit()
    desk.path("old.ftgate.yaml").unlink()
    desk.replies("draft", wrong=31)
    return desk


def test_pytest_and_evaluate_make_the_same_record(project):
    project.run(JSON)

    run = evaluate("tickets.ftgate.yaml", rootdir=".")

    made = record(project.pytester.path)
    assert {*differences(made, json.loads(run.to_json()))} - OF_TIME == OF_PYTEST
    # The record holds all that could differ.
    assert {*made["facts"]} >= {"commit", "run", "run by", "source", "suites"}
    assert {one["name"]: one["change"] for one in made["file_changes"]["files"]} == {
        "draft.jsonl": "changed",
        "old.ftgate.yaml": "deleted",
    }
    assert made["cost"]["variants"] == {"current": 0.15, "draft": 0.3}
    ((accepted,),) = (suite["history"] for suite in made["suites"])
    assert (accepted["subject"], accepted["accuracy"]["current"]) == ("work", 0.96)
    assert made["facts"]["commit"].partition(" (with")[0].endswith("work")
    assert re.match("pytest_ftgate_verdict of .* broke", made["notes"][0])
    assert made["advice"]
    assert {verdict["variant"] for verdict in made["verdicts"] if not verdict["gated"]} == {"floor"}


def test_several_processes_make_the_record_of_one(project):
    project.run(JSON)
    alone = record(project.pytester.path)

    project.pytester.run(sys.executable, "-m", "pytest", "--ftgate", JSON, "-n", "2")

    together = record(project.pytester.path)
    for made in (alone, together):
        made["verdicts"].sort(key=lambda verdict: (verdict["gate"], verdict["variant"]))
    assert {*differences(alone, together)} - OF_TIME == {"facts.command"}


def test_files_make_the_record_of_the_suite_that_is_written_from_them(pytester, monkeypatch):
    pytester.makeini("[pytest]")
    base = write_rows(pytester.path / "base.jsonl", answer_rows(100, range(4)))
    tuned = write_rows(pytester.path / "tuned.jsonl", answer_rows(100, range(30)))
    result = compare(base, tuned)
    result.write(pytester.path / "tuned.ftgate.yaml")

    pytester.runpytest_inprocess("--ftgate", JSON)

    made = record(pytester.path)
    # The suite measures its base too; a comparison has verdicts on candidates alone.
    made["verdicts"] = [verdict for verdict in made["verdicts"] if verdict["gated"]]
    assert {*differences(made, json.loads(result.to_json()))} <= OF_FILES
    assert [verdict["variant"] for verdict in made["verdicts"]] == ["tuned"]
