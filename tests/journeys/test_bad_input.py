"""An author makes several mistakes at once and is told all of them."""

from __future__ import annotations

SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [yes, no]}}
variants:
  current: {provider: recorded, replies: gone.jsonl}
  draft: {like: curent}
gates:
  accurracy: {min: 0.85}
  accuracy: {min: 0.85, max_drop: 5}
"""
CASES = """\
{"id": "a", "input": "one", "expected": "yes"}
{"id": "a", "input": "two", "expected": "yes"}
{"id": "b", "input": "three", "expectd": "yes"}
{"id": "c", input: "four"}
"""
MESSAGES = [
    '*tickets.cases.jsonl:2: id "a" is taken by tickets.cases.jsonl:1; *',
    '*tickets.cases.jsonl:3: *unknown key "expectd"; did you mean "expected"?',
    "*tickets.cases.jsonl:4: not JSON: *",
    "*tickets.ftgate.yaml:2: *the bare word yes as true: write *",
    "*tickets.ftgate.yaml:4: *gone.jsonl does not exist*",
    '*tickets.ftgate.yaml:5: *no variant "curent"; did you mean "current"? (https://*',
    '*tickets.ftgate.yaml:7: unknown key "accurracy"; did you mean "accuracy"? (https://*',
    "*tickets.ftgate.yaml:8: max_drop is 5, *",
]


def test_every_fault_is_told_with_its_line_and_its_remedy_at_collection(desk):
    desk.path("tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    desk.path("tickets.cases.jsonl").write_text(CASES, "utf-8")
    desk.path("other.ftgate.yaml").write_text("cases: [", "utf-8")

    result = desk.run()

    result.assert_outcomes(errors=2)
    assert result.ret == 2
    result.stdout.fnmatch_lines_random([*MESSAGES, "*other.ftgate.yaml:*not YAML*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")
