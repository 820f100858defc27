"""Test the plugin with runs of pytest, each in a folder of its own."""

from __future__ import annotations

import json

import pytest

SUITE = """\
cases: greetings.cases.jsonl
reply:
  score: words
  format: {quiet: {most: 0.5}}
variants:
  soft: {provider: echo, model: soft}
  loud: {provider: echo, model: loud, base: soft}
gates:
  accuracy: {max_drop: 0.05}
  format: {min: 0.9}
  forgetting: {skills: repeating, max_drop: 0.2}
  cost: {max_usd_per_1k: 1}
"""
#: Run the gates in the order of the file, whatever else is installed.
ARGUMENTS = ("--ftgate", "-p", "no:randomly", "-p", "no:sugar")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Write a suite that uses every name of the plugin."""
    rows = [
        {"id": f"g{n}", "input": f"good morning number {n}", "expected": "morning"}
        for n in range(60)
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (pytester.path / "greetings.cases.jsonl").write_text(lines, "utf-8")
    (pytester.path / "greetings.ftgate.yaml").write_text(SUITE, "utf-8")
    return pytester


def test_each_thing_that_it_offers_is_used(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess(*ARGUMENTS, "-v")

    result.stdout.fnmatch_lines(
        [
            "*::accuracy[[]soft[]] PASSED*",
            "*::format[[]soft[]] PASSED*",
            "*::cost[[]soft[]] PASSED*",
            "*::accuracy[[]loud[]] PASSED*",
            "*::format[[]loud[]] FAILED*",
            "*capital letters, at most 50%*",
        ]
    )


def test_it_writes_a_line_for_each_gate_and_one_for_the_run(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess(*ARGUMENTS, "--acme-page=page.txt", "-k", "soft")

    assert (suite.path / "page.txt").read_text("utf-8").splitlines() == [
        "passed greetings.ftgate.yaml::accuracy[soft]",
        "passed greetings.ftgate.yaml::format[soft]",
        "passed greetings.ftgate.yaml::cost[soft]",
        "3 of 3 passed",
    ]
