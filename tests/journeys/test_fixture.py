"""The fixture ``ftgate``: suites to ask, score and judge in ordinary tests."""

from __future__ import annotations

import pytest

USES = """\
from dataclasses import replace

import pytest
from pytest_ftgate import Outcome, ConfigurationError

@pytest.fixture(scope="module")
def suite(ftgate):
    return ftgate.suite("tickets.ftgate.yaml")

def test_a_case_is_asked_by_its_id_or_as_it_is(suite):
    assert suite.ask("current", "t003").text == "refund"
    assert suite.ask("current", suite.cases["t003"]).text == "refund"

def test_a_case_of_ones_own_is_asked_too(suite):
    own = replace(suite.cases["t003"], input="mine", expected="whatever I say")
    assert suite.ask("current", own).text == "whatever I say"

def test_the_fixture_has_the_scores_of_every_variant(suite):
    assert suite.variants == ("current", "worse")
    assert [round(float(one.correct.mean()), 2) for one in suite.scores.values()] == [1.0, 0.7]
    assert suite.scores["worse"].results["t000"].replies[0].text == "refund"

def test_a_verdict_is_that_of_the_gate(suite):
    assert suite.verdict("accuracy", "current").outcome is Outcome.PASSED
    verdict = suite.verdict("accuracy", "worse")
    assert verdict.outcome is Outcome.FAILED
    assert verdict.check.regressed == 30

@pytest.mark.parametrize(("call", "told"), [
    (lambda suite: suite.ask("curent", "t003"), 'no variant "curent"; did you mean "current"?'),
    (lambda suite: suite.ask("current", "nope"), 'no case "nope"; known: t000, t001, '),
    (lambda suite: suite.verdict("format", "current"), 'no gate "format"; known: accuracy'),
])
def test_what_is_not_there_is_told(suite, call, told):
    with pytest.raises(ConfigurationError, match="suite has ") as raised:
        call(suite)
    assert told in str(raised.value)

def test_a_file_that_is_not_there_is_told(ftgate):
    with pytest.raises(ConfigurationError, match=r"nope.ftgate.yaml does not exist"):
        ftgate.suite("nope.ftgate.yaml")
"""


@pytest.fixture
def used(desk):
    desk.replies("worse", wrong=30)
    desk.asking_suite(
        worse="{provider: recorded, replies: worse.jsonl}", gates="{accuracy: {max_drop: 0.05}}"
    )
    desk.path("test_uses.py").write_text(USES)
    return desk


def test_suites_are_asked_scored_and_judged_in_ordinary_tests(used):
    result = used.run("test_uses.py")

    result.assert_outcomes(passed=8)
    assert result.ret == 0
    # Each test makes the replies of functions for itself, since its fixture may patch them.
    assert len(used.asked()) == 2 * used.cases + 3


def test_without_the_option_they_are_skipped_and_ask_nothing(used):
    late = 'def test_late(request):\n    request.getfixturevalue("ftgate")\n'
    used.path("test_late.py").write_text(late, "utf-8")

    result = used.pytester.runpytest_inprocess("-rs")

    result.assert_outcomes(skipped=9)
    result.stdout.fnmatch_lines(["SKIPPED * evaluated with --ftgate only"])
    assert used.asked() == []


UNGATED = """\
def test_it(ftgate):
    assert ftgate.suite("tickets.ftgate.yaml").verdict("accuracy", "current").outcome == "passed"
"""


def test_a_gate_that_nothing_can_fail_has_no_verdict_that_a_test_reads_as_a_pass(desk):
    desk.suite(gates="{accuracy: {min: 0, max_drop: none}}", current=90)
    desk.path("test_ungated.py").write_text(UNGATED)

    result = desk.run("test_ungated.py")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigurationError: accuracy?current?: nothing can fail it: *"])
