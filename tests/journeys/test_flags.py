"""Every flag that a pytest user knows does with gates what it does with tests.

The table of docs/pytest.md has a row for each; it is held to what is tested here.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from itertools import chain
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"
MODULE = """\
import pytest

def test_plain():
    pass

@pytest.mark.ftgate("tickets.ftgate.yaml", max_drop=0.05)
def test_it(case, reply):
    assert reply.text == case.expected
"""
ALL = {"passed": 3, "failed": 2}


@pytest.fixture
def both(desk):
    """A desk with a suite, a marked function and an ordinary test; one variant fails."""
    desk.suite(current=2, worse=30, gates="{accuracy: {max_drop: 0.05}}")
    desk.path("test_it.py").write_text(MODULE)
    return desk


#: Whether plugins have their say though no summary is wanted.
SUMMED = pytest.version_tuple >= (9, 2)
#: Flags, as a user types them, the outcomes, and lines of what is printed.
FLAGS = {
    ("-k worse", "-v"): (
        {"failed": 2, "deselected": 3},
        ["test_it.py::test_it[[]worse] FAILED*", "  passed before, fails now (10 of 28*"],
    ),
    ("-m ftgate", "--showlocals"): (
        {"passed": 2, "failed": 2, "deselected": 1},
        ["      │ *case       = Case(id='t002'*"],
    ),
    ("-x", "--tb=native"): (
        {"passed": 2, "failed": 1},
        ['      │   File "*test_it.py", line 8, in test_it', "*stopping after 1 failures*"],
    ),
    ("--maxfail=2", "--tb=long", "--no-header"): (
        ALL,
        [
            "      │ >       assert reply.text == case.expected",
            "BLOCKED  2 of 4 gates failed*",
            "*stopping after 2 failures*",
        ],
    ),
    ("--collect-only -q",): (
        {},
        ["test_it.py::test_plain", "tickets.ftgate.yaml::accuracy[[]worse]"],
    ),
    ("--setup-plan",): ({}, ["*test_it.py::test_it[[]worse] (fixtures used: case, reply)"]),
    ("--setup-only",): ({}, ["*test_it.py::test_it[[]worse] (fixtures used: case, reply)"]),
    ("--setup-show", "--tb=short"): (
        ALL,
        [
            "*test_it.py::test_it[[]worse] (fixtures used: case, reply)*F",
            "      │ test_it.py:8: in test_it",
        ],
    ),
    ("--durations=0 -vv",): (
        ALL,
        ["  passed before, fails now (28 of 28)", "*s setup    test_it.py::test_it[[]current]"],
    ),
    ("-q", "--tb=line"): (
        ALL,
        ["..F.F*", "*it: down 28 points *limit 5: current 98 % → *", "BLOCKED  2 of 4 gates*"],
    ),
    ("--tb=no",): (ALL, ["FAILED test_it.py::test_it[[]worse] - it: down 28 points *"]),
    ("--no-summary",): (
        ALL,
        ["BLOCKED  2 of 4 gates failed*" if SUMMED else "*2 failed, 3 passed*"],
    ),
    ("--color=yes",): (
        {},
        ["      │ E     - billing", "*\x1b[[]1mBLOCKED\x1b[[]0m  2 of 4 gates failed*"],
    ),
}


#: Flags that change nothing that is printed of gates.
TOGETHER = (
    *("--strict-markers", "--strict-config", "--override-ini=strict=true", "-s"),
    *("-p no:cacheprovider", "-p no:logging", "--import-mode=importlib", "--basetemp=tmp"),
)


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_flag_does_what_it_does_with_tests(both, flags):
    outcomes, lines = FLAGS[flags]

    result = both.run(*" ".join(flags).split())

    if outcomes:
        result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(lines)
    assert result.ret == (1 if outcomes.get("failed") or "--color=yes" in flags else 0)


@pytest.mark.parametrize(("flags", "shown"), [("-q", 0), ("", 1), ("-v", 10), ("-vv", 28)])
def test_verbosity_decides_how_many_cases_are_shown(both, flags, shown):
    result = both.run(*flags.split(), "-k", "test_it and worse")

    assert result.stdout.str().count("      │ expected  ") == shown


def test_flags_that_are_no_matter_of_gates_change_nothing(both):
    both.run(*" ".join(TOGETHER).split()).assert_outcomes(**ALL)


def test_last_failed_and_failed_first_know_gates(both):
    both.run()

    both.run("--lf").assert_outcomes(failed=2)

    result = both.run("--ff", "-v")
    result.assert_outcomes(**ALL)
    nodes = [line.split()[0] for line in result.outlines if re.search(r" (PASSED|FAILED) ", line)]
    assert {*nodes[:2]} == {"test_it.py::test_it[worse]", "tickets.ftgate.yaml::accuracy[worse]"}


def test_stepwise_goes_on_at_the_gate_that_failed(both):
    both.run("--sw").assert_outcomes(passed=2, failed=1)
    result = both.run("--sw", "-v")

    result.stdout.fnmatch_lines(["stepwise: skipping 2 already passed items*"])
    result.assert_outcomes(failed=1, deselected=2)


def test_new_first_keeps_gates_after_ordinary_tests(both):
    both.run()
    both.path("test_new.py").write_text("def test_new(): pass\n")

    result = both.run("--nf", "-v")

    nodes = [line.split()[0] for line in result.outlines if re.search(r" (PASSED|FAILED) ", line)]
    assert nodes[:2] == ["test_new.py::test_new", "test_it.py::test_plain"]


@pytest.mark.skipif(
    pytest.version_tuple < (9,), reason="pytest 8.2 explains no assert without its terminal plugin"
)
def test_without_the_plugins_of_the_terminal_the_verdict_is_in_the_junit_file(both):
    off = [word for name in ("terminal", "setuponly", "cacheprovider") for word in ("-p", name)]
    options = [f"no:{word}" if word != "-p" else word for word in off]

    result = both.run(*options, "-k", "test_it")

    assert (result.ret, result.outlines) == (1, [])
    (failure,) = ET.parse(both.path("junit.xml")).iter("failure")
    assert failure.get("message", "").startswith(
        "it: down 28 points (95 % CI 20 to 37), limit 5: current 98 %"
    )


def test_a_junit_file_carries_the_verdicts_and_tells_errors_from_failures(both):
    both.path("test_it.py").write_text(MODULE.replace("reply.text ==", "{}[0] =="))

    both.run().assert_outcomes(passed=2, failed=1, errors=2)

    text = both.path("junit.xml").read_text()
    assert 'errors="2" failures="1"' in text
    assert both.verdicts()["accuracy[worse]"]["outcome"] == "failed"


@pytest.mark.heavy
def test_optimised_python_judges_the_same(both):
    both.run()
    plain = both.verdicts()
    junit = f"--junitxml={both.path('junit.xml')}"

    result = both.pytester.run(*(sys.executable, "-O", "-m", "pytest", "--ftgate", junit))

    result.assert_outcomes(**ALL)
    assert both.verdicts() == plain


def test_python_that_leaves_out_every_assert_evaluates_nothing(both):
    command = (sys.executable, "-O", "-m", "pytest", "--ftgate", "--assert=plain")

    result = both.pytester.run(*command)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*python -O and --assert=plain leave out every assert: drop one"])


def test_the_colours_of_a_terminal_are_in_no_verdict(both):
    both.run()
    plain = both.verdicts()

    both.run("--color=yes")

    assert both.verdicts() == plain
    assert "- billing" in plain["test_it[worse]"]["flips"][0]["wrong"]


def test_ordinary_tests_are_untouched_in_number_and_order(both):
    both.pytester.makepyfile(
        test_a="def test_two(): pass\ndef test_one(): pass", test_z="def test_last(): pass"
    )
    plain = both.pytester.runpytest_inprocess(
        "-v", "-p", "no:pytest_ftgate", "--deselect=test_it.py"
    )

    gated = both.run("-v")

    def order(result):
        return [x.split()[0] for x in result.outlines if re.match(r"test_[az]\S* PASSED", x)]

    assert order(gated) == order(plain)
    assert len(order(plain)) == 3


#: Flags that have a test of their own, here or in test_beside.py and test_selection.py.
ELSEWHERE = (
    *("--lf", "--ff", "--sw", "--nf", "--pdb", "-p no:terminal", "-p no:setuponly"),
    *("--junitxml=FILE", "python -O", "-n N"),
    "-W error",  # with each run at a desk
    *("--retries=N", "--force-flaky", "--splits=N", "--json-report", "--alluredir=DIR"),
    *("--dist=MODE", "--reruns=N", "--randomly-seed=N", "--timeout=S", "--cov=DIR"),
    *("--html=FILE", "--report-log=FILE", "--force-sugar"),
)


def test_the_page_has_a_row_for_each_flag_that_is_tested():
    table = PAGE.read_text("utf-8").partition("## Flags")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = {flag for cell in cells for flag in re.findall("`(.*?)`", cell)}

    assert named == {*chain.from_iterable(FLAGS), "-vv", *TOGETHER, *ELSEWHERE}
