"""Formats as an author writes them: read, or refused with what to write instead."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.suite.rules import (
    FORMATS,
    FORMATS_LATER,
    Format,
    Rule,
    read_schema,
)
from pytest_ftgate.suite.source import Source


def refusal(kind, raw):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(raw)
    return caught.value.errors()[0]["msg"]


def read(kind, raw):
    return TypeAdapter(kind).validate_python(raw)


def source(folder):
    return Source(root=folder, path=folder / "s.ftgate.yaml")


FORMAT_FAULTS = [
    ({"choise": ["a"]}, 'unknown format "choise"; did you mean "choice"?; known: choice, '),
    ("choice", "choice needs a list of labels: {choice: [a, b]}"),
    ({"choice": []}, "choice needs a list of labels"),
    ({"choice": "a"}, "choice needs a list of labels"),
    ({"choice": ["a", 5]}, 'label 5 is not text; quote it: "5"'),
    ({"choice": ["a", True]}, 'label true is not text; quote it: "true"'),
    ({"regex": 5}, 'regex needs a pattern: {regex: "^[A-Z]+$"}'),
    ("json_schema", "json_schema needs a schema or the path of one"),
    ({"python": "reply"}, 'python: "reply" is no function; write module:function'),
    (5, "format is one name, or one name with its value"),
    ([{"choice": ["a"]}, "nothing"], 'unknown format "nothing"'),
]


@pytest.mark.parametrize(("raw", "message"), FORMAT_FAULTS)
def test_a_format_that_cannot_be_used_says_what_to_write(raw, message):
    assert refusal(Format, raw).startswith(message)


def test_the_example_in_a_remedy_is_itself_no_yaml_trap():
    assert "{choice: [refund, other]}" in refusal(Format, 5)


def test_one_format_and_a_list_of_formats_are_read_alike():
    one = {"regex": "^a"}

    assert read(Format, one) == read(Format, [one]) == (Rule("regex", "^a"),)


@pytest.mark.parametrize("kind", FORMATS_LATER)
def test_a_format_that_is_not_built_yet_is_refused_and_not_ignored(kind):
    assert refusal(Format, {kind: 1}) == f"format: {kind} is not available yet; remove it"


def test_no_kind_is_both_available_and_not():
    assert not set(FORMATS) & set(FORMATS_LATER)


def test_a_schema_is_read_from_the_file_that_names_it(tmp_path):
    (tmp_path / "ticket.json").write_text(json.dumps({"type": "object"}))
    at = source(tmp_path)

    assert read_schema(at, Rule("json_schema", "ticket.json"), 3).value == {"type": "object"}
    assert at.faults == []


def test_a_schema_file_that_is_not_there_is_a_fault_at_its_line(tmp_path):
    at = source(tmp_path)
    read_schema(at, Rule("json_schema", "ticket.json"), 3)

    assert [str(fault) for fault in at.faults] == [
        "s.ftgate.yaml:3: json_schema: ticket.json does not exist (looked in ./)"
    ]


def test_a_schema_file_that_is_not_json_is_a_fault_at_its_line(tmp_path):
    (tmp_path / "ticket.json").write_text("type: object\n")
    at = source(tmp_path)
    read_schema(at, Rule("json_schema", "ticket.json"), 3)

    assert str(at.faults[0]).startswith("s.ftgate.yaml:3: json_schema: ticket.json is not JSON: ")


def test_a_pattern_that_does_not_compile_is_a_fault_at_its_line(tmp_path):
    at = source(tmp_path)
    read_schema(at, Rule("regex", "("), 3)

    assert str(at.faults[0]).startswith("s.ftgate.yaml:3: regex: '(' is not a pattern: ")
