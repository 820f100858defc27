"""A user asks for reports: each is written once, tells the same, and can be made again."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import jsonschema_rs
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.cli.main import main
from pytest_ftgate.cli.record import schema_text

FACES = ("--ftgate-json=run.json", "--ftgate-html=out/report.html", "--ftgate-markdown=report.md")


@pytest.fixture
def red(desk):
    """A desk whose variant *worse* loses what *current* can."""
    desk.suite(current=2, worse=30)
    return desk


def record(desk, name="run.json"):
    return json.loads(desk.path(name).read_text("utf-8"))


def test_reports_are_written_and_said_and_made_again_from_a_record_that_fits_its_schema(
    red, capsys
):
    result = red.run(*FACES)

    result.assert_outcomes(passed=1, failed=1)
    for name in ("run.json", "out/report.html", "report.md"):
        assert red.path(name).stat().st_size > 1_000
        result.stdout.fnmatch_lines([f"wrote {name} (* kB)"])
    assert red.path("out/report.html").stat().st_size < 3_000_000

    made = record(red)
    jsonschema_rs.validator_for(json.loads(schema_text("run"))).validate(made)
    (suite,) = made["suites"]
    assert len(suite["cases"]) == 100
    assert {*suite["cases"][0]["answers"]} == {"current", "worse"}
    assert suite["cases"][0]["answers"]["worse"]["text"] == "refund"
    assert (made["verdict"], made["requests"]["replies"]) == ("blocked", 200)

    capsys.readouterr()
    assert main(["report", "tickets.ftgate.yaml"]) == 1
    for name in ("tickets.ftgate.yaml", "current.jsonl", "worse.jsonl", "tickets.cases.jsonl"):
        red.path(name).unlink()
    assert main(["report", "run.json", "--html", "again.html", "--markdown", "again.md"]) == 0
    assert main(["report", "run.json"]) == 0
    for name, again in (("out/report.html", "again.html"), ("report.md", "again.md")):
        assert red.path(again).read_bytes() == red.path(name).read_bytes()
    told = capsys.readouterr()
    assert "wrote again.html" in told.out
    assert "BLOCKED  1 of 2 gates failed" in told.out
    assert "is no run record; write one with pytest --ftgate --ftgate-json" in told.err


@every_row("option", ["--collect-only", "--setup-plan", "--ftgate-plan"])
def test_where_nothing_is_judged_nothing_is_written_and_nothing_removed(red, option):
    red.path("report.md").write_text("of an earlier run")

    red.run(*FACES, option)

    assert not red.path("run.json").exists()
    assert red.path("report.md").read_text() == "of an earlier run"


def test_a_process_that_ends_by_itself_leaves_no_report_of_an_earlier_run(desk):
    desk.suite(current=2)
    desk.run(*FACES).assert_outcomes(passed=1)
    desk.marked("def test_it(case, reply):\n    __import__('os')._exit(0)\n")

    # A test may end the process with any exit code.
    assert desk.pytester.runpytest_subprocess("--ftgate", *FACES).ret == 0

    assert [desk.path(one.partition("=")[2]).exists() for one in FACES] == [False] * len(FACES)


def test_a_report_that_cannot_be_written_is_said_and_changes_no_verdict(desk):
    desk.suite(current=2)
    desk.path("file").write_text("")

    result = desk.run("--ftgate-json=file/run.json", "--ftgate-markdown=report.md")

    assert result.ret == 0
    told = " ".join(result.stdout.str().split())
    assert re.search(r"the json report could not be written to \S+/file/run\.json: ", told)
    assert desk.path("report.md").exists()


def test_the_configuration_may_name_reports_from_the_root_on_and_a_link_there_stays(red):
    red.path("pytest.ini").write_text("[pytest]\nftgate_markdown = out/report.md\n")
    red.path("out").mkdir()
    red.path("target.md").touch()
    red.path("out/report.md").symlink_to(red.path("target.md"))

    red.run()

    assert red.path("out/report.md").is_symlink()
    assert "BLOCKED" in red.path("target.md").read_text("utf-8")


def test_a_folder_is_no_file_to_write_to_and_reports_without_gates_are_refused(red):
    red.path("out").mkdir()

    folder = red.run("--ftgate-html=out")
    alone = red.pytester.runpytest_inprocess("--ftgate-json=run.json")

    assert (folder.ret, alone.ret) == (4, 4)
    folder.stderr.fnmatch_lines(["*--ftgate-html: */out is a folder; name a file"])
    alone.stderr.fnmatch_lines(["*--ftgate-json does nothing without --ftgate; add it"])


def test_facts_are_the_command_the_time_the_suite_and_in_the_record_alone_who_ran_it(
    red, monkeypatch
):
    monkeypatch.setenv("GITLAB_USER_LOGIN", "ada-of-the-team")
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cret-canary")

    red.run(*FACES, "-o", "junit_suite_name=s3cret-canary")

    facts = record(red)["facts"]
    assert "junit_suite_name=[DEPLOY_TOKEN]" in facts["command"]
    assert facts["command"].startswith("pytest -W error ")
    assert re.fullmatch(r"\d+:\d\d", facts["duration"])
    assert facts["run by"] == "ada-of-the-team"
    digest = sha256(red.path("tickets.ftgate.yaml").read_bytes()).hexdigest()[:12]
    assert facts["suites"] == f"tickets.ftgate.yaml (sha256 {digest})"
    html, markdown = (
        red.path(name).read_text("utf-8") for name in ("out/report.html", "report.md")
    )
    assert "ada-of-the-team" not in html + markdown
    page = html.partition('id="facts"')[2]
    assert all(f"<dt>{name}</dt>" in page for name in ("command", "duration", "suites"))
    assert "<dt>replies</dt><dd>from the cache, then requests</dd>" in page


# On GitHub ------------------------------------------------------------------------------------


@pytest.fixture
def github(monkeypatch, tmp_path):
    """Judge as on GitHub; return the file of the step's summary."""
    summary = tmp_path / "summary.md"
    for name, value in {
        "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_RUN_ID": "5",
        "GITHUB_SERVER_URL": "https://github.example", "GITHUB_REPOSITORY": "shop/desk",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return summary


def test_the_summary_of_the_step_is_added_to_and_a_failed_gate_marked_in_the_changed_files(
    red, github
):
    github.write_text("what another step wrote\n")

    lines = red.run("--color=no").outlines

    text = github.read_text("utf-8")
    assert text.startswith("what another step wrote\n\n### 🔴 BLOCKED: 1 of 2 gates failed")
    assert "[the run](https://github.example/shop/desk/actions/runs/5)" in text
    (line,) = [one for one in lines if one.startswith("::error")]
    assert re.match(
        r"::error file=.*tickets\.ftgate\.yaml,line=6,title=accuracy\[worse\] failed", line
    )
    (head,) = [n for n, one in enumerate(lines) if "short test summary" in one]
    assert lines.index(line) > head


def test_a_full_summary_is_left_alone_and_that_is_said(red, github):
    github.write_text("x" * 1_000_000)

    result = red.run()

    assert github.stat().st_size == 1_000_000
    result.stdout.fnmatch_lines(["the step's summary is full, so the verdicts are not in it"])


def test_where_another_plugin_marks_failures_nothing_is_marked_twice(red, github):
    # The real one, by the name of its entry point, would be loaded in every run of this project.
    red.path("pytest_github_actions_annotate_failures.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--exclude-warning-annotations')\n"
    )
    red.pytester.syspathinsert()

    result = red.run("-p", "pytest_github_actions_annotate_failures")

    assert not [one for one in result.outlines if one.startswith("::error")]


def test_elsewhere_nothing_is_marked(red):
    assert not [one for one in red.run().outlines if one.startswith("::")]


# On a terminal --------------------------------------------------------------------------------


def test_a_gate_that_cannot_tell_is_in_the_short_summary_below_failures_where_that_is_wanted(desk):
    desk.suite(current=0, draft=4, worse=30)

    result, without = desk.run(), desk.run("-rN")

    result.stdout.fnmatch_lines(
        [
            "=* short test summary info =*",
            "FAILED *",
            "INCONCLUSIVE tickets.ftgate.yaml::accuracy?draft? - accuracy down 4.0 points *",
            "=* 1 failed, 1 passed, 1 inconclusive in *",
        ]
    )
    assert sum("short test summary info" in one for one in result.outlines) == 1
    assert not [one for one in without.outlines if one.startswith("INCONCLUSIVE tick")]


@every_row("words, has, lacks", [
    ("-q", ["    fix     ", "FAILED"], ["passed before", "label ", "passed     min"]),
    ("", ["    fix     ", "passed before, fails now (1 of 28", "✓ 1 passed "], ["It passes if"]),
    ("-v", ["passed before, fails now (10 of 28", "It passes if"], []),
    ("-vv", ["passed before, fails now (28 of 28)", "It passes if", "ftgate: details"], []),
])  # fmt: skip
def test_more_is_told_the_more_is_asked_for(red, words, has, lacks):
    text = red.run("-p", "no:xdist", *filter(None, [words])).stdout.str()

    assert [one for one in has if one not in text] == []
    assert [one for one in lacks if one in text] == []


def test_colour_only_helps(red):
    plain = red.run("--color=no").outlines
    coloured = red.run("--color=yes").outlines

    def told(lines):
        own = [re.sub(r"\x1b\[[\d;]*m", "", one) for one in lines]
        first, last = (
            next(n for n, one in enumerate(own) if name in one)
            for name in ("= ftgate =", "short test summary")
        )
        return own[first:last]

    assert told(plain) == told(coloured)
    assert any("\x1b[31m" in one and "FAILED" in one for one in coloured)
