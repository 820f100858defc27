"""A gate of which nothing is heard was not evaluated, and that blocks the run in every report."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from unittest.mock import Mock

import pytest
from ftgate_testing.tables import every_row, heavy

REPORTS = ("--ftgate-json=run.json", "--ftgate-html=report.html", "--ftgate-markdown=report.md")
RIGHT = "def test_it(case, reply):\n    assert reply.text == case.expected\n"
#: Ends the process of a gate, as a crash in native code does.
DYING = "def test_it(case, reply):\n    __import__('os')._exit(4)\n"


@pytest.fixture
def red(desk):
    """A desk with a variant that passes, and one that fails."""
    desk.suite(current=2, worse=30)
    return desk


def missing(desk):
    """Return the verdict of the run, and why each gate was not evaluated, by node id."""
    run = json.loads(desk.path("run.json").read_text("utf-8"))
    return run["verdict"], {gate["node"]: gate["reason"] for gate in run["not_evaluated"]}


# What cannot be collected ---------------------------------------------------------------------

IMPORT, MARK = "a module that cannot be imported", "a mark with an error"
LOST = {
    IMPORT: ("import nothing_here\n", "No module named 'nothing_here'"),
    MARK: (
        f"import pytest\n@pytest.mark.ftgate('tickets.ftgate.yaml', max_drop=5)\n{RIGHT}",
        "max_drop is 5, but must be less than 1",
    ),
}


def with_a_worker(one):
    """Return a row of *one* with a worker, which takes longer than all rows without any."""
    return heavy(one, ("-n1",))


@pytest.mark.parametrize(
    ("lost", "processes"), [*((one, ()) for one in LOST), with_a_worker(IMPORT)]
)
def test_a_module_that_is_not_collected_blocks_in_every_report(desk, lost, processes):
    desk.suite(current=2)
    text, reason = LOST[lost]
    desk.path("test_lost.py").write_text(text)

    result = desk.run("--continue-on-collection-errors", *REPORTS, *processes)

    result.assert_outcomes(passed=1, errors=1)
    unread = "BLOCKED  1 gate passed; no gate of test_lost.py could be read*"
    head = "BLOCKED  1 of 2 gates not evaluated*" if lost == IMPORT else unread
    result.stdout.fnmatch_lines([head])
    verdict, reasons = missing(desk)
    assert (verdict, [*reasons]) == ("blocked", ["test_lost.py"])
    assert reason in reasons["test_lost.py"]
    assert reasons["test_lost.py"].startswith(("ModuleNotFoundError: ", "test_lost.py: 1 error"))
    for name in ("report.md", "report.html"):
        text = desk.path(name).read_text("utf-8").replace("&#95;", "_")
        assert "test_lost.py" in text
        assert "BLOCKED" in text.upper()


def test_a_run_that_ends_at_collection_names_the_gates_that_it_did_not_reach(red):
    red.path("test_lost.py").write_text("import nothing_here\n")

    result = red.run(*REPORTS)

    result.stdout.fnmatch_lines(
        [
            "BLOCKED  3 of 3 gates not evaluated*",
            "✗ tickets.ftgate.yaml::accuracy?current?, tickets.ftgate.yaml::accuracy?worse?",
            "    NOT EVALUATED",
            "    the run ended first",
            "    then    pytest --ftgate",
            "no gate was evaluated; see the errors above",
        ]
    )
    assert missing(red)[1]["tickets.ftgate.yaml::accuracy[worse]"] == "the run ended first"


def test_a_marked_test_that_can_be_no_gate_blocks(desk):
    desk.suite(current=2)
    desk.path("test_lost.py").write_text(
        "import unittest\nimport pytest\n\nclass Test(unittest.TestCase):\n"
        "    @pytest.mark.ftgate('tickets.ftgate.yaml')\n    def test_it(self): pass\n"
    )

    result = desk.run(*REPORTS)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["this test is marked with ftgate and is no gate: write it as *"])
    verdict, reasons = missing(desk)
    assert (verdict, [*reasons]) == ("blocked", ["test_lost.py::Test::test_it"])


# What is collected and never heard of ---------------------------------------------------------


def test_a_gate_whose_worker_dies_blocks_beside_gates_that_pass(desk):
    desk.suite(current=2)
    desk.marked(DYING)
    desk.path("test_plain.py").write_text("def test_plain(): pass\n")

    result = desk.run(*REPORTS, "-n1")

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["BLOCKED  1 of 2 gates not evaluated*"])
    node = "test_marked.py::test_it[current]"
    verdict, reasons = missing(desk)
    assert (verdict, [*reasons]) == ("blocked", [node])
    assert reasons[node].endswith(f"crashed while running '{node}'")
    (error,) = ET.parse(desk.path("junit.xml")).iter("error")
    assert "crashed while running" in error.get("message", "")


@pytest.mark.heavy
@pytest.mark.parametrize("restarts", [(), ("--max-worker-restart=0",)])
def test_where_every_gate_dies_the_selection_is_not_blamed(desk, restarts):
    desk.suite(current=2)
    desk.marked(DYING)
    desk.marked(DYING, name="test_second")

    result = desk.run(*REPORTS, "-n1", *restarts, "-k", "test_it")

    result.stdout.fnmatch_lines(["no gate was evaluated; see the errors above"])
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates not evaluated*"])
    verdict, reasons = missing(desk)
    # A worker that nobody replaces has not told which other tests are gates.
    second = "pytest" if restarts else "test_second.py::test_it[current]"
    assert (verdict, [*reasons]) == ("blocked", ["test_marked.py::test_it[current]", second])


@pytest.mark.heavy
def test_an_ordinary_test_whose_worker_dies_is_no_gate(desk):
    desk.suite(current=2)
    desk.path("test_plain.py").write_text("import os\ndef test_plain(): os._exit(4)\n")

    result = desk.run(*REPORTS, "-n1")

    result.assert_outcomes(passed=1, failed=1)
    assert missing(desk) == ("passed", {})


EXIT = "pytest.exit('enough', returncode=0)"
#: Code of a plugin that ends the run, at collection or before a gate, or leaves a gate out.
ENDING = {
    "exit before collection": f"def pytest_collection(): {EXIT}",
    "exit at collection": f"def pytest_collection_modifyitems(): {EXIT}",
    "an error at collection": "def pytest_collection_modifyitems(): {}[0]",
    "exit between gates": f"def pytest_runtest_setup(item):\n    if 'worse' in item.name: {EXIT}",
    "a stop at collection": (
        "def pytest_collection_modifyitems(session): session.shouldstop = 'enough'"
    ),
    "a stop between gates": "def pytest_runtest_teardown(item): item.session.shouldstop = 'enough'",
    "a gate that is not run": (
        "def pytest_runtest_protocol(item): return True if 'worse' in item.name else None"
    ),
    "no loop": "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtestloop(): return True",
}


@every_row("how", ENDING)
def test_a_run_that_a_plugin_ends_early_is_blocked_whatever_its_exit_code(red, how):
    red.path("conftest.py").write_text(f"import pytest\n\n{ENDING[how]}\n")

    result = red.run(*REPORTS)

    verdict, reasons = missing(red)
    node = "pytest" if "before" in how else "tickets.ftgate.yaml::accuracy[worse]"
    assert (verdict, [*reasons][-1]) == ("blocked", node)
    assert result.ret != pytest.ExitCode.OK


# What was not to be evaluated -----------------------------------------------------------------

#: A plugin that runs a part of the tests, as those do that split a run over machines.
SHARD = """\
def pytest_collection_modifyitems(config, items):
    kept = [item for item in items if "current" in item.name]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
"""


@pytest.mark.parametrize(
    ("how", "processes"),
    [
        *((how, ()) for how in ("-k=current", "--ftgate-variant=current", "a plugin")),
        with_a_worker("a plugin"),
    ],
)
def test_a_gate_that_was_not_selected_is_not_missed(red, how, processes):
    if how == "a plugin":
        red.path("conftest.py").write_text(SHARD)

    result = red.run(*REPORTS, *processes, *([how] if how.startswith("-") else []))

    result.stdout.fnmatch_lines(["PASSED  1 gate *"])
    assert missing(red) == ("passed", {})


STRICT = "@pytest.mark.xfail(strict=True, reason='a known loss')\n"
REMOVE = "passed, though its xfail mark expects it not to: remove the mark"


@pytest.mark.parametrize(
    ("mark", "processes"),
    [(STRICT, ()), heavy(STRICT, ("-n1",)), ("@pytest.mark.xfail\n", ("-o", "xfail_strict=true"))],
    ids=["mark", "worker", "ini"],
)
def test_a_gate_that_passes_against_its_strict_xfail_mark_fails_as_a_test_in_every_report(
    red, mark, processes
):
    red.marked(f"{mark}{RIGHT}")

    result = red.run(*REPORTS, "--junitxml=junit.xml", "-k=test_it and current", *processes)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "FAILED test_marked.py::test_it[[]current] - [[]XPASS(strict)]*",
            "BLOCKED  1 of 1 gate failed as a test*",
            "✗ test_marked.py::test_it[[]current]   FAILED TEST",
            f"    {REMOVE}",
        ]
    )
    assert "not evaluated" not in result.stdout.str()
    run = json.loads(red.path("run.json").read_text("utf-8"))
    assert (run["verdict"], run["not_evaluated"]) == ("blocked", [])
    assert [one["outcome"] for one in run["verdicts"]] == ["passed"]
    assert run["failed_tests"] == [{"node": "test_marked.py::test_it[current]", "reason": REMOVE}]
    for name in ("report.md", "report.html"):
        text = red.path(name).read_text("utf-8")
        assert REMOVE in text
        assert "BLOCKED" in text.upper()
        assert "failed test" in text
    (failure,) = ET.parse(red.path("junit.xml")).iter("failure")
    assert failure.get("message").endswith(f"the gate {REMOVE}")


EXPECTED = "did not pass, as its xfail mark expects"


@every_row(
    "mark, variant, ended",
    [
        (STRICT, "worse", {"xfailed": 1}),
        ("@pytest.mark.xfail\n", "worse", {"xfailed": 1}),
        ("@pytest.mark.xfail\n", "current", {"xpassed": 1}),
        ("@pytest.mark.skip\n", "current", {"skipped": 1}),
    ],
)
def test_a_mark_that_is_right_or_not_strict_blocks_nothing(red, mark, variant, ended):
    red.marked(f"{mark}{RIGHT}")

    result = red.run(*REPORTS, f"-k=test_it and {variant} or accuracy and current")

    result.assert_outcomes(passed=1, **ended)
    run = json.loads(red.path("run.json").read_text("utf-8"))
    assert (result.ret, run["failed_tests"], run["not_evaluated"]) == (0, [], [])
    told = f"test_marked.py::test_it[worse] {EXPECTED}"
    assert (told in result.outlines) is ("xfailed" in ended)


BAD_TEARDOWN = (
    "import pytest\n@pytest.fixture(autouse=True)\ndef bad():\n    yield\n    raise OSError('no')\n"
)


@every_row("mark", ["", STRICT.replace("strict", "raises=AssertionError, strict")])
def test_a_teardown_that_fails_is_an_error_of_the_gate(red, mark):
    red.path("conftest.py").write_text(BAD_TEARDOWN)
    red.marked(f"{mark}{RIGHT}")

    red.run(*REPORTS, "-k=test_it and current")

    run = json.loads(red.path("run.json").read_text("utf-8"))
    assert (run["verdicts"], run["failed_tests"]) == ([], [])
    assert [one["node"] for one in run["not_evaluated"]] == ["test_marked.py::test_it[current]"]


def test_a_teardown_that_an_xfail_mark_expects_to_fail_is_no_gate_that_did_not_pass(red):
    red.path("conftest.py").write_text(BAD_TEARDOWN)
    red.marked(f"@pytest.mark.xfail\n{RIGHT}")

    result = red.run(*REPORTS, "-k=test_it and current")

    result.assert_outcomes(xpassed=1, xfailed=1)
    result.stdout.no_fnmatch_line(f"*{EXPECTED}*")


# What goes wrong after the gate was evaluated -------------------------------------------------


def test_a_verdict_that_cannot_be_written_is_an_internal_error_and_no_failed_gate(red, monkeypatch):
    monkeypatch.setattr("pytest_ftgate.plugin.item.to_json", Mock(side_effect=ValueError("odd")))
    red.marked(RIGHT)

    result = red.run(*REPORTS)

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.assert_outcomes(errors=1)
    verdict, reasons = missing(red)
    assert (verdict, len(reasons)) == ("blocked", 4)
    assert "unexpected ValueError: odd" in reasons["test_marked.py::test_it[current]"]


# What plugins read ----------------------------------------------------------------------------

READING = """\
import json
from pathlib import Path

import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    # Workers send the text of a failure alone, to the process that reports.
    if hasattr(report.longrepr, "reprcrash"):
        crash = report.longrepr.reprcrash
        row = [report.nodeid, crash.path, crash.lineno, crash.message]
        with Path(__file__).with_name("crashes.jsonl").open("a") as stream:
            print(json.dumps(row), file=stream)
"""


@pytest.mark.parametrize("processes", [(), heavy(("-n1",))], ids=["alone", "with a worker"])
def test_a_plugin_reads_file_line_and_headline_of_a_failed_gate(red, processes):
    red.marked(RIGHT)
    red.path("conftest.py").write_text(READING)

    red.run(*processes)

    rows = map(json.loads, red.path("crashes.jsonl").read_text("utf-8").splitlines())
    told = "down 28 points (95 % CI 20 to 37), limit 5: current 98 % → worse 70 %"
    suite, module = (str(red.path(name)) for name in ("tickets.ftgate.yaml", "test_marked.py"))
    assert sorted(rows) == [
        ["test_marked.py::test_it[worse]", module, 3, f"it: {told}"],
        ["tickets.ftgate.yaml::accuracy[worse]", suite, 6, f"accuracy {told}"],
    ]
