"""An author sees every error at once: ten of ten kinds, each with its line, in one message."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

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


@every_row(("place", "message"), PLANTED)
def test_each_planted_error_is_in_the_one_message_with_its_line(tmp_path, place, message):
    found = [line for line in str(refused(tmp_path)).split("\n") if message in line]

    assert [line.strip().split(": ")[0] for line in found] == [place]


def test_the_message_counts_ten_and_says_nothing_that_was_not_planted(tmp_path):
    head, *shown = str(refused(tmp_path)).split("\n")

    assert head == "s.ftgate.yaml: 10 errors"
    assert len(shown) == len(PLANTED) == 10


def test_the_errors_are_sorted_by_file_and_line(tmp_path):
    places = [f"{error.path}:{error.line}" for error in refused(tmp_path).errors]

    assert places == [place for place, _ in PLANTED]
