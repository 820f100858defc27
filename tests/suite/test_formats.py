"""Formats as an author writes them: read, or refused at their line with what to write instead."""

from __future__ import annotations

import json
import sys

import jsonschema_rs
import pytest
from ftgate_testing.tables import every_row
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.formats import FORMAT_KINDS, LANGUAGES, DeclaredFormat
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.rule import Rule


def read(raw):
    return TypeAdapter(DeclaredFormat).validate_python(raw)


def refusal(raw):
    with pytest.raises(ValidationError) as caught:
        read(raw)
    return [error["msg"] for error in caught.value.errors()]


#: What an author may write, and the value of the rule where it is another.
WRITTEN = [
    ({"choice": ["a", "b"]}, None),
    ({"json_schema": {"type": "object"}}, None),
    ({"json_schema": "ticket.json"}, None),
    ({"pydantic": "shop.models:Ticket"}, None),
    ({"regex": r"^\d+$"}, None),
    ({"lines": {"count": 3}}, None),
    ({"lines": {"min": 1, "max": 3, "prefix": "- ", "longest": 80}}, None),
    ({"xml": ["reason", "answer"]}, None),
    ({"csv": {"columns": ["a", "b"]}}, None),
    ({"markdown": {"table": ["a", "b"]}}, None),
    *(({"code": language}, None) for language in ("python", "json", "yaml", "sql")),
    ({"length": {"unit": "words", "min": 0, "max": 9}}, None),
    ({"language": "de"}, None),
    ({"contains": ["a"]}, None),
    ({"avoids": ["a"]}, None),
    ({"tool_call": "lookup"}, {"name": "lookup"}),
    ({"tool_call": {"name": "lookup", "schema": {"type": "object"}}}, None),
    ({"python": "marks:check"}, None),
]


@every_row(("raw", "value"), WRITTEN)
def test_a_format_is_read_and_keeps_what_was_written(raw, value):
    ((kind, written),) = raw.items()

    assert read(raw) == (Rule(kind, value or written),)


def test_every_kind_of_format_is_written_here():
    assert {kind for raw, _ in WRITTEN for kind in raw} == set(FORMAT_KINDS)


@every_row("raw", [raw for raw, _ in WRITTEN])
def test_the_schema_for_editors_takes_what_is_read(raw):
    schema = json.loads(schema_text("suite"))["$defs"]["Format"]

    assert jsonschema_rs.is_valid(schema, raw)


def test_one_format_and_a_list_of_formats_are_read_alike():
    one = {"regex": "^a"}

    assert read(one) == read([one]) == (Rule("regex", "^a"),)


FAULTS = [
    ({"choise": ["a"]}, 'unknown format "choise"; did you mean "choice"?; known: choice, '),
    ("nothing", 'unknown format "nothing"; known: choice, '),
    (5, "format is one name with its value, such as {choice: [refund, other]}; several go into a"),
    ({}, "format is one name with its value"),
    ({"choice": ["a"], "regex": "a"}, "format is one name with its value"),
    ("choice", "choice needs a list of labels: {choice: [a, b]}"),
    ({"choice": []}, "choice needs a list of labels: {choice: [a, b]}"),
    ({"choice": "a"}, "choice needs a list of labels: {choice: [a, b]}"),
    ({"choice": ["a", 5]}, 'choice is 5, but text is wanted here: write "5"'),
    ({"choice": ["a", True]}, 'choice is true, but text is wanted here: write "true"'),
    ({"regex": 5}, 'regex needs a pattern: {regex: "^[A-Z]+$"}'),
    ({"regex": "("}, "regex: '(' is not a pattern: missing ) at position 1"),
    ({"json_schema": 5}, "json_schema needs a schema or the path of one"),
    ({"python": "reply"}, 'python: "reply" is no function; write module:function'),
    ({"pydantic": "ticket"}, 'pydantic: "ticket" is no model; write module:Model'),
    ({"lines": 3}, 'lines needs a mapping: {lines: {max: 5, prefix: "- "}}'),
    ({"lines": {}}, "lines needs count, min, max, prefix or longest"),
    ({"lines": {"counts": 3}}, 'lines: unknown key "counts"; did you mean "count"?, as in {lines:'),
    ({"lines": {"count": 0}}, "lines: count is 0, but must be greater than or equal to 1"),
    ({"lines": {"count": 3, "max": 4}}, "lines has count and min or max; write one of them"),
    ({"lines": {"min": 4, "max": 3}}, "lines: min 4 is above max 3, so no reply can satisfy both"),
    ({"length": {"max": 3}}, 'length: "unit" is missing, as in {length: {unit: words, max: 50}}'),
    ({"length": {"unit": "word", "max": 3}}, 'length: unit is "word", but must be one of '),
    ({"length": {"unit": "words"}}, "length needs min, max or both"),
    ({"xml": "answer"}, "xml needs a list of tags: {xml: [reason, answer]}"),
    ({"csv": ["a"]}, "csv needs a mapping: {csv: {columns: [name, price]}}"),
    ({"markdown": {"columns": ["a"]}}, 'markdown: "table" is missing, as in {markdown: {table:'),
    ({"code": "perl"}, "code needs python, json, yaml or sql: {code: python}"),
    ({"language": "german"}, 'language: "german" is no language that can be detected'),
    (
        {"language": "de-AT"},
        'language: "de-AT" is no language that can be detected; did you mean "de"',
    ),
    ({"contains": "a"}, "contains needs a list of texts: {contains: [refund]}"),
    ({"avoids": [""]}, "avoids has an empty text; leave it out, or write one as in {avoids: "),
    (
        {"tool_call": {"schema": {}}},
        'tool_call: "name" is missing, as in {tool_call: lookup_order}',
    ),
    ({"tool_call": {"name": "a", "arguments": {}}}, 'tool_call: unknown key "arguments"'),
]


@every_row(("raw", "message"), FAULTS)
def test_a_format_that_cannot_be_used_says_what_to_write(raw, message):
    assert refusal(raw)[0].startswith(message)


def test_every_format_of_a_list_that_is_wrong_is_said():
    assert len(refusal([{"choice": []}, {"regex": "a"}, {"regex": "("}])) == 2


@every_row(
    ("package", "raw", "extra"),
    [("sqlglot", {"code": "sql"}, "sql"), ("py3langid", {"language": "de"}, "language")],
)
def test_a_format_that_needs_a_package_says_how_to_get_it(monkeypatch, package, raw, extra):
    monkeypatch.setitem(sys.modules, package, None)

    assert refusal(raw)[0].endswith(f'needs {package}: pip install "pytest-ftgate[{extra}]"')


def test_the_languages_are_those_that_the_package_tells_apart():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    assert set(LanguageIdentifier.from_model_file(MODEL_FILE).labels) == LANGUAGES


# In a suite ----------------------------------------------------------------------------------

SUITE = """\
cases: [{input: a, expected: b}]
reply:
  format:
%s
variants: {current: {provider: recorded, replies: replies.jsonl}}
gates: {accuracy: {min: 0.1}}
"""


def errors(folder, form):
    (folder / "replies.jsonl").write_text("")
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE % form)
    with pytest.raises(SuiteError) as caught:
        load_suite(path, folder)
    return [str(error) for error in caught.value.errors]


def test_each_wrong_format_of_a_list_is_told_at_its_line(tmp_path):
    form = "    - {choice: [a]}\n    - {length: {unit: words}}\n    - regex: (\n    - {xml: []}"

    assert [one.partition(": ")[0] for one in errors(tmp_path, form)] == [
        "s.ftgate.yaml:5",
        "s.ftgate.yaml:6",
        "s.ftgate.yaml:7",
    ]


def test_a_schema_that_is_none_is_told_at_the_line_where_it_is_wrong(tmp_path):
    form = (
        "    json_schema:\n"
        "      properties:\n"
        "        label: {type: string}\n"
        "        total: {type: strin}"
    )

    (found,) = errors(tmp_path, form)

    assert found.startswith("s.ftgate.yaml:7: json_schema: no schema: at /properties/total/type: ")
    assert found.endswith('"strin" is no type; did you mean "string"?')


@every_row(
    ("schema", "told"),
    [
        ("{minLength: -1}", "at /minLength: -1 is less than the minimum of 0"),
        ("{pattern: (}", 'at /pattern: "(" is not a "regex"'),
        ('{$ref: "#/$defs/x"}', "Pointer '/$defs/x' does not exist"),
        ("{$schema: nonsense}", "Unknown meta-schema: 'nonsense'"),
        ("{$ref: 'https://192.0.2.1/a'}", "nothing is fetched"),
    ],
)
def test_what_makes_a_schema_none_is_told(tmp_path, schema, told):
    (found,) = errors(tmp_path, f"    json_schema: {schema}")

    assert found.startswith("s.ftgate.yaml:4: json_schema: no schema: ")
    assert told in found


def test_a_schema_in_a_file_is_held_to_be_one_too(tmp_path):
    (tmp_path / "ticket.json").write_text(json.dumps({"properties": {"a": {"type": "text"}}}))

    (found,) = errors(tmp_path, "    json_schema: ticket.json")

    assert found.startswith("s.ftgate.yaml:4: json_schema: ticket.json is no schema: at /prop")
    assert found.endswith("types: array, boolean, integer, null, number, object, string")


def test_a_schema_file_that_is_not_there_or_not_json_is_an_error_at_its_line(tmp_path):
    (tmp_path / "text.json").write_text("type: object\n")
    form = "    - {json_schema: ticket.json}\n    - tool_call: {name: a, schema: text.json}"
    _, absent, not_json = errors(tmp_path, form)

    assert absent == "s.ftgate.yaml:4: json_schema: ticket.json does not exist (looked in ./)"
    assert not_json.startswith("s.ftgate.yaml:5: tool_call.schema: text.json is not JSON: ")


def test_a_model_that_is_not_in_the_file_beside_the_suite_is_an_error(tmp_path):
    (tmp_path / "shop.py").write_text("class Ticket: pass\n")

    assert errors(tmp_path, '    pydantic: "shop:Tiket"') == [
        's.ftgate.yaml:4: reply.format: shop:Tiket: shop.py has no "Tiket"; did you mean "Ticket"?'
    ]


def test_a_call_of_a_tool_that_no_variant_has_is_an_error(tmp_path):
    assert errors(tmp_path, "    tool_call: lookup") == [
        's.ftgate.yaml:3: tool_call: "lookup" is a tool of no variant; give it to one under tools'
    ]


def test_a_case_may_have_a_format_of_its_own_and_its_errors_are_told_at_its_line(tmp_path):
    (tmp_path / "replies.jsonl").write_text("")
    rows = [
        {"input": "a", "expected": "b", "format": {"lines": {"count": 2}}},
        {"input": "b", "format": {"xml": 3}},
    ]
    (tmp_path / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(SUITE.replace("[{input: a, expected: b}]", "c.jsonl") % "    xml: [a]")
    with pytest.raises(SuiteError) as caught:
        load_suite(path, tmp_path)

    assert [str(one) for one in caught.value.errors] == [
        "c.jsonl:2: in a case: xml needs a list of tags: {xml: [reason, answer]}"
    ]
