"""docs/how-to/accept.md, followed to a green build, and the screen of docs/suite.md on the exam."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pytest_ftgate.results.accepted import read_record

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "accept.md").read_text("utf-8")
SUITE = "s.ftgate.yaml"
CASES = 200


def write_cases(folder: Path, numbers) -> None:
    rows = [{"id": f"c{n}", "input": f"question {n}", "expected": "yes"} for n in numbers]
    (folder / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def reply(folder: Path, variant: str, *, wrong: int) -> None:
    rows = [{"id": f"c{n}", "text": "no" if n < wrong else "yes"} for n in range(CASES)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / f"{variant}.jsonl").write_text(text, "utf-8")


def declare(folder: Path, gates: str, *variants: str, head: str = "") -> None:
    declared = (f"  {name}: {{provider: recorded, replies: {name}.jsonl}}\n" for name in variants)
    text = f"{head}cases: c.jsonl\nvariants:\n{''.join(declared)}gates: {gates}\n"
    (folder / SUITE).write_text(text, "utf-8")


@pytest.fixture
def folder(pytester, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    write_cases(pytester.path, range(CASES))
    return pytester.path


def run(pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("--ftgate", *arguments)


def command(option: str) -> list[str]:
    """Return the arguments of the command of the page that has *option*."""
    typed = next(c for c in re.findall(r"`(pytest [^`]*)`", PAGE) if f" {option} " in c)
    return [SUITE if word == "PATH" else word for word in shlex.split(typed)[2:]]


def test_a_drop_from_the_baseline_passes_once_the_candidate_is_the_baseline(folder, pytester):
    reply(folder, "current", wrong=2)
    reply(folder, "candidate", wrong=30)
    declare(folder, "{accuracy: {}}", "current", "candidate")
    accepting = run(pytester, *command("--ftgate-accept"))
    accepting.stdout.fnmatch_lines(["NOT ACCEPTED: accuracy[[]candidate] failed.*"])
    result = run(pytester)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["accuracy 99 % → 85 % against current*"])

    declare(folder, "{accuracy: {}}", "current", "candidate", head="baseline: candidate\n")
    run(pytester, *command("--ftgate-accept"))

    assert run(pytester).ret == 0


@pytest.mark.parametrize("releases", [1, 2])
def test_a_drop_from_accepted_results_passes_once_the_anchor_is_accepted(
    folder, pytester, releases
):
    declare(folder, "{accuracy: {}}", "current")
    for number in range(releases):
        reply(folder, "current", wrong=number)
        run(pytester, *command("--ftgate-accept"))
    reply(folder, "current", wrong=40)
    result = run(pytester)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["accuracy * → 80 % against accepted*"])

    run(pytester, *command("--ftgate-accept"), "--ftgate-accept-failed")
    assert run(pytester).ret == 1
    run(pytester, *command("--ftgate-accept-anchor"))

    assert run(pytester).ret == 0


def test_a_failed_run_is_accepted_with_both_options_alone(folder, pytester):
    reply(folder, "current", wrong=30)
    declare(folder, "{accuracy: {min: 0.95}}", "current")
    (shown,) = re.findall(r"```\n(NOT ACCEPTED.*?)```", PAGE, re.DOTALL)

    result = run(pytester, *command("--ftgate-accept"))

    lines = [line.replace("[", "[[]") for line in shown.splitlines()]
    result.stdout.fnmatch_lines(lines, consecutive=True)
    assert not (folder / "s.accepted.json").exists()

    accepting = run(pytester, *command("--ftgate-accept-failed"))

    assert accepting.ret == 1
    accepting.stdout.fnmatch_lines(["accepted current in *; commit it with the change (1 gate*"])
    assert (folder / "s.accepted.json").exists()


def test_a_rate_below_the_minimum_passes_with_a_lower_one(folder, pytester):
    reply(folder, "current", wrong=30)
    declare(folder, "{accuracy: {min: 0.95}}", "current")
    run(pytester, *command("--ftgate-accept"))
    assert run(pytester).ret == 1

    declare(folder, "{accuracy: {min: 0.75}}", "current")
    run(pytester, *command("--ftgate-accept"))

    assert run(pytester).ret == 0


def test_a_change_of_the_cases_is_accepted_and_shown_as_the_pages_say(folder, pytester):
    reply(folder, "current", wrong=6)
    declare(folder, "{accuracy: {max_drop: 0.08}}", "current")
    run(pytester, *command("--ftgate-accept"))
    write_cases(folder, range(46, CASES))
    suite = (DOCS / "suite.md").read_text("utf-8")
    (shown,) = re.findall(r"```\n(INCONCLUSIVE  1 of 1 gate: less.*?)```", suite, re.DOTALL)

    result = run(pytester, "--ftgate-inconclusive=warn")

    assert result.ret == 1
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in shown.splitlines() if line])
    accepting = run(pytester, *command("--ftgate-accept"))
    accepting.stdout.fnmatch_lines(["accepted accuracy*: 46 of 200 accepted cases are gone*"])
    (change,) = read_record(folder / "s.accepted.json", SUITE).changes.values()
    assert [(lost.kind, lost.count) for lost in change.lost] == [("gone", 46)]
    assert run(pytester).ret == 0
