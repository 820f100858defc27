"""Someone writes the smallest useful suite and runs it."""

from __future__ import annotations

import pytest


def test_a_green_run_says_what_it_measured_in_two_lines(desk):
    desk.suite(current=2, short=0)

    result = desk.run()

    result.stdout.fnmatch_lines(
        [
            "=* ftgate =*",
            "PASSED  2 gates   accuracy: current 98 % (min 85 %), short 100 % (+2, limit 5)",
            "200 replies: 200 cached, 0 requested",
            "=* 2 passed in *",
        ],
        consecutive=True,
    )
    assert result.ret == 0


def test_a_variant_that_is_not_gated_is_measured_and_shown_beside_the_others(desk):
    desk.suite(current=2, strong=10)
    desk.edit("strong.jsonl", "strong.jsonl, gated: false")

    result = desk.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  not gated   strong 90 % (−8)"])


def test_a_forgotten_flag_is_named_unless_the_run_has_tests_of_its_own(desk):
    desk.suite(current=2)

    named = desk.pytester.runpytest("tickets.ftgate.yaml")
    untested = desk.pytester.runpytest(".")
    desk.pytester.makepyfile("def test_one(): pass")
    tested = desk.pytester.runpytest(".")

    named.stderr.fnmatch_lines(["ERROR: tickets.ftgate.yaml is a suite: add --ftgate"])
    assert named.ret == 4
    untested.stdout.fnmatch_lines(["1 suite was not evaluated: add --ftgate"])
    tested.stdout.no_fnmatch_line("*--ftgate*")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("tickets.ftgate.yml", "tickets.ftgate.yaml"),
        ("tickets.Ftgate.yaml", "tickets.ftgate.yaml"),
        ("ftgate.yaml", "ftgate.ftgate.yaml"),
    ],
)
def test_a_name_that_is_almost_that_of_a_suite_is_an_error_with_the_right_name(desk, name, right):
    desk.suite(current=2)
    suite = desk.path("tickets.ftgate.yaml").read_text("utf-8")
    desk.path("tickets.ftgate.yaml").rename(desk.path(name))
    desk.path("other.ftgate.yaml").write_text(suite, "utf-8")

    result = desk.run()

    result.stdout.fnmatch_lines([f"the name of a suite ends in .ftgate.yaml: rename it to {right}"])
    assert result.ret != 0


def test_a_file_of_another_tool_called_ftgate_is_passed_over(desk):
    desk.suite(current=2)
    desk.path("ci").mkdir()
    desk.path("ci/ftgate.yml").write_text("evaluate:\n  script: [pytest]\n  cases: 2\n")

    result = desk.run()

    result.stdout.no_fnmatch_line("*rename it*")
    result.assert_outcomes(passed=1)


def test_a_yaml_file_that_is_named_like_no_suite_is_answered_with_a_name(desk):
    desk.suite(current=2)
    path = desk.pytester.path / "tickets.ftgate.yaml"
    path.rename(path.with_name("suite.yaml"))

    result = desk.pytester.runpytest("--ftgate", "suite.yaml")

    result.stderr.fnmatch_lines(
        ["ERROR: suite.yaml is not read: the name of a suite ends in .ftgate.yaml*"]
    )


def test_a_gate_or_a_file_that_does_not_exist_is_answered_and_nothing_is_evaluated(desk):
    desk.suite(current=2)

    gate = desk.run("tickets.ftgate.yaml::accuracy[curent]")
    file = desk.run("nope.ftgate.yaml")

    gate.stderr.fnmatch_lines(["ERROR: tickets.ftgate.yaml has no gate accuracy?curent?;*"])
    near = desk.run("ticket.ftgate.yaml")
    told = 'ticket.ftgate.yaml; did you mean "tickets.ftgate.yaml"?'
    near.stderr.fnmatch_lines([f"ERROR: file or directory not found: {told}"])
    # Of a path that is like none pytest alone speaks.
    file.stderr.fnmatch_lines(["ERROR: file or directory not found: nope.ftgate.yaml"])
    file.stdout.no_fnmatch_line("*ftgate ===*")
    assert file.ret == pytest.ExitCode.USAGE_ERROR
