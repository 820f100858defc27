"""A build server reads the JUnit file."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def test_a_gate_is_a_test_case_with_its_verdict_in_json_and_its_failure_whole(desk):
    desk.suite(current=2, same=2, close=5, draft=30)

    desk.run()

    assert {name: one["outcome"] for name, one in desk.verdicts().items()} == {
        "accuracy[current]": "passed",
        "accuracy[same]": "passed",
        "accuracy[close]": "inconclusive",
        "accuracy[draft]": "failed",
    }
    told = "accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → draft 70 %"
    (failure,) = (
        one
        for one in ET.parse(desk.path("junit.xml")).iter("failure")
        if "draft" in one.get("message", "")
    )
    assert failure.get("message") == told
    assert "passed before, fails now" in (failure.text or "")


def test_on_a_build_server_the_short_summary_keeps_a_line_for_each_gate(desk, monkeypatch):
    monkeypatch.setenv("CI", "true")
    desk.suite(current=2, draft=30)

    lines = desk.run().outlines

    at = next(n for n, one in enumerate(lines) if "short test summary" in one)
    assert lines[at + 1].endswith(
        " - accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → draft 70 %"
    )
    assert lines[at + 2].startswith("=")
