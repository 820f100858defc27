"""An author sees every error at once: ten of ten kinds, each with its line, in one message."""

from __future__ import annotations

import pytest

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite

SUITE = """\
prompt: tickets.md
cases: tickets.cases.jsonl
reply: {format: {choice: [refund, billing, no]}}
promt: other.md
variants:
  current: {provider: anthropic, model: 4}
  strong: {like: curent}
  local: {provider: lamacpp, model: m}
baseline: currant
gates:
  accuracy: {min: 85}
"""
CASES = """\
{"input": "Where is my money?", "expected": "refnd"}
{"input": "Charged twice"
{"input": "Charged once", "expected": "billing"}
"""
PROMPT = "Sort the ticket.\nSpeak {{ tone }}.\n"

PLANTED = [
    ("s.ftgate.yaml:3", "YAML reads the bare word no as false"),
    ("s.ftgate.yaml:4", 'unknown key "promt"; did you mean "prompt"?'),
    ("s.ftgate.yaml:6", 'model is 4, but text is wanted here: write "4"'),
    ("s.ftgate.yaml:7", 'there is no variant "curent"; did you mean "current"?'),
    ("s.ftgate.yaml:8", 'unknown provider "lamacpp"; did you mean "llamacpp"?'),
    ("s.ftgate.yaml:9", 'baseline "currant" is no variant; did you mean "current"?'),
    ("s.ftgate.yaml:11", "min is 85, but must be less than or equal to 1"),
    ("tickets.cases.jsonl:1", 'expected "refnd" is not one of the labels'),
    ("tickets.cases.jsonl:2", "not JSON"),
    ("tickets.md:2", 'no case has "tone"'),
]


def refused(folder):
    (folder / "tickets.md").write_text(PROMPT)
    (folder / "tickets.cases.jsonl").write_text(CASES)
    (folder / "s.ftgate.yaml").write_text(SUITE)
    with pytest.raises(SuiteError) as caught:
        load_suite(folder / "s.ftgate.yaml", folder)
    return caught.value


def test_each_planted_error_is_told_once_with_its_line_and_nothing_else_is(tmp_path):
    told = refused(tmp_path)
    head, *shown = str(told).split("\n")

    assert head == "s.ftgate.yaml: 10 errors"
    found = [
        (line.strip().split(": ")[0], message if message in line else line)
        for line, (_, message) in zip(shown, PLANTED, strict=True)
    ]
    assert found == PLANTED
    assert [(f"{error.path}:{error.line}") for error in told.errors] == [at for at, _ in PLANTED]
