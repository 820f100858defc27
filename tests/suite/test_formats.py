"""Formats as an author writes them: read, or refused at their line with what to write instead."""

from __future__ import annotations

import json
import sys

import jsonschema_rs
import pytest
from ftgate_testing.suite_files import Like, errors_of, load_variants
from ftgate_testing.tables import every_row
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.suite.formats import FORMAT_KINDS, LANGUAGES, DeclaredFormat
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
    # JavaScript needs Node.js, and has a file of its own.
    elsewhere = {"javascript"}

    assert {kind for raw, _ in WRITTEN for kind in raw} == set(FORMAT_KINDS) - elsewhere


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
    ({"choice": []}, "choice needs a list of labels: {choice: [a, b]}"),
    ({"choice": ["a", 5]}, 'choice is 5, but text is wanted here: write "5"'),
    ({"regex": 5}, 'regex needs a pattern: {regex: "^[A-Z]+$"}'),
    ({"regex": "("}, "regex: '(' is not a pattern: missing ) at position 1"),
    ({"json_schema": 5}, "json_schema needs a schema or the path of one"),
    ({"python": "reply"}, 'python: "reply" is no function; write module:function'),
    ({"pydantic": "ticket"}, 'pydantic: "ticket" is no model; write module:Model'),
    ({"lines": 3}, 'lines needs a mapping: {lines: {max: 5, prefix: "- "}}'),
    ({"lines": {}}, "lines needs count, min, max, prefix or longest"),
    ({"lines": {"counts": 3}}, 'lines: unknown key "counts"; did you mean "count"?, as in {lines:'),
    ({"lines": {"count": 3, "max": 4}}, "lines has count and min or max; write one of them"),
    ({"lines": {"min": 4, "max": 3}}, "lines: min 4 is above max 3, so no reply can satisfy both"),
    ({"length": {"max": 3}}, 'length: "unit" is missing, as in {length: {unit: words, max: 50}}'),
    ({"length": {"unit": "words"}}, "length needs min, max or both"),
    ({"xml": "answer"}, "xml needs a list of tags: {xml: [reason, answer]}"),
    ({"csv": ["a"]}, "csv needs a mapping: {csv: {columns: [name, price]}}"),
    ({"markdown": {"columns": ["a"]}}, 'markdown: "table" is missing, as in {markdown: {table:'),
    ({"code": "perl"}, "code needs python, json, yaml or sql: {code: python}"),
    ({"language": "de-AT"},
     'language: "de-AT" is no language that can be detected; did you mean "de"'),
    ({"avoids": [""]}, "avoids has an empty text; leave it out, or write one as in {avoids: "),
    ({"tool_call": {"schema": {}}},
     'tool_call: "name" is missing, as in {tool_call: lookup_order}'),
    ({"tool_call": {"name": "a", "arguments": {}}}, 'tool_call: unknown key "arguments"'),
]  # fmt: skip


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

NO_SCHEMA = "3: json_schema: no schema: "
SCHEMA_AT = """\
    json_schema:
      properties:
        label: {type: string}
        total: {type: strin}"""
ROWS = (
    {"input": "a", "expected": "b", "format": {"lines": {"count": 2}}},
    {"input": "b", "format": {"xml": 3}},
)
FILES = {
    "shop.py": "class Ticket: pass\n",
    "text.json": "type: object\n",
    "deep.json": "[" * 100_000,
    "wrong.json": '{"properties": {"a": {"type": "text"}}}',
    "c.jsonl": "".join(f"{json.dumps(row)}\n" for row in ROWS),
}
#: What stands below ``format`` from line 3 on, and what is told.
IN_SUITE = [
    ("    - {choice: [a]}\n    - {length: {unit: words}}\n    - regex: (\n    - {xml: []}",
     ["4: ...", "5: ...", "6: ..."]),
    (SCHEMA_AT, [("6: json_schema: no schema: at /properties/total/type: "
     '..."strin" is no type; did you mean "string"?')]),
    *(
        (f"    json_schema: {schema}", [f"{NO_SCHEMA}...{told}..."])
        for schema, told in (
            ("{minLength: -1}", "at /minLength: -1 is less than the minimum of 0"),
            ("{pattern: (}", 'at /pattern: "(" is not a "regex"'),
            ('{$ref: "#/$defs/x"}', "Pointer '/$defs/x' does not exist"),
            ("{$schema: nonsense}", "Unknown meta-schema: 'nonsense'"),
            ("{$ref: 'https://192.0.2.1/a'}", "nothing is fetched"),
            (f"{'{items: ' * 101}{{}}{'}' * 101}", "it nests deeper than 100 levels; write the"),
            (f"{{const: {'x' * 1_000_001}}}", "it has more than 1,000,000 characters"),
        )
    ),
    ("    json_schema: wrong.json", [("3: json_schema: wrong.json is no schema: at /prop..."
     "types: array, boolean, integer, null, number, object, string")]),
    ("    - {json_schema: ticket.json}\n    - tool_call: {name: lookup, schema: text.json}",
     ['2: tool_call: "lookup" is a tool of no variant; give it to one under tools',
     '3: json_schema: ticket.json does not exist (looked in ./); did you mean "text.json"?',
     "4: tool_call.schema: text.json is not JSON: ..."]),
    ("    json_schema: deep.json", ["3: json_schema: deep.json is not JSON: nested too deeply"]),
    (f"    regex: '{'(' * 5_000}'", [f"2: regex: '{'(' * 80}…' is not a pattern: ..."]),
    ('    pydantic: "shop:Tiket"',
     ['3: reply.format: shop:Tiket: shop.py has no "Tiket"; did you mean "Ticket"?']),
]  # fmt: skip


def errors(folder, form, **parts):
    variant, head = "one: {provider: anthropic, model: m}", f"reply:\n  format:\n{form}\n"
    return errors_of(load_variants, folder, variant, head=head, files=FILES, **parts)


@every_row(("form", "told"), IN_SUITE)
def test_each_format_that_cannot_be_used_is_told_at_the_line_where_it_is_wrong(
    tmp_path, form, told
):
    assert errors(tmp_path, form) == [*map(Like, told)]


def test_a_case_may_have_a_format_of_its_own_and_its_errors_are_told_at_its_line(tmp_path):
    assert errors(tmp_path, "    xml: [a]", cases="c.jsonl") == [
        "c.jsonl:2: in a case: xml needs a list of tags: {xml: [reason, answer]}"
    ]
