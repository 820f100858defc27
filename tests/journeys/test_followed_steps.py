"""Whoever does what a red build says gets a green one, or the answer that it promises."""

from __future__ import annotations

import pytest

SUITE = "tickets.ftgate.yaml"
DROP = "{accuracy: {max_drop: 0.05}}"


def edit(desk, *pairs):
    text = desk.path(SUITE).read_text("utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    desk.path(SUITE).write_text(text, "utf-8")


def steps(desk, gate):
    return {step["kind"]: step["values"] for step in desk.verdicts()[gate]["next"]}


@pytest.mark.parametrize(
    ("gates", "wrong"),
    [
        (DROP, 30),
        (DROP, 5),
        ("{accuracy: {min: 0.85}}", 30),
        ("{accuracy: {min: 0.85}}", 12),
        ("{accuracy: {min: 0.85, max_drop: 0.05}}", 30),
        ("{accuracy: {max_drop: 0.05, evidence: point}}", 30),
        ("{accuracy: {min: 0.85, evidence: point}}", 30),
        ("{format: {max_drop: 0.05}}", 30),
    ],
)
def test_the_limit_that_a_verdict_names_passes_the_same_replies(desk, gates, wrong):
    desk.suite(gates, current=2, new=0)
    desk.replies("new", wrong=wrong, said="none of these" if "format" in gates else None)
    kind = gates[1:].partition(":")[0]
    assert desk.run().ret == 1

    step = steps(desk, f"{kind}[new]")["set limit"]

    assert step["where"] == f"{SUITE}:6"
    for setting in step["setting"].split(", "):
        key = setting.partition(":")[0]
        declared = gates.partition(f"{key}: ")[2].split(",")[0].split("}")[0]
        edit(desk, (f"{key}: {declared}", setting))
    assert desk.run().ret == 0


def test_the_limit_one_point_stricter_does_not_pass(desk):
    desk.suite(DROP, current=2, new=5)
    desk.run()
    limit = float(steps(desk, "accuracy[new]")["set limit"]["setting"].split()[1])

    edit(desk, ("max_drop: 0.05", f"max_drop: {limit - 0.01:.2f}"))

    assert desk.run().ret == 1


def test_a_candidate_that_is_made_the_baseline_passes(desk):
    desk.suite(DROP, current=6, candidate=40)
    assert desk.run().ret == 1
    assert steps(desk, "accuracy[candidate]")["make baseline"]["variant"] == "candidate"

    edit(desk, ("variants:", "baseline: candidate\nvariants:"))

    assert desk.run().ret == 0


def test_the_variant_to_ship_passes_once_the_other_one_is_left_out(desk):
    desk.suite(DROP, current=2, good=1, worse=30)
    result = desk.run()
    result.stdout.fnmatch_lines(
        ["    do      ship good: it passes its gate   (set gated: false for worse)"]
    )

    edit(desk, ("replies: worse.jsonl}", "replies: worse.jsonl, gated: false}"))

    assert desk.run().ret == 0


@pytest.mark.parametrize("releases", [1, 3])
def test_an_intended_drop_from_the_accepted_run_is_accepted_by_the_command(desk, releases):
    desk.suite(DROP, current=0)
    for number in range(releases):
        desk.replies("current", wrong=number)
        desk.run("--ftgate-accept")
    desk.replies("current", wrong=30)
    lines = desk.run().outlines
    command = next(line.split() for line in lines if "--ftgate-accept" in line and " do " in line)
    assert command[1:3] == ["pytest", "--ftgate"]

    assert desk.run(*command[3:]).ret == 1
    assert desk.run().ret == 0


def test_cases_that_are_fixed_pass(desk):
    desk.suite(DROP, current=2, draft=5)
    assert desk.run().ret == 1
    assert steps(desk, "accuracy[draft]")["fix cases"]["cases"] == "t002, t003, t004"

    desk.replies("draft", wrong=2)

    assert desk.run().ret == 0


def test_must_pass_cases_that_are_fixed_pass(desk):
    desk.suite("{accuracy: {min: 0.8}}", current=3)
    rows = (
        desk.path("tickets.cases.jsonl")
        .read_text("utf-8")
        .replace('"id": "t001"', '"must_pass": true, "id": "t001"')
    )
    desk.path("tickets.cases.jsonl").write_text(rows, "utf-8")
    desk.run().stdout.fnmatch_lines(["    do      fix t001*"])

    desk.replies("current", wrong=1)

    assert desk.run().ret == 0


def test_a_minimum_that_cannot_be_reached_is_not_offered_to_be_accepted(desk):
    desk.suite("{accuracy: {min: 0.85}}", worse=30)

    desk.run().stdout.no_fnmatch_line("*--ftgate-accept*")
