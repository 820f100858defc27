"""An inconclusive gate: neither a pass nor a fail, and it says what would settle it."""

from __future__ import annotations

import json

import pytest

from pytest_ftgate.cli.main import main
from pytest_ftgate.gates.statements import StepKind


@pytest.fixture
def unsettled(desk):
    """A variant that lost three cases in a hundred, where a drop of five is allowed."""
    desk.suite(current=2, draft=5)
    return desk


def test_an_inconclusive_gate_has_its_status_blocks_and_names_the_cases_that_settle_it(unsettled):
    result = unsettled.run("-v", "-rA")

    assert result.ret == 1
    assert str(result.stdout).count("short test summary info") == 1
    result.stdout.fnmatch_lines(
        [
            "tickets.ftgate.yaml::accuracy[[]draft] INCONCLUSIVE*",
            "  tickets.ftgate.yaml::accuracy[[]draft]",
            "  passed before, fails now (3 of 3)",
            "PASSED tickets.*",
            "INCONCLUSIVE tickets.*",
            "=* ftgate =*",
            "INCONCLUSIVE  1 of 2 gates; blocks, --ftgate-inconclusive=warn lets it pass",
            "? accuracy?draft?   DOWN 3 POINTS   (95 % CI 8 down to 1 up)   limit 5",
            "    current 98 % → draft 95 %   3 of 100 cases regressed, 0 fixed",
            "    A drop of 5 or more is still possible; so is no drop at all.",
            "    fix     add cases: about * more if nothing has changed, about *",
            "=* 1 passed, 1 inconclusive in *",
        ]
    )
    result.stdout.no_fnmatch_line("*a drop of +*")
    steps = unsettled.verdicts()["accuracy[draft]"]["next"]
    (values,) = (step["values"] for step in steps if step["kind"] == StepKind.ADD_CASES)
    assert 0 < values["unchanged"] < values["needed"]


def test_a_real_drop_within_the_limit_is_called_real(desk):
    desk.cases = 300
    desk.suite("{accuracy: {max_drop: 0.05}}", current=3, draft=13)

    desk.run().stdout.fnmatch_lines(
        ["    The drop is real. 300 cases cannot show that it stays below 5 points."]
    )


def test_too_few_groups_are_the_cause_on_every_screen(desk, monkeypatch, capsys):
    desk.suite("{accuracy: {min: 0.2}}", current=0)
    rows = [json.loads(line) for line in desk.path("tickets.cases.jsonl").read_text().splitlines()]
    desk.write_rows("tickets.cases.jsonl", [{**row, "group": row["expected"]} for row in rows[:2]])
    desk.replies("current")

    desk.run().stdout.fnmatch_lines(
        ["    2 groups of related cases; at least 10 are needed.", "    see     *"]
    )

    monkeypatch.chdir(desk.pytester.path)
    capsys.readouterr()
    assert main(["explain", "tickets.ftgate.yaml::accuracy[current]"]) == 0
    explained = " ".join(capsys.readouterr().out.split())
    assert "but the cases are in too few groups, so it is inconclusive." in explained
    assert "see pytest-ftgate explain" not in explained


def test_command_line_and_configuration_say_whether_a_warning_blocks(unsettled):
    warned = [unsettled.run("--ftgate-inconclusive=warn")]
    configured = '[tool.pytest.ini_options]\nftgate_inconclusive = "{}"\n'.format
    unsettled.pytester.makepyprojecttoml(configured("warn"))
    warned.append(unsettled.run())
    assert unsettled.run("--ftgate-inconclusive=fail").ret == 1
    unsettled.pytester.makepyprojecttoml(configured("ignore"))
    refused = unsettled.run()

    for result in warned:
        result.stdout.fnmatch_lines(
            ["PASSED  1 of 2 gates inconclusive*", "=* 1 passed, 1 inconclusive in *"]
        )
        assert result.ret == 0
    told = "ERROR: ftgate_inconclusive is ignore; write one of fail, warn"
    refused.stderr.fnmatch_lines([told])
    assert refused.ret == 4


@pytest.mark.parametrize("how", ["option", "key"])
def test_a_run_that_only_reports_shows_every_verdict_and_fails_no_test(desk, how):
    desk.suite(current=2, meh=8, worse=30, gates="{accuracy: {max_drop: 0.05}}")
    desk.path("pytest.ini").write_text(f"[pytest]\nftgate_report_only = {how == 'key'}\n")

    result = desk.run("-v", *(["--ftgate-report-only"] if how == "option" else []))

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "tickets.ftgate.yaml::accuracy[[]meh] INCONCLUSIVE*",
            "tickets.ftgate.yaml::accuracy[[]worse] REPORTED*",
            "BLOCKED  1 failed, 1 inconclusive of 3 gates*",
            "✗ accuracy[[]worse]   DOWN 28 POINTS *",
            "[?] accuracy[[]meh]   *",
            "this run reports verdicts only: none of them fails a test",
            "*1 passed, 1 inconclusive, 1 reported*",
        ]
    )
