"""The same suite in several processes."""

from __future__ import annotations

import re

import pytest
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.tables import heavy

from pytest_ftgate.results.run import read_run

PROCESSES = ("-n", "2")
VARIANTS = {
    "draft": '{provider: python, function: "answers:answer"}',
    "worse": "{provider: recorded, replies: worse.jsonl}",
}


@pytest.fixture
def spread(desk):
    desk.replies("worse", wrong=30)
    desk.asking_suite(
        **VARIANTS, gates="{accuracy: {min: 0.85, max_drop: 0.05}, format: {min: 0.9}}"
    )
    return desk


def test_accepting_writes_one_record_of_all_variants(spread):
    result = spread.run(*PROCESSES, "--ftgate-accept", "--ftgate-accept-failed")

    result.stdout.fnmatch_lines(["accepted * in tickets.accepted.json; *"])
    accepted = spread.path("tickets.accepted.json").read_text()
    assert all(f'"{name}": {{' in accepted for name in ("current", "draft", "worse"))
    # What is accepted leaves a process by a file of its own, and not by the reports of its tests.
    assert "t050" not in spread.path("junit.xml").read_text()
    assert [*spread.path(".ftgate").glob("accepted-*")] == []


#: Is no gate that passes in one of two processes; the other one ends later, or earlier.
DIFFERS = """
import os, time
import pytest
from ftgate_testing.tables import heavy

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.8)
def test_it(case, reply):
    is_first = os.environ["PYTEST_XDIST_WORKER"] == "gw0"
    time.sleep(0.01 * (is_first is {is_late}))
    if is_first:
        {breaks}
"""


@pytest.mark.parametrize(("breaks", "is_late", "line"), [
    heavy("return False", True, "BLOCKED  1 of 1 gate failed*"),
    heavy("return False", False, "BLOCKED  1 of 1 gate failed*"),
    heavy("raise OSError", True, "BLOCKED  1 of 1 gate not evaluated*"),
    ("raise OSError", False, "BLOCKED  1 of 1 gate not evaluated*"),
])  # fmt: skip
def test_of_processes_that_all_evaluate_a_gate_the_worst_result_counts(desk, breaks, is_late, line):
    desk.suite(current=0)
    desk.path("test_it.py").write_text(DIFFERS.format(breaks=breaks, is_late=is_late), "utf-8")

    result = desk.run("test_it.py", "--dist=each", "--tx=2*popen")

    result.assert_outcomes(passed=1, **{"errors" if "raise" in breaks else "failed": 1})
    result.stdout.fnmatch_lines([line])


def imposter(request):
    """Answer every ticket rightly, as another model than the one that was asked for."""
    number = int(re.search(r"Ticket (\d+)", request["messages"][-1]["content"])[1])
    return Said(("billing", "refund")[number % 2], model="imposter")


@pytest.mark.parametrize("processes", [(), heavy(PROCESSES)])
def test_a_variant_that_is_not_what_it_claims_is_recommended_by_no_process(desk, processes):
    desk.replies("current", wrong=30)
    desk.replies("third", wrong=25)
    with chat_server(imposter) as server:
        desk.suite_of(
            {
                "current": "{provider: recorded, replies: current.jsonl}",
                "fake": "{provider: openai-compatible, model: declared, "
                f"base_url: '{server.url}', rung: stronger-model}}",
                "third": "{provider: recorded, replies: third.jsonl, rung: few-shot}",
            },
            "{accuracy: {min: 0.5}}",
        )
        result = desk.run("--ftgate-ladder", "--ftgate-json=run.json", *processes)

    result.stdout.fnmatch_lines(["✗ accuracy[[]fake]   INVALID*", "    fix     check *"])
    (advice,) = read_run(desk.path("run.json")).advice
    assert advice.variant == "third"
