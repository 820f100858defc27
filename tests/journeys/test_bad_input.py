"""An author makes several mistakes at once and is told all of them."""

from __future__ import annotations

MESSAGES = [
    '*tickets.cases.jsonl:2: *unknown key "expectd"; did you mean "expected"?',
    '*tickets.ftgate.yaml:5: *no variant "curent"; did you mean "current"? (https://*',
    '*tickets.ftgate.yaml:6: unknown key "accurracy"; did you mean "accuracy"? (https://*',
    "*other.ftgate.yaml:*not YAML*",
    "*floor.ftgate.yaml:*provider classical needs training_data (*",
]


def test_every_fault_is_told_with_its_line_and_its_remedy_at_collection(desk):
    desk.suite_of({"floor": "{provider: classical}"})
    desk.path("tickets.ftgate.yaml").rename(desk.path("floor.ftgate.yaml"))
    desk.suite("{accurracy: {min: 0.85}}", current=0)
    desk.edit("gates:", "  draft: {like: curent}\ngates:")
    desk.edit('"expected": "refund"', '"expectd": "refund"', "tickets.cases.jsonl")
    desk.path("other.ftgate.yaml").write_text("cases: [", "utf-8")

    result = desk.run()

    result.assert_outcomes(errors=3)
    assert result.ret == 2
    result.stdout.fnmatch_lines_random(MESSAGES)
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")
