"""The verb compare: its screen, its exit codes, and the files that it writes."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.answer_files import answer_rows, write_rows

from pytest_ftgate.cli.main import main

SCREEN = """\
base.jsonl → same.jsonl   150 cases paired by id, scored by "exact"
PASSED  accuracy 100.0 % → 99.3 %, down 0.7 points (95 % CI 3.7 down to 1.8 up),
  limit 10 (what 150 cases can show)
  1 of 150 cases regressed, 0 fixed

note: read id, question (input), expected, answer (reply)
keep it as a gate: add --write NAME.ftgate.yaml
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A base, and candidates that pass, fail and are inconclusive, in the working folder."""
    monkeypatch.chdir(tmp_path)
    sides = {"base": (), "same": [3], "worse": range(60), "unsure": range(6)}
    for name, wrong in sides.items():
        write_rows(tmp_path / f"{name}.jsonl", answer_rows(150, wrong))
    return tmp_path


@pytest.mark.parametrize(("arguments", "code"), [
    (["same.jsonl"], 0), (["worse.jsonl"], 1), (["same.jsonl", "worse.jsonl"], 1),
    (["unsure.jsonl", "--max-drop", "0.05"], 3), (["absent.jsonl"], 2),
    (["same.jsonl", "--scorer", "{numeric: ["], 2),
])  # fmt: skip
def test_the_exit_code_says_how_it_ended(files, capsys, arguments, code):
    assert main(["compare", "base.jsonl", *arguments]) == code


def test_the_screen_says_what_was_compared_and_how_to_keep_it(files, capsys):
    main(["compare", "base.jsonl", "same.jsonl"])

    assert capsys.readouterr().out == SCREEN


def test_reports_and_a_suite_are_written(files, capsys):
    reports = ["--markdown", "c.md", "--json", "c.json", "--write", "kept/qa.ftgate.yaml"]

    assert main(["compare", "base.jsonl", "worse.jsonl", *reports]) == 1

    assert "BLOCKED" in (files / "c.md").read_text("utf-8")
    assert json.loads((files / "c.json").read_bytes())["verdicts"][0]["outcome"] == "failed"
    assert sorted(path.name for path in (files / "kept").iterdir()) == [
        *("qa.base.jsonl", "qa.cases.jsonl", "qa.ftgate.yaml", "qa.worse.jsonl")
    ]
    assert "the same verdict: pytest --ftgate kept/qa.ftgate.yaml" in capsys.readouterr().out


def test_a_comparison_that_ends_with_an_error_leaves_no_report_of_an_earlier_one(files, capsys):
    reports = ["--json", "run.json", "--html", "page.html"]
    assert main(["compare", "base.jsonl", "same.jsonl", *reports]) == 0

    assert main(["compare", "base.jsonl", "absent.jsonl", *reports]) == 2

    assert not any((files / name).exists() for name in ("run.json", "page.html"))


def test_a_hostile_reply_cannot_speak_to_the_terminal(files, capsys):
    rows = [{**row, "answer": "\x1b[2J::error::x"} for row in answer_rows(150)]
    write_rows(files / "hostile.jsonl", rows)

    main(["compare", "base.jsonl", "hostile.jsonl"])

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert not any(line.startswith("::") for line in printed.splitlines())


def test_help_shows_examples_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])

    printed = capsys.readouterr().out
    assert "  pytest-ftgate compare base.jsonl tuned.jsonl\n" in printed
    assert "exit codes: 0 passed, 1 failed, 2 a file or an option cannot be used" in printed


@pytest.mark.parametrize(("lost", "said", "may_be_chance"), [
    (2, "worst tags: long 100 % → 96 % (down 4 points, 50 cases)", True),
    (5, "worst tags: long 100 % → 90 % (down 10 points, 50 cases)", False),
])  # fmt: skip
def test_the_tag_that_fell_most_is_told_and_whether_it_may_be_chance(
    files, capsys, lost, said, may_be_chance
):
    for name, wrong in (("tagged", 0), ("lost", lost)):
        rows = answer_rows(150, range(wrong), tags=lambda n: ["long" if n < 50 else "short"])
        write_rows(files / f"{name}.jsonl", rows)

    main(["compare", "tagged.jsonl", "lost.jsonl"])

    text = " ".join(capsys.readouterr().out.split())
    assert said in text
    assert (f"{said}, which may be chance" in text) is may_be_chance
