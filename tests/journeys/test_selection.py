"""pytest's own ways of choosing what runs work for gates."""

from __future__ import annotations

import json
import re

import pytest
from ftgate_testing.tables import every_row, heavy

#: Answers slowly enough that a run can end before all has been asked.
SLOW = """\
import time
from pathlib import Path

def answer(case):
    with Path(__file__).with_name("asked.txt").open("a") as stream:
        stream.write(case.id + "\\n")
    time.sleep(0.1)
    return case.expected
"""


@pytest.fixture
def two(desk):
    """A desk with a good variant and one that fails, and an ordinary test."""
    desk.suite(current=2, worse=30)
    desk.pytester.makepyprojecttoml('[tool.pytest.ini_options]\nmarkers = ["slow"]\n')
    desk.pytester.makepyfile(
        test_zebra="import pytest\n@pytest.mark.slow\ndef test_ordinary(): pass"
    )
    return desk


@every_row(
    "options, outcomes",
    [
        ((), {"passed": 2, "failed": 1}),
        (("--lf",), {"failed": 1}),
        (("-k", "current"), {"passed": 1, "deselected": 2}),
        (("-m", "slow"), {"passed": 1, "deselected": 2}),
        (("--ftgate-variant=current",), {"passed": 2, "deselected": 1}),
        (("tickets.ftgate.yaml::accuracy[worse]",), {"failed": 1}),
    ],
)
def test_gates_are_selected_as_tests_are_and_by_their_variant(two, options, outcomes):
    two.run(*options).assert_outcomes(**outcomes)


def test_gates_come_after_ordinary_tests_and_have_one_verdict_however_they_are_selected(two):
    result = two.run("-v")
    result.stdout.fnmatch_lines(["test_zebra.py::test_ordinary *", "tickets.ftgate.yaml::*"])
    whole = two.verdicts()["accuracy[worse]"]

    two.run("-k", "worse")

    assert two.verdicts()["accuracy[worse]"] == whole


def test_exit_first_cancels_calls_that_were_not_sent_and_leaves_gates_not_evaluated(desk):
    desk.replies("bad", wrong=60)
    desk.asking_suite(
        SLOW,
        bad="{provider: recorded, replies: bad.jsonl}",
        gates="{accuracy: {min: 0.85}}",
        first="bad",
    )

    result = desk.run("-x")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["BLOCKED  1 failed, 1 not evaluated of 2 gates*"])
    assert len(desk.asked()) < desk.cases


@every_row(
    "options, shown",
    [
        (("--collect-only", "-q"), "tickets.ftgate.yaml::accuracy[[]current]"),
        (("--setup-plan",), "*tickets.ftgate.yaml::accuracy[[]current]*"),
        (("--fixtures-per-test",), "*no tests ran*"),
    ],
)
def test_what_evaluates_nothing_asks_nothing_and_is_no_failure_to_judge(desk, options, shown):
    desk.asking_suite()

    result = desk.run(*options)

    result.stdout.fnmatch_lines([shown])
    result.stdout.no_fnmatch_line("no gate was evaluated*")
    assert (result.ret, desk.asked()) == (0, [])


@pytest.mark.parametrize(
    ("gate", "asked"),
    [
        pytest.param("min: 0.85, max_drop: none", 0, id="nothing compares with the baseline"),
        pytest.param("min: 0.85", 100, id="a minimum does not switch the comparison off"),
    ],
)
def test_a_gate_that_was_not_selected_costs_what_another_compares_with(desk, gate, asked):
    desk.replies("kept", wrong=0)
    desk.asking_suite(
        kept="{provider: recorded, replies: kept.jsonl}", gates=f"{{accuracy: {{{gate}}}}}"
    )

    for selection in (["-k", "kept"], ["--ftgate-variant=kept"]):
        plan = desk.run(*selection, "--ftgate-plan")
        (row,) = (line.split() for line in plan.outlines if line.startswith("  kept "))
        assert int(row[1]) + int(row[2]) == 100 + asked  # in the cache, and to send
        result = desk.run(*selection)

        result.assert_outcomes(passed=1, deselected=1)
        assert len(desk.asked()) == asked


@pytest.mark.parametrize("processes", [(), heavy(("-n2",))])
def test_an_error_in_the_command_line_is_all_that_is_said(two, processes):
    misspelt, nowhere = two.run("--ftgate-variant=curent", *processes), two.run("nowhere.py")

    told = [*misspelt.outlines, *misspelt.errlines]
    sentence = 'ERROR: --ftgate-variant: "curent" is in no suite; did you mean "current"?'
    assert [line for line in told if "curent" in line] == [sentence]
    assert not [line for line in told if "INTERNALERROR" in line]
    nowhere.stdout.no_fnmatch_line("*no gate*")
    assert (misspelt.ret, nowhere.ret) == (4, 4)


def test_a_selection_of_ordinary_tests_ends_as_it_does_without_gates(two):
    by_name, by_file = two.run("-k", "ordinary"), two.run("test_zebra.py")
    nothing = two.run("-k", "nothing")

    by_name.assert_outcomes(passed=1, deselected=2)
    by_file.assert_outcomes(passed=1)
    for result in (by_name, by_file, nothing):
        result.stdout.fnmatch_lines(["no gate was selected (suites are *.ftgate.yaml files)"])
    assert (by_name.ret, by_file.ret, nothing.ret) == (0, 0, 5)


def test_a_whole_project_or_a_selection_in_which_no_gate_was_evaluated_is_not_green(two):
    none_found = two.run("-o", "ftgate_files=*.other.yaml")
    two.marked("@pytest.mark.skip\ndef test_it(case, reply): pass\n")
    all_skipped = two.run("test_marked.py", "test_zebra.py")

    none_found.assert_outcomes(passed=1)
    all_skipped.assert_outcomes(passed=1, skipped=2)
    for result in (none_found, all_skipped):
        result.stdout.fnmatch_lines(["no gate was evaluated; *"])
        assert result.ret == 5
    all_skipped.stdout.fnmatch_lines(["*; every gate was skipped"])


def test_where_no_suite_lies_it_is_said_where_that_was_looked_for(desk):
    result = desk.run()

    assert result.ret == 5
    folder = desk.pytester.path
    told = " ".join(result.outlines)
    assert f"there is no *.ftgate.yaml below {folder}; pytest-ftgate init writes one" in told


def test_without_the_option_no_suite_is_collected(two):
    result = two.pytester.runpytest_inprocess()

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*ftgate.yaml*")


def copy_suite(desk, folder):
    """Copy the suite of *desk* and its files into a folder below."""
    desk.path(folder).mkdir(parents=True)
    for path in [*desk.pytester.path.glob("*.jsonl"), desk.path("tickets.ftgate.yaml")]:
        desk.path(f"{folder}/{path.name}").write_text(path.read_text("utf-8"), "utf-8")


@pytest.fixture
def four(two):
    """Four suites, and one more in folders that pytest does not look in."""
    for folder in ("a", "b", "c", ".hidden", "node_modules/x", "env/lib"):
        copy_suite(two, folder)
    two.path("env/pyvenv.cfg").touch()
    return two


@pytest.mark.parametrize("options", [(), heavy(("-q",)), heavy(("-n1",))])
def test_each_report_names_suites_without_a_selected_gate_and_gates_that_pytest_ini_deselects(
    four, options, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    name = "tickets.ftgate.yaml::accuracy[current]"
    four.path("pytest.ini").write_text(f"[pytest]\naddopts = --deselect={name}\n")
    reports = ("--ftgate-json=run.json", "--ftgate-markdown=run.md")

    result = four.run("tickets.ftgate.yaml", *reports, *options)

    # On the screen nothing is said of suites that the command does not name.
    told = f"1 gate deselected or skipped: {name}"
    result.stdout.fnmatch_lines([told.replace("[", "[[]")])
    run = json.loads(four.path("run.json").read_text("utf-8"))
    assert run["unselected"] == [f"{folder}/tickets.ftgate.yaml" for folder in "abc"]
    assert run["left_out"] == [name]
    written = four.path("run.md").read_text("utf-8")
    assert "1 gate deselected or skipped: " in written
    assert re.search(r"no gate was selected in 3 suites: a/.*, b/.* and 1 more", written)


def test_a_suite_of_which_each_gate_was_deselected_is_named(four):
    result = four.run("a", "b", "-k", "b/tickets or ordinary", "--deselect=b")

    assert "no gate was selected in 2 suites: a/" in result.stdout.str()


@every_row("text", ["", "cases: ["])
def test_of_a_whole_project_no_suite_is_named_though_one_cannot_be_read(four, text):
    if text:
        four.path("a/tickets.ftgate.yaml").write_text(text)

    assert "no gate was selected" not in four.run().stdout.str()


def test_a_gate_that_a_fixture_skips_is_named_and_one_that_is_expected_to_fail_is_not(two):
    two.pytester.makeconftest(
        "import pytest\n@pytest.fixture\ndef judge(): pytest.skip('no judge')\n"
    )
    two.marked("def test_it(case, reply, judge): pass\n")
    skipped = two.run("test_marked.py").stdout.str()
    two.marked("@pytest.mark.xfail\ndef test_it(case, reply):\n    assert False\n")
    expected = two.run("test_marked.py").stdout.str()

    assert " deselected or skipped: test_" in skipped
    assert "deselected or skipped" not in expected
