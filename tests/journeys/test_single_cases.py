"""With --ftgate-case, a case runs as an ordinary test: for a debugger, and for its traceback."""

from __future__ import annotations

import sys

import pytest
from ftgate_testing.tables import every_row, heavy

from pytest_ftgate.plugin.cases import case_command

MODULE = """\
import pytest

S = "tickets.ftgate.yaml"

@pytest.mark.ftgate(S, max_drop=0.05)
@pytest.mark.parametrize("tone", ["formal"])
def test_it(case, reply, tone):
    assert reply.text == case.expected

@pytest.mark.ftgate(S, max_drop=0.05)
def test_scored(reply):
    return 0.4

def test_ordinary():
    pass
"""


@pytest.fixture
def red(desk):
    """A desk with a suite and two marked functions; one variant is wrong in 30 cases."""
    desk.suite(current=2, worse=30, gates="{accuracy: {max_drop: 0.05}, format: {min: 0.9}}")
    desk.path("test_it.py").write_text(MODULE)
    return desk


def test_gates_and_functions_run_on_the_case_alone(red):
    result = red.run("--ftgate-case=t003", "--ftgate-case=t050", "-v")

    result.assert_outcomes(passed=10, failed=6, deselected=1)
    result.stdout.fnmatch_lines_random(
        [
            "tickets.ftgate.yaml::accuracy[[]worse-t003] FAILED*",
            "tickets.ftgate.yaml::accuracy[[]worse-t050] PASSED*",
            "tickets.ftgate.yaml::format[[]worse-t003] PASSED*",
            "test_it.py::test_it[[]worse-t003-formal] FAILED*",
            "test_it.py::test_it[[]current-t003-formal] PASSED*",
            "      │ expected  refund",
            "      │ reply     billing",
            ">       assert reply.text == case.expected",
            "E       AssertionError: assert 'billing' == 'refund'*",
            "the function returned 0.4",
        ]
    )
    result.stdout.no_fnmatch_line("*= ftgate =*")
    assert result.ret == 1


def test_a_gate_prints_the_command_for_the_first_case_that_it_shows(red):
    result = red.run("-k", "worse and (accuracy or test_it)")

    result.stdout.fnmatch_lines_random(
        [
            '* --ftgate-case=t002 "tickets.ftgate.yaml::accuracy[[]worse-t002]"',
            '      pytest --ftgate --ftgate-case=t002 "test_it.py::test_it[[]worse-t002-formal]"',
        ]
    )
    (command,) = [line for line in result.outlines if "-t002-formal]" in line]
    again = red.run(*command.replace('"', "").split()[2:])
    again.assert_outcomes(failed=1)


@every_row(
    "case, command",
    [
        ("t1", '--ftgate-case=t1 "a.py::test_it[b-worse-t1]"'),
        ("two words", '--ftgate-case="two words" "a.py::test_it[b-worse-two words]"'),
        ("a$b", "--ftgate-case='a$b' 'a.py::test_it[b-worse-a$b]'"),
        ("größe", '--ftgate-case="größe" --ftgate-variant=worse a.py::test_it'),
    ],
)
def test_the_command_is_one_that_a_shell_reads_as_meant(case, command):
    assert case_command("a.py::test_it[b-worse]", "worse", (), case) == f"pytest --ftgate {command}"


def test_the_command_for_an_id_in_other_letters_runs_the_one_case_of_the_one_variant(red):
    for name in ("tickets.cases.jsonl", "current.jsonl", "worse.jsonl"):
        red.edit('"t002"', '"案例-2"', name)

    printed = red.run("-k", "accuracy and worse").outlines

    (command,) = [line for line in printed if "--ftgate-case=" in line]
    again = red.run(*command.replace('"', "").split()[2:])
    again.assert_outcomes(failed=1, passed=0)


def test_the_debugger_stops_in_the_assertion_of_the_user(red):
    words = (sys.executable, "-m", "pytest", "--ftgate", "--ftgate-case=t003", "--pdb")

    result = red.pytester.run(*words, "-k", "test_it and worse", stdin=b"p case.id\nq\n")

    result.stdout.fnmatch_lines(
        ["*test_it.py(8)test_it()", "-> assert reply.text == case.expected", "*'t003'"]
    )


def test_a_conversation_is_held_turn_by_turn(desk):
    desk.asking_suite(
        "def answer(case):\n    return ['first', 'second'][len(case.messages) > 1]\n",
        gates="{accuracy: {min: 0.5}}",
    )
    desk.marked(
        "def test_it(case, ask):\n"
        "    assert ask('one').text == 'first'\n    assert ask('two').text == 'third'\n"
    )

    result = desk.run("--ftgate-case=t003", "test_marked.py")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       assert ask('two').text == 'third'"])


@pytest.mark.parametrize("processes", [(), heavy(("-n1",))])
def test_a_misspelt_case_is_an_error_of_the_command_line(red, processes):
    result = red.run("--ftgate-case=t03", *processes)

    message = '--ftgate-case: "t03" is in no selected suite; did you mean "t0*"?'
    lines = [*result.outlines, *result.errlines]
    pytest.LineMatcher(lines).fnmatch_lines([f"ERROR: {message}"])
    assert result.ret == 4


@every_row(
    "options, message",
    [
        (("--ftgate", "--ftgate-accept"), "*--ftgate-accept does nothing with --ftgate-case*"),
        ((), "*--ftgate-case does nothing without --ftgate; add it"),
    ],
)
def test_what_cannot_be_combined_is_said(red, options, message):
    result = red.pytester.runpytest_inprocess(*options, "--ftgate-case=t003")

    pytest.LineMatcher(result.errlines).fnmatch_lines([message])
