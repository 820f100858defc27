"""Replies that are no labels: the build says which field is wrong."""

from __future__ import annotations

import json

SUITE = """\
cases: cases.jsonl
reply: {score: {fields: {total: {numeric: {tolerance: 0.01}}, items: {set: true}}}}
variants:
  current: {provider: recorded, replies: current.jsonl}
  worse: {provider: recorded, replies: worse.jsonl}
gates: {accuracy: {max_drop: 0.05}}
"""


def test_a_wrong_field_is_told_with_what_was_expected_of_it(desk):
    order = {"id": "A-17", "total": 12.5, "items": ["pen", "ink"]}
    said = {**order, "total": 13, "items": ["ink", "pen"]}
    texts = {"current": json.dumps(order), "worse": f"```json\n{json.dumps(said)}\n```"}
    ids = [f"c{n:02}" for n in range(60)]
    for name, text in texts.items():
        desk.write_rows(f"{name}.jsonl", [{"id": one, "text": text} for one in ids])
    rows = [{"id": one, "input": f"Order {one}", "expected": order} for one in ids]
    desk.write_rows("cases.jsonl", rows)
    desk.path("s.ftgate.yaml").write_text(SUITE, "utf-8")

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "accuracy down 33 points *: current 100 % → worse 67 %",
            '      │ expected  {"id": "A-17", "total": 12.5, "items": [[]"pen", "ink"]}',
            "      │ wrong     total: expected 12.5, got 13",
        ]
    )
    result.stdout.no_fnmatch_line("*wrong*items*")
