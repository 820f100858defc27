"""What a user sees of a marked function is what pytest shows of a test, and nothing of ours."""

from __future__ import annotations

import re
import sys

import pytest
from ftgate_testing.foreign_plugins import TWICE

MODULE = """\
import pytest

S = "tickets.ftgate.yaml"

@pytest.fixture
def broken():
    print("from the fixture")
    raise RuntimeError("the database is down")

@pytest.fixture
def chatty():
    print("a fixture is set up")

@pytest.mark.ftgate(S, min=0.5)
def test_broken(case, reply, broken): pass

def test_typo(ftgate):
    ftgate.suite(S).verdict("acuracy", "worse")

@pytest.mark.ftgate(S, max_drop=0.05)
def test_prints(case, reply, chatty):
    print("saw", case.id)
    assert reply.text == case.expected

@pytest.mark.ftgate(S, max_drop=0.05)
@pytest.mark.xfail(raises=AssertionError)
def test_expected(case, reply):
    assert reply.text == case.expected

@pytest.mark.ftgate(S, min=0.8)
def test_stops(case, reply):
    print("this one", case.id)
    assert case.id != "t003" or {}[case.id]
"""


@pytest.fixture
def guest(desk):
    """A desk with a module of marked functions."""
    desk.suite(current=2, worse=30)
    desk.path("test_marked.py").write_text(MODULE)
    return desk


def test_errors_are_shown_at_the_lines_of_the_user_alone(guest):
    result = guest.run("-k", "current and (broken or stops) or typo")

    result.assert_outcomes(errors=2, failed=1)
    own = re.compile(r"pytest_ftgate/|>       yield|_shown_at_the_test")
    assert [line for line in result.outlines if own.search(line)] == []
    result.stdout.fnmatch_lines(
        [
            "E       RuntimeError: the database is down",
            "E   * KeyError: 't003'",
            "this one t003",
            '>       ftgate.suite(S).verdict("acuracy", "worse")',
        ]
    )


def test_printed_lines_stand_beside_their_case(guest):
    result = guest.run("-k", "prints", "-rP")

    result.stdout.fnmatch_lines(
        [
            "    t002 *",
            "      │ E   AssertionError: assert 'refund' == 'billing'*",
            "      │ printed:",
            "      │ saw t002",
            "*Captured stdout setup*",
            "a fixture is set up",
            # Of a gate that passed, pytest shows the lines where -rP asks for them.
            "t099: saw t099",
        ]
    )
    assert [line for line in result.outlines if line.startswith("saw ")] == []


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest 8 refuses such a function")
def test_a_static_method_outside_a_class_is_a_gate_too(desk):
    desk.suite(current=2)
    desk.marked("@staticmethod\ndef test_it(case, reply):\n    return False\n", "min=0.5")

    desk.run("test_marked.py").assert_outcomes(failed=1)
    desk.pytester.runpytest_inprocess("test_marked.py").assert_outcomes(skipped=1)


STATIC = """\
@staticmethod
async def answer(case):
    return case.expected

class Answers:
    async def __call__(self, case):
        return case.expected

answers = Answers()

@staticmethod
def score(case, reply):
    return float(reply.text == case.expected)

@staticmethod
def form(reply, case):
    return reply in ("billing", "refund")
"""


def test_static_functions_and_objects_that_are_called_answer_and_score(desk):
    desk.path("parts.py").write_text(STATIC, "utf-8")
    desk.suite_of(
        {
            "current": '{provider: python, function: "parts:answer"}',
            "object": '{provider: python, function: "parts:answers"}',
        },
        "{accuracy: {min: 0.9, max_drop: 0.05}}",
    )
    suite = desk.path("tickets.ftgate.yaml")
    rules = '{format: {python: "parts:form"}, score: {python: "parts:score"}}'
    suite.write_text(suite.read_text().replace("{format: {choice: [billing, refund]}}", rules))

    desk.run().assert_outcomes(passed=2)


def test_a_verdict_that_blocks_is_a_failed_assertion_for_every_plugin(guest):
    guest.path("conftest.py").write_text(
        "def pytest_exception_interact(node, call):\n"
        "    kind = isinstance(call.excinfo.value, AssertionError)\n"
        "    print(node.name, kind, *getattr(node, 'callspec', node).params.values())\n"
    )

    result = guest.run("-k", "worse and (expected or prints)", "-s")

    result.assert_outcomes(failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["*test_prints[[]worse] True worse worse"])


def test_skipped_gates_are_listed_by_their_own_lines(guest):
    result = guest.pytester.runpytest_inprocess(
        *("-rs", "-W", "error", "-W", TWICE, "-k", "typo or prints")
    )

    result.stdout.fnmatch_lines(
        [
            # The fixture's user has no mark of its own, so pytest leaves out the line.
            "SKIPPED [[]1] test_marked.py: evaluated with --ftgate only",
            "SKIPPED [[]1] test_marked.py:20: evaluated with --ftgate only",
        ]
    )


def test_after_the_debugger_is_left_the_gate_that_failed_has_its_verdict(guest):
    result = guest.pytester.run(
        *(sys.executable, "-m", "pytest", "--ftgate", "--pdb", "-k", "prints and worse"),
        stdin=b"q\n",
    )

    result.stdout.fnmatch_lines(["BLOCKED  1 of 1 gate failed *"])


ERRORS = """\
import unittest
import pytest

gate = pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5)

@pytest.fixture
def narrow():
    pass

@pytest.fixture(scope="session")
def wide(narrow):
    pass

@gate
def test_scope(case, reply, wide): pass

class TestOld(unittest.TestCase):
    @gate
    def test_old(self): pass

@gate
def test_body(case, reply):
    reply.txet
"""


@pytest.fixture
def erring(desk):
    """A desk with functions that are errors: of scope, of their class, and in their body."""
    desk.suite(current=2, worse=30)
    desk.path("test_errors.py").write_text(ERRORS)
    return desk


def test_an_error_within_pytest_is_one_line_without_a_place(erring):
    result = erring.run("test_errors.py", "-k", "scope and current or old")

    result.assert_outcomes(errors=2, deselected=3)
    closing = result.stdout.str().partition("= ftgate =")[2]
    assert "ScopeMismatch: You tried to access the function scoped fixture" in closing
    assert "this test is marked with ftgate and is no gate" in closing
    assert not re.search(r"_pytest|\.py:\d|Requesting fixture stack|Failed:", closing)


def test_an_error_in_the_body_is_shown_once_for_all_variants(erring):
    result = erring.run("test_errors.py", "-k", "body")

    result.assert_outcomes(errors=2, deselected=3)
    assert result.stdout.str().count(">       reply.txet") == 1
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_body?worse?*",
            "the same error as test_errors.py::test_body?current?",
            "✗ test_errors.py::test_body?current?, test_errors.py::test_body?worse?",
            "    AttributeError: 'Reply' object has no attribute 'txet'",
            '    on case "t000" (tickets.cases.jsonl:1)',
            "    test_errors.py:23",
        ]
    )


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("-x", "stopped at the first failure (-x)"),
        ("--maxfail=2", "stopped after 2 failures (--maxfail=2)"),
    ],
)
def test_gates_after_the_last_failure_that_is_allowed_say_which_option_stopped(
    erring, option, reason
):
    result = erring.run(option, "test_errors.py", "-k", "body or scope")

    result.stdout.fnmatch_lines([f"    {reason}"])
    result.stdout.no_fnmatch_line("*the run ended first*")
