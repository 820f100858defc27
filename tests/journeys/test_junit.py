"""A build server reads the JUnit file."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

WORKERS = pytest.param(["-n2"], marks=pytest.mark.heavy)


def problem(desk, kind):
    """Return the first ``failure`` or ``error`` of the JUnit file."""
    found = ET.parse(desk.path("junit.xml")).find(f".//{kind}")
    assert found is not None
    return found


def properties(desk):
    """Return the names of the properties of each test case."""
    cases = ET.parse(desk.path("junit.xml")).findall(".//testcase")
    return {case.get("name"): [one.get("name") for one in case.iter("property")] for case in cases}


@pytest.mark.parametrize(("wrong", "outcome"), [(2, "passed"), (5, "inconclusive"), (30, "failed")])
def test_a_verdict_is_a_property_in_json(desk, wrong, outcome):
    desk.suite(current=2, draft=wrong)

    desk.run()

    assert desk.verdicts()["accuracy[draft]"]["outcome"] == outcome


@pytest.mark.parametrize("workers", [[], WORKERS], ids=["alone", "with workers"])
def test_the_message_of_a_failure_is_one_line(desk, workers):
    desk.suite(current=2, draft=30)

    desk.run(*workers)

    told = "accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → draft 70 %"
    assert problem(desk, "failure").get("message") == told


def test_on_a_build_server_the_short_summary_keeps_a_line_for_each_gate(desk, monkeypatch):
    monkeypatch.setenv("CI", "true")
    desk.suite(current=2, draft=30)

    lines = desk.run().outlines

    at = next(n for n, one in enumerate(lines) if "short test summary" in one)
    assert lines[at + 1].endswith(
        " - accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → draft 70 %"
    )
    assert lines[at + 2].startswith("=")


def test_the_text_of_a_failure_is_the_whole_section(desk):
    desk.suite(current=2, draft=30)

    desk.run()

    assert "passed before, fails now" in (problem(desk, "failure").text or "")


def test_a_gate_is_a_test_case_of_its_suite(desk):
    desk.suite(current=2)

    desk.run()

    case = ET.parse(desk.path("junit.xml")).find(".//testcase")
    assert case is not None
    assert case.get("name") == "accuracy[current]"


@pytest.mark.parametrize("workers", [[], WORKERS], ids=["alone", "with workers"])
def test_what_is_accepted_adds_nothing_to_it(desk, workers):
    desk.suite(current=2, draft=3)
    desk.run(*workers)
    before = properties(desk)

    desk.run("--ftgate-accept", *workers)

    assert desk.path("tickets.accepted.json").is_file()
    assert properties(desk) == before
