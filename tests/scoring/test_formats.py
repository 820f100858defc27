"""Format checks: read strictly, as a program would, and with a name for each error."""

from __future__ import annotations

import json
import pickle
import re
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.properties import examples
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.scoring.formats import (
    FormatChecker,
    can_detect_language,
    detect_language,
    ends_in_loop,
    looks_like_hedge,
    looks_like_refusal,
    rule_check,
)
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

CHOICE = Rule("choice", ["refund", "billing"])
LABEL = Rule("json_schema", {"properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]})
EVERY_TEXT_RULE = (
    CHOICE,
    LABEL,
    Rule("regex", r"^\w+$"),
    Rule("lines", {"count": 1, "prefix": "a", "longest": 9}),
    Rule("xml", ["a", "b"]),
    Rule("csv", {"columns": ["a", "b"]}),
    Rule("markdown", {"table": ["a", "b"]}),
    *(Rule("code", language) for language in ("python", "json", "yaml", "sql")),
    *(Rule("length", {"unit": unit, "max": 3}) for unit in ("words", "sentences", "tokens")),
    Rule("language", "de"),
    Rule("contains", ["a"]),
    Rule("avoids", ["a"]),
)


def case(*rules):
    return Case(id="a", location="c.jsonl:7", input="q", score=Rule("exact"), format=rules)


def read(text, *rules, stop="end", folder=None, steps=(), expected=None):
    reply, asked = Reply(text=text, stop=stop, steps=steps), case(*rules)
    asked = replace(asked, expected=expected or asked.expected)
    return FormatChecker(folder or Path()).find_error(asked, reply)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"label": "c"}', '/label: "c" is not one of "a" or "b"'),
        ("{}", '/: "label" is a required property'),
    ],
)
def test_a_broken_schema_says_where_and_what(text, detail):
    assert read(text, LABEL).detail == detail


def test_a_long_format_error_is_cut_short():
    assert len(read('{"label": "' + "x" * 10_000 + '"}', LABEL).detail) <= 200


# The reply as a whole ------------------------------------------------------------------------


def test_a_truncated_reply_with_a_format_error_is_truncated_and_keeps_the_detail():
    found = read('{"label": ', LABEL, stop="length")

    assert found.kind == "truncated"
    assert found.detail.startswith("Expecting value")


def test_a_truncated_reply_with_a_valid_format_has_no_error():
    assert read("refund", CHOICE, stop="length") is None


def test_an_empty_truncated_reply_is_truncated():
    assert read("", CHOICE, stop="length").kind == "truncated"


def test_a_truncated_loop_is_a_loop_since_a_higher_limit_would_not_end_it():
    assert read("and so on, " * 50, LABEL, stop="length").kind == "repetition loop"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("refund\nand then", "trailing text"),
        ("**Refund**, since login failed", "trailing text"),
        ("right, because", "trailing text"),
        ("refund_item_item", "trailing text"),
        ("refundrefundref", "trailing text"),
        ("I think refund", "truncated"),
        ("refunding", "truncated"),
        ("log", "truncated"),
        ("refund part", "truncated"),
    ],
    ids=[
        "label",
        "two labels",
        "expected",
        "glued",
        "again",
        "later",
        "other word",
        "begun",
        "longer label",
    ],
)
def test_a_whole_answer_before_the_limit_leaves_trailing_text_that_no_higher_limit_ends(text, kind):
    labels = Rule("choice", ["refund", "login", "refund partly"])

    assert read(text, labels, stop="length", expected="right").kind == kind


@pytest.mark.parametrize("text", ["I cannot help with that", "refund", ""])
def test_a_refusal_is_a_refusal_whatever_it_says(text):
    assert read(text, CHOICE, stop="refusal").kind == "refusal"


@pytest.mark.parametrize("stop", ["end", "length", "refusal"])
def test_without_a_required_format_there_is_no_error(stop):
    assert read("anything", stop=stop) is None


# Several rules -------------------------------------------------------------------------------


def test_the_first_broken_rule_gives_the_error_and_all_are_named():
    rules = (Rule("regex", "^r"), Rule("length", {"unit": "characters", "max": 6}), CHOICE)

    assert read("refund", *rules) is None
    assert read("rest", *rules).rules == ("choice",)
    assert read("something else", *rules).kind == "regex"
    assert read("something else", *rules).rules == ("regex", "length", "choice")


def test_a_reply_is_lenient_only_if_every_rule_can_be_repaired():
    fenced = '```json\n{"label": "a"}\n```'

    assert read(fenced, LABEL, Rule("avoids", ["b"])).lenient
    assert not read(fenced, LABEL, Rule("contains", ["b"])).lenient


# Schemas -------------------------------------------------------------------------------------

#: keyword -> (the rest of the schema, a value that holds, one that does not, the kind of fault)
KEYWORDS = {
    "type": ({"type": "integer"}, 1, "a", "wrong type"),
    "enum": ({"enum": [1, "a"]}, 1, 2, "not in enumeration"),
    "const": ({"const": 1}, 1, 2, "not in enumeration"),
    "required": ({"required": ["a"]}, {"a": 1}, {}, "missing key"),
    "dependentRequired": (
        {"dependentRequired": {"a": ["b"]}},
        {"a": 1, "b": 1},
        {"a": 1},
        "missing key",
    ),
    "additionalProperties": (
        {"properties": {"a": {}}, "additionalProperties": False},
        {"a": 1},
        {"b": 1},
        "extra key",
    ),
    "unevaluatedProperties": (
        {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
        {"a": 1},
        {"b": 1},
        "extra key",
    ),
    "properties": ({"properties": {"a": {"type": "null"}}}, {"a": None}, {"a": 1}, "wrong type"),
    "patternProperties": (
        {"patternProperties": {"^a": {"type": "null"}}},
        {"ab": None},
        {"ab": 1},
        "wrong type",
    ),
    "propertyNames": ({"propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}, "json_schema"),
    "minProperties": ({"minProperties": 1}, {"a": 1}, {}, "json_schema"),
    "maxProperties": ({"maxProperties": 0}, {}, {"a": 1}, "json_schema"),
    "dependentSchemas": (
        {"dependentSchemas": {"a": {"required": ["b"]}}},
        {"b": 1},
        {"a": 1},
        "missing key",
    ),
    "items": ({"items": {"type": "null"}}, [None], [1], "wrong type"),
    "prefixItems": ({"prefixItems": [{"type": "null"}]}, [None, 1], [1], "wrong type"),
    "unevaluatedItems": (
        {"prefixItems": [{}], "unevaluatedItems": False},
        [1],
        [1, 2],
        "json_schema",
    ),
    "contains": ({"contains": {"const": 1}}, [2, 1], [2], "json_schema"),
    "minContains": (
        {"contains": {"const": 1}, "minContains": 2},
        [1, 1],
        [1],
        "json_schema",
    ),
    "maxContains": (
        {"contains": {"const": 1}, "maxContains": 1},
        [1],
        [1, 1],
        "json_schema",
    ),
    "minItems": ({"minItems": 1}, [1], [], "json_schema"),
    "maxItems": ({"maxItems": 1}, [1], [1, 2], "json_schema"),
    "uniqueItems": ({"uniqueItems": True}, [1, 2], [1, 1], "json_schema"),
    "minimum": ({"minimum": 1}, 1, 0, "json_schema"),
    "exclusiveMinimum": ({"exclusiveMinimum": 1}, 2, 1, "json_schema"),
    "maximum": ({"maximum": 1}, 1, 2, "json_schema"),
    "exclusiveMaximum": ({"exclusiveMaximum": 1}, 0, 1, "json_schema"),
    "multipleOf": ({"multipleOf": 0.1}, 0.3, 0.35, "json_schema"),
    "minLength": ({"minLength": 1}, "😀", "", "json_schema"),
    "maxLength": ({"maxLength": 1}, "😀", "ab", "json_schema"),
    "pattern": ({"pattern": "^a"}, "ab", "b", "json_schema"),
    "allOf": ({"allOf": [{"minimum": 1}, {"type": "integer"}]}, 1, 1.5, "wrong type"),
    "anyOf": ({"anyOf": [{"const": 1}, {"const": 2}]}, 2, 3, "json_schema"),
    "oneOf": ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 1, 3, "json_schema"),
    "not": ({"not": {"const": 1}}, 2, 1, "json_schema"),
    "if": ({"if": {"const": 1}, "then": False, "else": True}, 2, 1, "json_schema"),
    "$ref": ({"$defs": {"n": {"type": "null"}}, "$ref": "#/$defs/n"}, None, 1, "wrong type"),
    "$anchor": (
        {"$defs": {"n": {"$anchor": "x", "type": "null"}}, "$ref": "#x"},
        None,
        1,
        "wrong type",
    ),
    "$dynamicRef": (
        {"$dynamicAnchor": "x", "type": ["array", "null"], "items": {"$dynamicRef": "#x"}},
        [[None]],
        [[1]],
        "wrong type",
    ),
}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_keyword_of_a_schema_is_checked(keyword):
    schema, right, wrong, kind = KEYWORDS[keyword]
    rule = Rule("json_schema", schema)

    assert keyword in json.dumps(schema)
    assert read(json.dumps(right), rule) is None
    assert read(json.dumps(wrong), rule).kind == kind


@pytest.mark.parametrize(
    ("draft", "schema"),
    [
        ("http://json-schema.org/draft-07/schema#", {"items": [{"type": "null"}]}),
        ("https://json-schema.org/draft/2019-09/schema", {"items": [{"type": "null"}]}),
        ("https://json-schema.org/draft/2020-12/schema", {"prefixItems": [{"type": "null"}]}),
    ],
)
def test_a_schema_is_read_by_the_draft_that_it_names(draft, schema):
    rule = Rule("json_schema", {"$schema": draft, **schema})

    assert read("[null, 1]", rule) is None
    assert read("[1]", rule).kind == "wrong type"


@pytest.mark.parametrize(
    "uri", ["https://192.0.2.1/ticket.json", "http://localhost:9/x", "file:///etc/hostname"]
)
def test_a_schema_elsewhere_is_never_fetched(uri):
    with pytest.raises(ScorerError, match="nothing is fetched"):
        read("1", Rule("json_schema", {"$ref": uri}))


def test_an_invalid_schema_is_an_error_and_never_a_format_error():
    with pytest.raises(ScorerError, match='json_schema: not a schema: "strin"'):
        read("1", Rule("json_schema", {"type": "strin"}))


# Tools ---------------------------------------------------------------------------------------

LOOKUP = Rule("tool_call", {"name": "lookup"})
NUMBERED = Rule(
    "tool_call",
    {"name": "lookup", "schema": {"required": ["id"], "properties": {"id": {"pattern": "."}}}},
)


def used(name, arguments):
    return (Step("", (ToolCall(name=name, arguments=arguments),)),)


def test_a_tool_call_makes_a_reply_without_text_valid():
    assert read("", LOOKUP, steps=used("lookup", {})) is None


@pytest.mark.parametrize(
    ("steps", "detail"),
    [((), "lookup was not called"), (used("refund", {}), "lookup was not called, but refund")],
)
def test_a_missing_tool_call_is_a_format_error_that_names_the_others(steps, detail):
    assert read("done", LOOKUP, steps=steps) == FormatError(
        "tool_call", detail, rules=("tool_call",)
    )


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"id": 1}, None),
        ({}, "missing key"),
        ("no JSON", None),
        ({"id": "\ud800"}, None),
    ],
)
def test_the_arguments_of_a_tool_call_are_checked_by_a_schema(arguments, kind):
    found = read("", NUMBERED, steps=used("lookup", arguments))

    assert (found and found.kind) == kind


# Models --------------------------------------------------------------------------------------

MODELS = """\
from typing import Literal
from pydantic import BaseModel, ConfigDict, field_validator

class Ticket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    label: Literal["a", "b"]
    n: int = 1

    @field_validator("n")
    @classmethod
    def small(cls, n):
        assert n < 9, "too large"
        if n == 3:
            raise RuntimeError("a bug")
        return n

class Plain:
    pass
"""


@pytest.fixture
def models(tmp_path):
    (tmp_path / "form_models.py").write_text(MODELS)
    return lambda text, name="Ticket": read(
        text, Rule("pydantic", f"form_models:{name}"), folder=tmp_path
    )


@pytest.mark.parametrize(
    ("text", "kind", "lenient"),
    [
        ('{"label": "a"}', None, True),
        ('```json\n{"label": "a"}\n```', "fenced", True),
        ('Sure: {"label": "a"}', "preamble", True),
        ("{}", "missing key", False),
        ('{"label": "a", "x": 1}', "extra key", False),
        ('{"label": "c"}', "not in enumeration", False),
        ('{"label": "a", "n": "x"}', "wrong type", False),
        ("[]", "wrong type", False),
        ('{"label": "a", "n": 10}', "pydantic", False),
        ('{"label": ', "truncated", False),
        ("label: a", "invalid syntax", False),
        ('{"label": "\ud800"}', "not in enumeration", False),
    ],
)
def test_a_reply_is_checked_by_a_pydantic_model(models, text, kind, lenient):
    found = models(text)

    assert (found and found.kind, found is None or found.lenient) == (kind, lenient)


def test_a_model_that_fails_is_an_error_and_never_a_format_error(models):
    with pytest.raises(ScorerError, match="form_models:Ticket broke while it read a reply: "):
        models('{"label": "a", "n": 3}')


def test_a_class_that_is_no_model_is_an_error_before_the_first_request(tmp_path):
    (tmp_path / "form_plain.py").write_text("class Plain: pass\n")

    with pytest.raises(ConfigurationError, match="form_plain:Plain is no pydantic model"):
        rule_check(Rule("pydantic", "form_plain:Plain"), tmp_path)


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
def test_a_function_can_accept_a_format(tmp_path, name):
    assert checked(tmp_path, name, "abc") is None


@pytest.mark.parametrize(
    ("name", "detail"),
    [("short", "form_checks:short"), ("reason", "too long"), ("silent", "form_checks:silent")],
)
def test_a_function_can_reject_a_format_and_give_a_reason(tmp_path, name, detail):
    assert checked(tmp_path, name, "abcdefgh") == FormatError("python", detail, rules=("python",))


def test_a_function_that_fails_is_an_error_at_the_case_and_never_a_format_error(tmp_path):
    with pytest.raises(
        ScorerError,
        match=r'form_checks:broken broke on case "a" \(c\.jsonl:7\): ZeroDivisionError',
    ):
        checked(tmp_path, "broken", "abc")


# Hostile replies and patterns ----------------------------------------------------------------


@pytest.mark.parametrize("pattern", [r"^(a|a)*$", r"^(a|aa)+$", r"(.*a){20}\d"])
def test_a_pattern_that_would_search_for_ever_is_an_error_after_a_second(pattern):
    started = time.monotonic()
    with pytest.raises(ScorerError, match="took longer than 1 s on a reply; write it"):
        read("a" * 5000 + "x" * 5000 + "!", Rule("regex", pattern))

    assert time.monotonic() - started < 30


HOSTILE = [
    "[" * 40_000,
    '{"a":' * 40_000,
    "<a>" * 60_000,
    "```json\n" * 20_000,
    "\n```" * 40_000,
    "|" * 40_000,
    "|a|b|\n|-|-|\n" * 16_000,
    "," * 40_000,
    ", " * 20_000,
    '"' * 40_000,
    "a,b\n" * 40_000,
    "." * 40_000,
    " ." * 20_000,
    "a " * 20_000 + "b",
    "{" + " " * 40_000 + "x",
    "-" * 40_000,
    "(" * 40_000,
    "\ud800" * 1000,
    "\x00" * 40_000,
    "😀" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{n}-{t[:6]!r}" for n, t in enumerate(HOSTILE)])
def test_every_rule_reads_a_long_reply_fast(text):
    started = time.process_time()
    for rule in EVERY_TEXT_RULE:
        read(text, rule)

    assert time.process_time() - started < 5


#: What replies are made of, so that what is drawn comes near to what is read.
PIECES = st.sampled_from(
    [
        *("```", "\n", "json", '{"label": "a"}', "{", "}", "[", "]", ",", '"', "<a>", "</a>"),
        *("<b/>", "a,b", "|a|b|", "|-|-|", "refund", "SELECT 1", "a: 1", "\ud800", "\x00", "😀"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


@examples(1.5)
@given(text=TEXTS, stop=st.sampled_from(["end", "length", "stop", "refusal", "tool"]))
def test_any_reply_to_any_rule_is_valid_or_a_format_error(text, stop):
    forms = FormatChecker(Path())
    for rule in EVERY_TEXT_RULE:
        error = forms.find_error(case(rule), Reply(text=text, stop=stop))

        assert error is None or re.fullmatch(r"[a-z_ ]+", error.kind)


def test_many_replies_are_read_within_seconds():
    forms, one = FormatChecker(Path()), case(CHOICE, LABEL)
    replies = [Reply(text='{"label": "a"}'), Reply(text="refund")]
    started = time.process_time()
    for n in range(30_000):
        forms.find_error(one, replies[n % 2])

    assert time.process_time() - started < 5


def test_equal_rules_are_prepared_once(monkeypatch):
    loaded = []

    def load(reference, folder):
        loaded.append(reference)
        return lambda case, reply: True

    monkeypatch.setattr("pytest_ftgate.suite.function_references.load_function", load)
    checker, rule = FormatChecker(Path()), Rule("python", "checks:ok", {"seconds": 2})
    for copied in (rule, replace(rule), deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert checker.find_error(case(copied), Reply(text="a")) is None

    assert loaded == ["checks:ok"]


# What an error says ----------------------------------------------------------------------------

LONG_LABELS = Rule("choice", ["a", *(f"label {n}" for n in range(90))])
NUMBERS = " ".join(map(str, range(99)))
LINES = Rule("lines", {"min": 2, "max": 3, "longest": 5, "prefix": "- "})


def length(unit, **limits):
    return Rule("length", {"unit": unit, **limits})


SAID = [
    (CHOICE, "refund, please", "trailing text", "after refund"),
    (CHOICE, "**refund** is it", "trailing text", "after refund"),
    (CHOICE, "It is refund!", "preamble", "before refund"),
    (CHOICE, "REFUND is it", "trailing text", "after refund"),
    (CHOICE, "the refund is", "not in enumeration", "labels: refund, billing"),
    (CHOICE, "refund or billing", "not in enumeration", "labels: refund, billing"),
    (CHOICE, "no", "not in enumeration", "labels: refund, billing"),
    (CHOICE, "refund and refund", "trailing text", "after refund"),
    (CHOICE, "a refund and refund", "preamble", "before refund"),
    (Rule("choice", ["a", "b", "a"]), "c", "not in enumeration", "labels: a, b"),
    (Rule("choice", ["late", "late mail"]), "late mail it is", "trailing text", "after late mail"),
    (Rule("choice", ["x", "late", "late mail"]), "so: late", "preamble", "before late"),
    (
        LONG_LABELS,
        "c",
        "not in enumeration",
        f"labels: a, {', '.join(f'label {n}' for n in range(90))}"[:200],
    ),
    (Rule("regex", "^a"), "b", "regex", "no match for ^a"),
    (Rule("regex", "a" * 300), "b", "regex", f"no match for {'a' * 187}"),
    (LINES, "- a", "lines", "1 lines, 2 at least"),
    (LINES, "- a\n- b\n\n- c\n- d", "lines", "4 lines, 3 at most"),
    (LINES, "- a\n- bcde", "lines", "a line of 6 characters, 5 at most"),
    (LINES, "- a\nb\nc", "lines", 'a line does not begin with "- ": b'),
    (LINES, "a\n- bcde", "lines", "a line of 6 characters, 5 at most"),
    (Rule("lines", {"prefix": "-"}), NUMBERS, "lines",
     f'a line does not begin with "-": {NUMBERS}'[:200]),
    (Rule("lines", {"count": 2}), "a\nb\nc", "lines", "3 lines, 2 at most"),
    (Rule("lines", {"count": 2}), "a", "lines", "1 lines, 2 at least"),
    (Rule("lines", {"max": 1}), "a\nb", "lines", "2 lines, 1 at most"),
    (length("characters", max=1000), "ab" * 750, "repetition loop",
     "1,500 characters, 1,000 at most"),
    (length("characters", min=1000), "ab", "length",
     "2 characters, 1,000 at least"),
    (length("words", max=1), "a b", "length", "2 words, 1 at most"),
    (length("sentences", min=2), "a b", "length", "1 sentences, 2 at least"),
    (length("sentences", max=2), "A. B! C?", "length", "3 sentences, 2 at most"),
    (length("tokens", max=1), "abcde", "length", "2 tokens, 1 at most"),
    (length("tokens", min=3), "abcdefgh", "length", "2 tokens, 3 at least"),
    (Rule("language", "de"), "Your refund arrives tomorrow.", "wrong language", "it is in en"),
    (Rule("contains", ["a", "b", "c"]), "a", "contains", 'it lacks "b"'),
    (Rule("avoids", ["a", "b", "c"]), "c b", "avoids", 'it says "b"'),
    (Rule("contains", ["cat"]), "cats", "contains", 'it lacks "cat"'),
    (Rule("contains", ["1"]), "21", "contains", 'it lacks "1"'),
    (Rule("markdown", {"table": ["name", "price"]}), "a, b", "markdown", "there is no table"),
    (CHOICE, "", "empty", ""),
    (CHOICE, "I cannot help", "refusal", "labels: refund, billing"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "kind", "detail"), SAID)
def test_an_error_says_what_is_wrong(rule, text, kind, detail):
    assert read(text, rule) == FormatError(kind, detail, rules=(rule.kind,))


HELD = [
    (CHOICE, "billing"),
    (LINES, "- a\n\n- b"),
    (LINES, "- a\n- b\n- abc"),
    (Rule("lines", {"longest": 3}), "abc\r\nabc\r"),
    (Rule("length", {"unit": "characters", "min": 3, "max": 3}), " abc "),
    (Rule("length", {"unit": "sentences", "min": 1, "max": 1}), "no end"),
    (Rule("contains", ["+1"]), "a+1 b"),
    (Rule("contains", ["Größe"]), "die GRÖßE."),
    (Rule("contains", ["cat"]), "cats cat cats"),
    (Rule("contains", ["猫"]), "黒猫です"),
    (Rule("avoids", ["cat"]), "concatenate"),
    (Rule("language", "en"), "Your refund arrives tomorrow."),
]


@pytest.mark.parametrize(("rule", "text"), HELD)
def test_a_reply_within_its_limits_has_no_error(rule, text):
    assert read(text, rule) is None


def test_several_errors_are_told_as_the_first_one():
    rules = Rule("regex", "^r"), Rule("length", {"unit": "characters", "max": 6}), CHOICE

    assert read("something else", *rules) == FormatError(
        "regex", "no match for ^r", rules=("regex", "length", "choice")
    )
    assert read("a refund, I say", *rules[1:], stop="length") == FormatError(
        "truncated", "15 characters, 6 at most", rules=("length", "choice")
    )
    assert read("no", CHOICE, LABEL, stop="refusal") == FormatError(
        "refusal", rules=("choice", "json_schema")
    )
    assert read('{"label": "a",}', LABEL, stop="length") == FormatError(
        "invalid syntax", rules=("json_schema",), lenient=True
    )
    # A rule that is broken beyond repair makes the whole reply so.
    assert read('```\n{"label": "a"}\n```', LABEL, Rule("contains", ["b"])) == FormatError(
        "fenced", rules=("json_schema", "contains")
    )


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("abcdef" * 4, True),
        ("abcdef" * 4 + "g", False),
        ("g" + "abcdef" * 4, False),
        ("abcde" * 4, False),
        ("x" * 24, True),
        ("x" * 23, False),
        ("abcdef" * 3 + "abcdeg", False),
        ("abcdefgh" * 3, False),
        ("y" * 90 + "abcdefgh" * 50, True),
        ("y" * 90 + "abcdefgh" * 49, False),
        ("".join(chr(200 + n) for n in range(100)) * 4, True),
        ("".join(chr(200 + n) for n in range(101)) * 4, False),
        ("", False),
    ],
)
def test_a_loop_fills_the_end_of_a_text_with_at_least_four_turns(text, loops):
    assert ends_in_loop(text) is loops


@pytest.mark.parametrize(
    ("text", "refuses", "hedges"),
    [
        ("I'm sorry, but I can’t help.", True, False),
        ("I AM UNABLE to say", True, False),
        (f"{'x' * 100} I cannot", False, False),
        ("Well, I cannot", False, False),
        ("I think it is a.", False, True),
        ("It is a, MAYBE", False, True),
        (f"{'x ' * 147}maybe", False, True),
        (f"{'x ' * 148}maybe", False, False),
        ("It is a.", False, False),
    ],
)
def test_refusals_and_hedges_are_found_at_the_beginning(text, refuses, hedges):
    assert (looks_like_refusal(text), looks_like_hedge(text)) == (refuses, hedges)


def test_the_beginning_of_a_long_reply_tells_its_language():
    german = "Das Geld kommt morgen zurück, und der Brief auch. " * 50

    assert detect_language(german) == "de"
    assert detect_language(german[:2000] + "Your refund arrives tomorrow. " * 500) == "de"
    assert detect_language("17") == ""


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (Rule("python", "no_such_module:f"), ConfigurationError),
        (Rule("json_schema", {"type": "strin"}), ScorerError),
    ],
)
def test_a_rule_is_checked_before_the_first_request(rule, error):
    for usable in (CHOICE, Rule("language", "de")):
        assert rule_check(usable, Path())

    with pytest.raises(error):
        rule_check(rule, Path())


def test_a_plugins_function_is_named_in_its_error(tmp_path):
    def check(case, reply):
        assert case.id == "a"
        return {"bad": False, "worse": "it is worse", "good": True, "fine": ""}[reply.text]

    rule = Rule("offered", "tidy", {}, check)

    assert read("bad", rule) == FormatError("tidy", "tidy", rules=("offered",))
    assert read("worse", rule) == FormatError("tidy", "it is worse", rules=("offered",))
    assert read("good", rule) is read("fine", rule) is None
    assert read("", rule) == FormatError("empty", rules=("offered",))
    with pytest.raises(ScorerError, match=r'^tidy broke on case "a" \(c\.jsonl:7\): KeyError'):
        read("else", rule)


def test_a_rule_of_a_case_with_a_folder_is_searched_there(tmp_path):
    (tmp_path / "own_form_checks.py").write_text("def f(case, reply): return 'no'\n")
    one = replace(case(Rule("python", "own_form_checks:f")), folder=tmp_path)

    with pytest.raises(ConfigurationError):
        FormatChecker(Path()).find_error(replace(one, folder=None), Reply(text="a"))
    assert FormatChecker(Path()).find_error(one, Reply(text="a")).detail == "no"


def test_arguments_that_are_no_json_are_a_format_error():
    error = read("", NUMBERED, steps=used("lookup", {1: 2}))

    assert (error.kind, error.rules) == ("invalid syntax", ("tool_call",))
    assert error.detail.startswith("Dict key must be str")


def test_languages_are_detected_only_with_the_package_that_does_so(monkeypatch):
    assert can_detect_language() is True
    monkeypatch.setitem(sys.modules, "py3langid", None)
    assert can_detect_language() is False


def test_one_valid_call_of_several_is_enough():
    good, bad, other = ({"id": "1"}, {"x": 1}, {"id": ""})
    steps = used("lookup", bad) + used("refund", {}) + used("lookup", good)

    assert read("", NUMBERED, steps=steps) is None
    assert read("", NUMBERED, steps=used("lookup", bad) + used("lookup", other)) == FormatError(
        "missing key", '/: "id" is a required property', rules=("tool_call",)
    )
    assert read("", NUMBERED, steps=used("lookup", other)).kind == "tool_call"
    assert read("", LOOKUP, steps=used("a", {}) + used("b", {}) + used("a", {})) == FormatError(
        "tool_call", "lookup was not called, but a, b", rules=("tool_call",)
    )
