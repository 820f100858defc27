"""A variant begins to fence its JSON: its answers are right, and no program can read them."""

from __future__ import annotations

import json

import pytest

SUITE = """\
cases: tickets.cases.jsonl
reply:
  format: {json_schema: {properties: {label: {enum: [billing, refund]}}, required: [label]}}
  score: contains
variants:
  current: {provider: recorded, replies: current.jsonl}
  chatty: {provider: recorded, replies: chatty.jsonl}
gates: {accuracy: {max_drop: 0.05}, format: {max_drop: 0.05}}
"""


def answer(desk, number, *, fenced):
    text = json.dumps({"label": desk.label(number)})
    return {"id": f"t{number:03}", "text": f"```json\n{text}\n```" if fenced else text}


@pytest.fixture
def fences(desk):
    desk.cases = 200
    desk.write_cases()
    for variant, fenced in (("current", 0), ("chatty", 41)):
        rows = [answer(desk, number, fenced=number < fenced) for number in range(desk.cases)]
        desk.write_rows(f"{variant}.jsonl", rows)
    desk.path("tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    return desk


def test_headline_and_section_say_what_the_model_began_to_do_before_and_now_with_one_reply(fences):
    result = fences.run()

    result.assert_outcomes(passed=3, failed=1)
    headline = fences.verdicts()["format[chatty]"]["headline"]
    assert headline.startswith("replies in the right format down 20 points ")
    assert headline.endswith("; fenced: the model began to fence its JSON, 41 of 200 replies")
    result.stdout.fnmatch_lines(
        [
            "  format error * before * now * replies",
            "  fenced * 0 % (0 to 2) * 20 % (15 to 27) * 41",
            "  the mix of format errors has changed (Stuart-Maxwell test, p < 0.001)",
            "  fenced, for example",
            '    │ t000  ```json {"label": "billing"} ```',
            '    │ t001  ```json {"label": "refund"} ```',
            '    │ t002  ```json {"label": "billing"} ```',
            "  right once text around it is ignored: 100 % → 100 %",
            "",
            "  passed before, fails now (1 of 41, -vv shows more)",
            "    t000  Ticket 0: help",
            "      │ expected  billing",
            '      │ before    {"label": "billing"}',
            "      │ now       ```json",
            '      │           {"label": "billing"}',
            "      │           ```",
            "      │ format    fenced",
            '      pytest --ftgate --ftgate-case=t000 "tickets.ftgate.yaml::format[[]chatty-t000]"',
        ],
        consecutive=True,
    )


def test_both_readings_are_kept_of_each_case_and_a_record_without_them_is_still_read(fences):
    fences.run("--ftgate-accept", "--ftgate-accept-failed")
    path = fences.path("tickets.accepted.json")
    record = json.loads(path.read_text("utf-8"))
    kept = record["variants"]["chatty"]["t000"]
    assert (kept[1], kept[-1]) == (0.0, 1.0)
    for cells in record["variants"].values():
        cells.update({key: cell[:5] for key, cell in cells.items()})
    path.write_text(json.dumps(record), "utf-8")

    fences.run()

    checks = fences.verdicts()["format[chatty]"]["checks"]
    assert [check["kind"] for check in checks] == ["baseline", "accepted"]
