"""Cases of which one wrong reply is too much, parts that an average hides, plain thresholds."""

from __future__ import annotations

import json

from pytest_ftgate.gates.statements import StepKind

ONCE_WRONG = """\
from collections import Counter

times = Counter()

def answer(case):
    return case.expected

def unlucky(case):
    times[case.id] += 1
    return "other" if case.id == "t007" and times[case.id] == 1 else case.expected

def wrong(case):
    return "other" if case.id == "t007" else case.expected
"""
GATES = "{accuracy: {max_drop: 0.10}}"


def marked(desk, **marks):
    """Add *marks* to the ticket t007."""
    path = desk.path("tickets.cases.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [row | marks if row["id"] == "t007" else row for row in rows]
    desk.write_rows(path.name, rows)


def test_a_must_pass_case_is_asked_again_and_fails_the_gate_if_it_stays_wrong(desk):
    code = '{provider: python, function: "answers:%s"}'
    desk.asking_suite(ONCE_WRONG, gates=GATES, draft=code % "wrong", lucky=code % "unlucky")
    marked(desk, must_pass=True)

    result = desk.run()

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["0 of 1 must-pass cases are right; wrong: t007", "    t007  Ticket 7: help"]
    )
    assert fix_of(desk) == {"cases": "t007", "repeated": True, "where": "tickets.cases.jsonl:8"}


def fix_of(desk):
    """Return the values of the step that names the must-pass cases to fix."""
    steps = desk.verdicts()["accuracy[draft]"]["next"]
    (values,) = (step["values"] for step in steps if step["kind"] == StepKind.FIX_MUST_PASS)
    return values


def test_recorded_replies_cannot_be_asked_again_and_count_as_they_are(desk):
    desk.suite(gates=GATES, current=0, draft=0)
    path = desk.path("draft.jsonl")
    path.write_text(path.read_text().replace('"t007", "text": "refund"', '"t007", "text": "?"'))
    marked(desk, must_pass=True)

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    assert fix_of(desk) == {"cases": "t007", "repeated": False, "where": "tickets.cases.jsonl:8"}


def test_a_lost_label_fails_the_gate_that_looks_at_labels(desk):
    desk.cases = 1000
    desk.suite(gates="{accuracy: {max_drop: 0.10, slices: [label]}}", current=0, draft=0)
    rows = [
        {"id": f"t{n:03}", "text": "billing" if n % 2 == 1 and n < 100 else desk.label(n)}
        for n in range(desk.cases)
    ]
    desk.write_rows("draft.jsonl", rows)

    result = desk.run()

    result.stdout.fnmatch_lines(
        [
            "* limit 10: current 100 % → draft 95 %;",
            "  but regressed: label refund*",
            "  label * before * after * change * by its limit",
            "  refund * 100 % * 90 % * regressed",
            "  label * F1 before * precision * taken for",
        ]
    )


def test_a_minimum_alone_compares_nothing(desk):
    desk.suite(
        "{accuracy: {metric: balanced_accuracy, min: 0.7, max_drop: none}}", current=2, draft=15
    )

    desk.run()

    (check,) = desk.verdicts()["accuracy[draft]"]["checks"]
    assert (check["kind"], check["limit"]) == ("minimum", 0.7)
