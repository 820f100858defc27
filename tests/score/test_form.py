"""Form: read strictly, as a program would, and named where it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import ScorerError
from pytest_ftgate.score.form import Broken, form
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rules import Rule

CHOICE = Rule("choice", ["refund", "billing"])
TICKET = Rule(
    "json_schema",
    {
        "type": "object",
        "properties": {"label": {"enum": ["a", "b"]}, "tags": {"items": {"type": "string"}}},
        "required": ["label"],
        "additionalProperties": False,
    },
)
ANYTHING = Rule("json_schema", {})


def read(text, *rules, stop="end", folder=None):
    case = Case(id="a", where="c.jsonl:7", input="q", score=Rule("exact"), format=rules)
    return form(case, Reply(text=text, stop=stop), folder or Path())


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("refund", CHOICE),
        ("\n refund \n", CHOICE),
        ("order 12", Rule("regex", r"\d+")),
        ('{"label": "a", "tags": ["x"]}', TICKET),
        ("12", ANYTHING),
        ('"text"', ANYTHING),
    ],
)
def test_a_reply_that_holds_its_form_is_not_broken(text, rule):
    assert read(text, rule) is None


@pytest.mark.parametrize(
    ("text", "rule", "kind"),
    [
        ("Refund", CHOICE, "wrong label"),
        ("refund.", CHOICE, "wrong label"),
        ("It is refund", CHOICE, "wrong label"),
        ("", CHOICE, "empty"),
        (" \n ", TICKET, "empty"),
        ("none", Rule("regex", r"\d+"), "pattern"),
        ("not JSON", TICKET, "invalid JSON"),
        ('```json\n{"label": "a"}\n```', TICKET, "invalid JSON"),
        ('{"label": "a"} Hope this helps!', TICKET, "invalid JSON"),
        ("{'label': 'a'}", TICKET, "invalid JSON"),
        ("NaN", ANYTHING, "invalid JSON"),
        ("[1, -Infinity]", ANYTHING, "invalid JSON"),
        ('{"label": "c"}', TICKET, "schema"),
        ("{}", TICKET, "schema"),
        ('{"label": "a", "more": 1}', TICKET, "schema"),
        ("[]", TICKET, "schema"),
    ],
)
def test_a_broken_form_is_named_by_its_kind(text, rule, kind):
    assert read(text, rule).kind == kind


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"label": "a", "tags": ["x", 5]}', '/tags/1: 5 is not of type "string"'),
        ('{"label": "c"}', '/label: "c" is not one of "a" or "b"'),
        ("{}", '/: "label" is a required property'),
    ],
)
def test_a_broken_schema_says_where_and_what(text, detail):
    assert read(text, TICKET) == Broken("schema", detail)


def test_a_broken_pattern_says_which():
    assert read("none", Rule("regex", r"\d+")) == Broken("pattern", r"no match for \d+")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '"\\ud800"', "1" * 5000],
    ids=["deep list", "deep mapping", "half a character", "endless number"],
)
def test_a_hostile_reply_is_broken_and_breaks_nothing(text):
    assert (
        read(text, Rule("json_schema", {"type": "string", "minLength": 1})).kind == "invalid JSON"
    )


def test_a_long_fault_is_cut_short():
    assert len(read('"' + "x" * 10_000 + '"', TICKET).detail) <= 200


def test_a_cut_off_reply_that_is_broken_is_truncated_and_keeps_the_detail():
    found = read('{"label": ', TICKET, stop="length")

    assert found.kind == "truncated"
    assert found.detail.startswith("Expecting value")


def test_a_cut_off_reply_that_holds_its_form_is_not_broken():
    assert read("refund", CHOICE, stop="length") is None


def test_an_empty_reply_that_was_cut_off_is_truncated():
    assert read("", CHOICE, stop="length").kind == "truncated"


@pytest.mark.parametrize("text", ["I cannot help with that", "refund", ""])
def test_a_refusal_is_a_refusal_whatever_it_says(text):
    assert read(text, CHOICE, stop="refusal") == Broken("refusal")


@pytest.mark.parametrize("stop", ["end", "length", "refusal"])
def test_where_no_form_is_wanted_none_is_broken(stop):
    assert read("anything", stop=stop) is None


def test_the_first_of_several_rules_that_is_broken_is_named():
    rules = (Rule("regex", "^r"), CHOICE)

    assert [read(t, *rules) and read(t, *rules).kind for t in ("refund", "rest", "other")] == [
        None,
        "wrong label",
        "pattern",
    ]


@pytest.mark.parametrize(
    "uri", ["https://192.0.2.1/ticket.json", "http://localhost:9/x", "file:///etc/hostname"]
)
def test_a_schema_elsewhere_is_never_fetched(uri):
    with pytest.raises(ScorerError, match="nothing is fetched"):
        read("1", Rule("json_schema", {"$ref": uri}))


def test_a_reference_within_the_schema_is_followed():
    rule = Rule("json_schema", {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"})

    assert read("1", rule) is None
    assert read('"a"', rule).kind == "schema"


def test_a_schema_that_is_none_is_an_error_and_never_a_broken_reply():
    with pytest.raises(ScorerError, match='json_schema: not a schema: "strin"'):
        read("1", Rule("json_schema", {"type": "strin"}))


# Functions -----------------------------------------------------------------------------------

CHECKS = """\
def short(case, reply): return len(reply.text) < 5
def reason(case, reply): return "" if len(reply.text) < 5 else "too long"
def silent(case, reply): return None
def broken(case, reply): return 1 / 0
"""


def checked(folder, name, text):
    (folder / "form_checks.py").write_text(CHECKS)
    return read(text, Rule("python", f"form_checks:{name}"), folder=folder)


@pytest.mark.parametrize("name", ["short", "reason"])
def test_a_function_may_hold_a_form(tmp_path, name):
    assert checked(tmp_path, name, "abc") is None


@pytest.mark.parametrize(
    ("name", "detail"),
    [("short", "form_checks:short"), ("reason", "too long"), ("silent", "form_checks:silent")],
)
def test_a_function_may_break_a_form_and_say_why(tmp_path, name, detail):
    assert checked(tmp_path, name, "abcdefgh") == Broken("python", detail)


def test_a_function_that_breaks_is_an_error_at_the_case_and_never_a_broken_form(tmp_path):
    with pytest.raises(
        ScorerError,
        match=r'form_checks:broken broke on case "a" \(c\.jsonl:7\): ZeroDivisionError',
    ):
        checked(tmp_path, "broken", "abc")
