"""Format errors of structured replies: what each says, and what a lenient reader repairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.structured import (
    find_json,
    last_code_block,
    markdown_error,
    structured_reader,
)
from pytest_ftgate.suite.rule import Rule

TICKET = Rule(
    "json_schema",
    {
        "type": "object",
        "properties": {
            "label": {"enum": ["a", "b"]},
            "n": {"type": "integer"},
            "deep": {"properties": {"tags": {"items": {"type": "string"}}}},
        },
        "required": ["label"],
        "additionalProperties": False,
    },
)
ANYTHING = Rule("json_schema", {})
JSON = Rule("code", "json")
FENCE = "```"
NO_VALUE = "Expecting value: line 1 column 1 (char 0)"
EXPECTED = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"

#: (rule, reply, kind, detail)
JSON_ERRORS = [
    (TICKET, '{"label": "c"}', "not in enumeration", '/label: "c" is not one of "a" or "b"'),
    (TICKET, "{}", "missing key", '/: "label" is a required property'),
    (TICKET, '{"label": "a", "x": 1}', "extra key",
     "/: Additional properties are not allowed ('x' was unexpected)"),
    (TICKET, '{"label": "a", "n": "x"}', "wrong type", '/n: "x" is not of type "integer"'),
    (TICKET, '{"label": "a", "deep": {"tags": ["x", 5]}}', "wrong type",
     '/deep/tags/1: 5 is not of type "string"'),
    (Rule("json_schema", {"minimum": 1}), "0", "json_schema", "/: 0 is less than the minimum of 1"),
    (Rule("json_schema", False), "0", "json_schema", "/: False schema does not allow 0"),
    (TICKET, '"a', "truncated", "Unterminated string starting at: line 1 column 1 (char 0)"),
    (TICKET, '"a" "b', "invalid syntax", "Extra data: line 1 column 5 (char 4)"),
    (TICKET, "label: a", "invalid syntax", NO_VALUE),
    (ANYTHING, "", "invalid syntax", NO_VALUE),
    (ANYTHING, '{"a": tru', "invalid syntax", "Expecting value: line 1 column 7 (char 6)"),
    (ANYTHING, '{"a": NaN}', "invalid syntax", "NaN is no JSON value"),
    (ANYTHING, "[" * 9999 + "1" + "]" * 9999, "invalid syntax", "nested too deep"),
    (JSON, "{", "truncated", EXPECTED),
]  # fmt: skip

XML = Rule("xml", ["reason", "answer"])
XML_ERRORS = [
    (XML, "words", "missing key", "there is no <reason>"),
    (XML, "<answer/><reason/>", "xml", "<answer> comes too early: reason, answer"),
    (XML, "<reason>r", "truncated", "mismatched tag: line 2, column 2"),
    (XML, "<reason>\r\n1\r</reason><answer>", "truncated", "mismatched tag: line 4, column 2"),
    (XML, "<reason>r\n</answer>", "invalid syntax", "mismatched tag: line 2, column 2"),
    (XML, "<reason/><answer", "truncated", "not well-formed (invalid token): line 2, column 0"),
    (XML, "<reason/> then <answer/>", "trailing text", "there is text outside the elements"),
    (XML, "x <reason/> y <answer/> z", "preamble", "there is text outside the elements"),
    (XML, "<answer/> x", "trailing text", "there is no <reason>"),
]

CSV = Rule("csv", {"columns": ["name", "price"]})
CSV_ERRORS = [
    (CSV, "name\na", "missing key", "there is no column price"),
    (CSV, f"name,price,{'x' * 300}", "extra key", f"there is a column {'x' * 182}"),
    (CSV, "price,name\n1,a", "csv", "the columns are price, name, not name, price"),
    (CSV, "name,name\n1,a", "missing key", "there is no column price"),
    (CSV, "x" * 300, "csv", f"the columns are {'x' * 184}"),
    (CSV, "\n", "csv", "the columns are , not name, price"),
    (CSV, "name,price\na,1,2", "invalid syntax", "row 2 has 3 of 2 cells"),
    (CSV, "name,price\na,1\nb", "invalid syntax", "row 3 has 1 of 2 cells"),
    (CSV, 'name,price\n"a,1', "invalid syntax", "unexpected end of data"),
    (CSV, 'name,price\n"a"b,1', "invalid syntax", "',' expected after '\"'"),
]

MARKDOWN = {"table": ["name", "price"]}
NO_TABLE = ("markdown", "there is no table")
TABLES = [
    ("name | price\n:-: | --:\na | 1\nand so on", None),
    ("name|price\n-|-\na \\| b|1", None),
    ("| x | y |\n|---|---|\n| 1 |\n\n| name | price |\n|---|---|\n| 1 | 2 |\nend\n| 3 |", None),
    (f"{FENCE}\n| x |\n|---|\n{FENCE}\n| name | price |\n|---|---|", None),
    ("| name | price |\n|---|---|\n| a |", ("invalid syntax", "row 1 has 1 cells")),
    ("| name | price |\n|-|-|\n| a | 1 |\n| a | 1 | 2 |", ("invalid syntax", "row 2 has 3 cells")),
    ("| name |\n|---|\n| a |", ("missing key", "there is no column price")),
    ("| name | price | more |\n|---|---|---|", ("extra key", "there is a column more")),
    ("| price | name |\n|---|---|", ("markdown", "the columns are price, name, not name, price")),
    ("| a | b |\n|-|-|\n\n| c |\n|-|", ("markdown", "the columns are a, b, not name, price")),
    (f"{FENCE}\n| name | price |\n|---|---|\n{FENCE}", NO_TABLE),
    ("name, price\n---", NO_TABLE),
    ("| name | price |\n|---|", NO_TABLE),
    ("| name | price |\n|:--|--x|", NO_TABLE),
    ("| name | price |\n|::|--|", NO_TABLE),
    ("| name | price |\n| | |", NO_TABLE),
]

PYTHON, YAML, SQL = (Rule("code", language) for language in ("python", "yaml", "sql"))
NO_COLLECTION = "it is neither a mapping nor a list"
CODE_ERRORS = [
    (PYTHON, "x = 1\n  y", "invalid syntax", "unexpected indent (<unknown>, line 2)"),
    (YAML, "only words", "invalid syntax", NO_COLLECTION),
    (YAML, "# a remark", "invalid syntax", NO_COLLECTION),
    (YAML, "a: 1\n---\nb", "invalid syntax", NO_COLLECTION),
    (YAML, "b\n---\na: 1", "invalid syntax", NO_COLLECTION),
    (SQL, "hello", "invalid syntax", "it is no statement"),
    (SQL, "-- a remark", "invalid syntax", "it is no statement"),
    (SQL, "SELECT 1; x", "invalid syntax", "it is no statement"),
]
ERRORS = [*JSON_ERRORS, *XML_ERRORS, *CSV_ERRORS, *CODE_ERRORS]


def read(rule, text):
    return structured_reader(rule, Path()).find_error(text)


LONG = "x" * 300


def test_what_is_wrong_with_yaml_is_told_in_one_line_whichever_parser_is_there(monkeypatch):
    fast = read(YAML, "a: [1")
    monkeypatch.delattr("yaml.CSafeLoader", raising=False)
    slow, long = read(YAML, "a: [1"), read(YAML, f"a: !{LONG}!b c")

    for error in (fast, slow):
        assert error.kind == "invalid syntax"
        assert error.detail.startswith(
            'while parsing a flow sequence in "<byte string>", line 1, column 4'
        )
        assert "  " not in error.detail
    assert (long.kind, len(long.detail)) == ("invalid syntax", 200)
    assert read(YAML, "a: 1") is None
    assert "but got" in slow.detail
    assert ("but got" in fast.detail) is not yaml.__with_libyaml__


def test_what_is_wrong_with_sql_is_told_in_the_first_line_of_its_parser():
    error = read(SQL, "SELECT *\nFORM t\nWHERE x")

    assert error.kind == "invalid syntax"
    assert error.detail.startswith("Invalid expression / Unexpected token. Line 2")
    assert "\n" not in error.detail


#: (rule, reply, kind): what a lenient reader repairs.
REPAIRED = [
    (TICKET, 'Sure: {"label": "a"} or {"label": "b", "n": 1}. Bye', "preamble"),
    (TICKET, 'See [1]. {"label": "a"}', "preamble"),
    (TICKET, '{"label": "a"} [1]', "trailing text"),
    (TICKET, 'Here {"label": "a",} there', "preamble"),
    (TICKET, '{"label": "a",} there', "trailing text"),
    (TICKET, '{"label": "a",\n}', "invalid syntax"),
    (ANYTHING, "A list: [1, [2, 3], 4]!", "preamble"),
    (ANYTHING, 'A list: [{"a": 1,}, {"b": [2,],},] ok', "preamble"),
    (JSON, "[1, 2] is the list", "trailing text"),
    # Only so many brackets are tried that may begin the JSON.
    (TICKET, "{x} " * 19 + '{"label": "a"}', "preamble"),
    (XML, "<reason/><answer>x</answer>\r\nBye", "trailing text"),
    (XML, "<?xml version='1.0'?>x<reason/><answer/>", "preamble"),
    (XML, "a > b <reason/><answer/>", "preamble"),
    (XML, "<reason/><answer>a</answer> 5 > 4", "trailing text"),
    (XML, "<reason>1</reason> <answer/> <reason/> ok", "trailing text"),
    (CSV, "T:\nname,price\na,1\n\nBye", "preamble"),
    (CSV, "T:\n\n  name,price\na,1\n \nBye", "preamble"),
    (CSV, "name,price\n\na,1\nb", "trailing text"),
    (PYTHON, f"{FENCE}python\nx = 1\n{FENCE}", "fenced"),
]


@every_row(("rule", "text", "kind"), REPAIRED)
def test_a_lenient_reader_finds_the_structure_in_a_reply(rule, text, kind):
    assert read(rule, text) == FormatError(kind, lenient=True)


#: (rule, reply, kind, detail): the first repair names the error, though it does not help.
NOT_REPAIRED = [
    (TICKET, 'Result: {"label": "c"}', "preamble", NO_VALUE),
    (TICKET, "{x} " * 20 + '{"label": "a"}', "invalid syntax", EXPECTED),
    (TICKET, f'{FENCE}\n{{"label": "c"}}\n{FENCE}', "fenced", NO_VALUE),
    (XML, "x <reason/> then", "preamble", "there is no <answer>"),
    (CSV, "T:\nname,price\na\n\nBye", "preamble", "the columns are T:, not name, price"),
    (CSV, " name,price \na,1\n\nBye", "preamble", "the columns are  name, price , not name, price"),
]  # fmt: skip


@every_row(("rule", "text", "kind", "detail"), [*ERRORS, *NOT_REPAIRED])
def test_an_error_of_a_structured_reply_says_what_is_wrong_where(rule, text, kind, detail):
    assert read(rule, text) == FormatError(kind, detail)


VALID = [
    (ANYTHING, "12"),
    (TICKET, '{"label": "b", "n": 1}'),
    (XML, "<?xml version='1.0'?>\n<reason/><answer/>"),
    (XML, "<reply>x<reason>1</reason>y<answer/>z</reply>"),
    (XML, "<reason/><more/><answer/>"),
    (XML, "<reason/>\r\n<answer/>"),
    (XML, "<reason/>\r<answer/>"),
    (XML, "<?xml version='1.0'?><reason>a ?> b</reason><answer/>"),
    (CSV, 'name,price\n"a\n\nb",1'),
    (CSV, "name,price\ra,1"),
    (YAML, "--- \na: 1\n---\n- 2"),
    (SQL, "SELECT 1;;"),
]


@every_row(("rule", "text"), VALID)
def test_a_structured_reply_of_its_format_has_no_error(rule, text):
    assert read(rule, text) is None


# What judges read ------------------------------------------------------------------------------


@every_row(
    ("text", "found"),
    [
        ("12", 12),
        (f'{FENCE}json\n{{"a": 1}}\n{FENCE}', {"a": 1}),
        ('It is {"a": [1]}, not {"b": 2}.', {"a": [1]}),
        ('It is {"a": 1,}.', {"a": 1}),
        ("nothing", None),
        ("[NaN]", None),
        ("[" * 9999, None),
    ],
)
def test_json_is_found_as_a_lenient_reader_finds_it(text, found):
    assert find_json(text) == found


# Markdown --------------------------------------------------------------------------------------


@every_row(
    ("text", "block"),
    [
        ("no code", None),
        ("", None),
        (f"{FENCE}python\na\nb\n{FENCE}\nc", "a\nb"),
        (f"{FENCE}\na\n{FENCE}\n{FENCE}\nb\n{FENCE}", "b"),
        (f"{FENCE}\na", "a"),
        (f"{FENCE}\n{FENCE}", ""),
        (f"~~~\na\n{FENCE}\nb\n~~~", f"a\n{FENCE}\nb"),
        ("````\na\n```\nb\n````", "a\n```\nb"),
        ("```\na\n````", "a"),
        ("```\na\n``` b\n```", "a\n``` b"),
        ("```\na\n``` \nb", "a"),
        ("   ```\n   a\n     b\n   ```", "a\n  b"),
        ("x ```\na", None),
    ],
)
def test_the_last_code_block_reaches_to_its_fence_or_to_the_end(text, block):
    assert last_code_block(text) == block


@every_row(("text", "told"), TABLES)
def test_a_table_has_the_declared_columns_and_rows_of_as_many_cells(text, told):
    assert markdown_error(MARKDOWN, text) == (told and FormatError(*told))


@every_row("rule", [XML, YAML, Rule("code", "json"), CSV])
def test_half_of_a_surrogate_pair_is_an_error_of_the_reply(rule):
    text = {"xml": "<reason>\ud800</reason><answer/>", "csv": "\ud800"}.get(rule.kind, "a: \ud800")

    assert read(rule, text).kind in ("invalid syntax", "csv")


# Models ----------------------------------------------------------------------------------------

MODELS = """\
from typing import Literal
from pydantic import BaseModel, ConfigDict, field_validator

class Part(BaseModel):
    n: int

class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    label: Literal["a", "b"] = "a"
    parts: list[Part] = []
    name: str = ""

    @field_validator("name")
    @classmethod
    def short(cls, name):
        if name == "break":
            raise RuntimeError("a bug")
        assert len(name) < 9, name
        return name

class Plain:
    pass
"""


@pytest.fixture
def reader(tmp_path):
    (tmp_path / "structured_models.py").write_text(MODELS)
    return lambda name: structured_reader(Rule("pydantic", f"structured_models:{name}"), tmp_path)


@every_row(
    ("text", "kind", "where"),
    [
        ('{"parts": [{"n": 1}, {}]}', "missing key", "/parts/1/n: Field required"),
        ('{"parts": [{"n": "x"}]}', "wrong type", "/parts/0/n: Input should be a valid integer"),
        ('{"parts": 1}', "wrong type", "/parts: Input should be a valid "),
        ('{"label": "c"}', "not in enumeration", "/label: Input should be 'a' or 'b'"),
        ('{"more": 1}', "extra key", "/more: Extra inputs are not permitted"),
        ('{"name": "abcdefghi"}', "pydantic", "/name: Assertion failed, abcdefghi"),
        ('{"label": ', "truncated", "/: Invalid JSON: EOF while parsing a value"),
        ("label", "invalid syntax", "/: Invalid JSON: expected value"),
        ('{"name": "\ud800"}', "invalid syntax", "/: Invalid JSON: "),
    ],
)
def test_an_error_of_a_model_says_what_is_wrong_where(reader, text, kind, where):
    order = reader("Order")
    error = order.find_error(text)

    assert (error.kind, error.lenient) == (kind, False)
    assert error.detail.startswith(where)
    # A lenient reader finds what the model accepts.
    assert order.find_error('Here: {"label": "b",} ok') == FormatError("preamble", lenient=True)


def test_a_long_detail_is_cut_to_200_characters(reader):
    told = [
        read(TICKET, f'{{"label": "{LONG}"}}').detail,
        read(Rule("csv", {"columns": [LONG]}), "y").detail,
        reader("Order").find_error(f'{{"name": "{LONG}"}}').detail,
    ]

    assert told == [
        f'/label: "{LONG}'[:200],
        f"the columns are y, not {LONG}"[:200],
        f"/name: Assertion failed, {LONG}"[:200],
    ]


def test_a_class_that_is_no_model_or_that_breaks_is_an_error_with_its_cause(reader):
    with pytest.raises(ConfigurationError) as raised:
        reader("Plain")
    assert str(raised.value) == (
        "structured_models:Plain is no pydantic model; name a class made of BaseModel"
    )
    with pytest.raises(ScorerError) as raised:
        reader("Order").find_error('{"name": "break"}')

    assert str(raised.value) == (
        "structured_models:Order broke while it read a reply: RuntimeError: a bug"
    )
    assert isinstance(raised.value.__cause__, RuntimeError)
