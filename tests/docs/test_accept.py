"""docs/how-to/accept.md, followed to a green build, and the screen of docs/suite.md on the exam."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import assert_shows, page
from ftgate_testing.repositories import Repository

from pytest_ftgate.cli.main import main
from pytest_ftgate.results.accepted import read_record

PAGE = page("how-to/accept")
SUITE = "s.ftgate.yaml"
CASES = 200


def write_cases(folder: Path, numbers) -> None:
    rows = [{"id": f"c{n}", "input": f"question {n}", "expected": "yes"} for n in numbers]
    write_rows(folder / "c.jsonl", rows)


def reply(folder: Path, variant: str, *, wrong: int) -> None:
    rows = [{"id": f"c{n}", "text": "no" if n < wrong else "yes"} for n in range(CASES)]
    write_rows(folder / f"{variant}.jsonl", rows)


def declare(folder: Path, gates: str, *variants: str, head: str = "") -> None:
    declared = (f"  {name}: {{provider: recorded, replies: {name}.jsonl}}\n" for name in variants)
    text = f"{head}cases: c.jsonl\nvariants:\n{''.join(declared)}gates: {gates}\n"
    (folder / SUITE).write_text(text, "utf-8")


def edit(folder: Path, before: str, after: str) -> None:
    text = (folder / SUITE).read_text("utf-8")
    assert before in text
    (folder / SUITE).write_text(text.replace(before, after), "utf-8")


@pytest.fixture
def folder(pytester, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    write_cases(pytester.path, range(CASES))
    return pytester.path


def run(pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("--ftgate", *arguments)


def row(start: str) -> list[str]:
    """Return the code in the row of a table of the page that *start* begins, in its order."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {start}"))
    return re.findall(r"`(.+?)`", line)


def arguments(command: str) -> list[str]:
    """Return the arguments of a command of the page, for the suite of the tests."""
    pytest_name, first, *rest = shlex.split(command)
    assert (pytest_name, first) == ("pytest", "--ftgate")
    return [SUITE if word == "PATH" else word for word in rest]


ACCEPT = arguments(row("later runs")[0])
ACCEPT_FAILED = arguments(row("a run with a failed gate")[0])
#: What replaces the record and the anchor.
ACCEPT_ANCHOR = arguments(row("*accepted* results")[1])


def assert_fails_against(result: pytest.RunResult, shown: str) -> None:
    """Assert that the second line of the failed gate begins with what the page shows."""
    assert result.ret == 1
    assert_shows(result, f"    {shown}*")


def test_a_drop_from_the_baseline_passes_once_the_candidate_is_the_baseline(folder, pytester):
    shown, key, *_ = row("the baseline")
    reply(folder, "current", wrong=2)
    reply(folder, "candidate", wrong=2)
    declare(folder, "{accuracy: {}}", "current", "candidate")
    run(pytester, *ACCEPT)
    reply(folder, "candidate", wrong=30)
    # The drop is from what was accepted of the candidate as well.
    assert run(pytester, *ACCEPT_ANCHOR).ret == 1
    assert_fails_against(run(pytester), shown)

    edit(folder, "cases:", f"{key}\ncases:")
    assert run(pytester).ret == 1
    run(pytester, *ACCEPT)

    assert run(pytester).ret == 0


@pytest.mark.parametrize("releases", [1, 2])
def test_a_drop_from_accepted_results_passes_once_the_anchor_is_accepted(
    folder, pytester, releases
):
    declare(folder, "{accuracy: {}}", "current")
    for number in range(releases):
        reply(folder, "current", wrong=number // 2)
        run(pytester, *ACCEPT)
    reply(folder, "current", wrong=40)
    result = run(pytester)
    assert_fails_against(result, row("*accepted* results")[0])
    offered = next(line for line in result.outlines if line.startswith("    accept  "))
    assert arguments(offered.removeprefix("    accept  ")) == ACCEPT_ANCHOR

    run(pytester, *ACCEPT_FAILED)
    assert run(pytester).ret == 1
    run(pytester, *ACCEPT_ANCHOR)

    assert run(pytester).ret == 0


def test_a_rate_below_the_minimum_passes_with_a_lower_one(folder, pytester):
    level, _, lower, declared = row("its minimum")
    reply(folder, "current", wrong=0)
    declare(folder, f"{{accuracy: {{{declared}, max_drop: none}}}}", "current")
    run(pytester, *ACCEPT)
    reply(folder, "current", wrong=44)
    result = run(pytester)
    assert result.ret == 1
    assert_shows(result, f"✗ accuracy[current]   {level} *\n    accept  {lower} *")

    edit(folder, declared, lower)
    assert run(pytester).ret == 1
    run(pytester, *ACCEPT)

    assert run(pytester).ret == 0


def test_no_limit_is_offered_where_the_page_says_that_none_is():
    ends = page("contributing/ends")
    for end in ("must_pass", "a part of the cases", "thoughts", "training data"):
        (shown,) = re.findall(rf"### failed: {end}\n\n```\n(.*?)```", ends, re.DOTALL)

        assert "    fix     " in shown
        assert "    accept  " not in shown, end


@pytest.mark.parametrize("wrong", [20, 40])
def test_no_limit_is_offered_that_allows_more_than_twice_as_much(folder, pytester, wrong):
    reply(folder, "current", wrong=wrong)
    declare(folder, "{accuracy: {min: 0.90}}", "current")

    result = run(pytester)

    assert result.ret == 1
    is_offered = any(line.startswith("    accept  ") for line in result.outlines)
    chosen = [line for line in result.outlines if "chosen after the result" in line]
    assert (is_offered, len(chosen)) == ((True, 1) if wrong == 20 else (False, 0))


def test_a_failed_run_is_accepted_with_both_options_alone(folder, pytester):
    reply(folder, "current", wrong=30)
    declare(folder, "{accuracy: {min: 0.95}}", "current")
    (shown,) = re.findall(r"```\n(NOT ACCEPTED.*?)```", PAGE, re.DOTALL)

    result = run(pytester, *ACCEPT)

    assert_shows(result, shown, consecutive=True)
    assert not (folder / "s.accepted.json").exists()

    accepting = run(pytester, *ACCEPT_FAILED)

    assert accepting.ret == 1
    accepting.stdout.fnmatch_lines(["accepted current in *; commit it with the change (1 gate*"])
    assert (folder / "s.accepted.json").exists()


def test_a_change_of_the_cases_is_accepted_and_shown_as_the_pages_say(folder, pytester):
    reply(folder, "current", wrong=6)
    declare(folder, "{accuracy: {max_drop: 0.08}}", "current")
    run(pytester, *ACCEPT)
    write_cases(folder, range(46, CASES))
    (shown,) = re.findall(r"```\n(INCONCLUSIVE  1 of 1 gate: less.*?)```", page("suite"), re.DOTALL)

    result = run(pytester, "--ftgate-inconclusive=warn")

    assert result.ret == 1
    assert_shows(result, shown, consecutive=True)
    (typed,) = re.findall(r"^2\. If .*: `(.*)`\.$", PAGE, re.MULTILINE)
    accepting = run(pytester, *arguments(typed))
    accepting.stdout.fnmatch_lines(["accepted accuracy*: 46 of 200 accepted cases are gone*"])
    (change,) = read_record(folder / "s.accepted.json", SUITE).changes.values()
    assert [(lost.kind, lost.count) for lost in change.lost] == [("gone", 46)]
    assert run(pytester).ret == 0


def test_the_version_that_serves_is_on_record_and_in_the_history(folder, pytester, capsys):
    key, option = row("the version that serves")
    name = key.partition(": ")[2]
    for variant in ("current", name):
        reply(folder, variant, wrong=2)
    declare(folder, "{accuracy: {}}", "current", name, head=f"{key}\n")
    run(pytester, option)
    Repository.made(folder).commit()
    (command,) = row("to know who")
    capsys.readouterr()

    assert main(shlex.split(command)[1:]) == 0

    assert f"Ada: serves {name}" in capsys.readouterr().out
