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
from ftgate_testing.tables import every_row
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


# The reply as a whole ------------------------------------------------------------------------


LABELS = Rule("choice", ["refund", "login", "refund partly"])
#: (rules, reply, how it ended, its error): no higher limit ends text that trails a whole answer.
ENDED = [
    ((CHOICE,), "refund", "length", None),
    ((CHOICE,), "", "length", "truncated"),
    # A higher limit would not end a loop.
    ((LABEL,), "and so on, " * 50, "length", "repetition loop"),
    ((LABELS,), "refund\nand then", "length", "trailing text"),
    ((LABELS,), "right, because", "length", "trailing text"),  # it is what is expected
    ((LABELS,), "refund_item_item", "length", "trailing text"),
    ((LABELS,), "I think refund", "length", "truncated"),
    ((LABELS,), "refunding", "length", "truncated"),
    ((LABELS,), "log", "length", "truncated"),
    ((LABELS,), "refund part", "length", "truncated"),
    *(((CHOICE,), said, "refusal", "refusal") for said in ("I cannot help", "refund", "")),
    *(((), "anything", stop, None) for stop in ("end", "length", "refusal")),
]


@every_row(("rules", "text", "stop", "kind"), ENDED)
def test_how_a_reply_ended_decides_what_is_wrong_with_it(rules, text, stop, kind):
    found = read(text, *rules, stop=stop, expected="right")

    assert (found and found.kind) == kind


# Schemas -------------------------------------------------------------------------------------

#: (schema, a value that holds, one that does not, the kind of fault).
#: The JSON Schema Test Suite, which runs each night, has all keywords.
KEYWORDS = [
    ({"type": "integer"}, 1, "a", "wrong type"),
    ({"enum": [1, "a"]}, 1, 2, "not in enumeration"),
    ({"const": 1}, 1, 2, "not in enumeration"),
    ({"required": ["a"]}, {"a": 1}, {}, "missing key"),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}, "missing key"),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}, "extra key"),
    ({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
     {"a": 1}, {"b": 1}, "extra key"),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"b": 1}, {"a": 1}, "missing key"),
    ({"multipleOf": 0.1}, 0.3, 0.35, "json_schema"),
    ({"maxLength": 1}, "😀", "ab", "json_schema"),
    ({"allOf": [{"minimum": 1}, {"type": "integer"}]}, 1, 1.5, "wrong type"),
    ({"if": {"const": 1}, "then": False, "else": True}, 2, 1, "json_schema"),
    ({"$dynamicAnchor": "x", "type": ["array", "null"], "items": {"$dynamicRef": "#x"}},
     [[None]], [[1]], "wrong type"),
]  # fmt: skip


@every_row(("schema", "right", "wrong", "kind"), KEYWORDS)
def test_the_keywords_of_a_schema_have_the_kinds_of_their_faults(schema, right, wrong, kind):
    rule = Rule("json_schema", schema)

    assert read(json.dumps(right), rule) is None
    assert read(json.dumps(wrong), rule).kind == kind


# Tools ---------------------------------------------------------------------------------------

NO_ID = ("missing key", '/: "id" is a required property')
LOOKUP = Rule("tool_call", {"name": "lookup"})
NUMBERED = Rule(
    "tool_call",
    {"name": "lookup", "schema": {"required": ["id"], "properties": {"id": {"pattern": "."}}}},
)


def used(name, arguments):
    return (Step("", (ToolCall(name=name, arguments=arguments),)),)


@every_row(
    ("rule", "steps", "found"),
    [
        (LOOKUP, used("lookup", {}), None),
        (LOOKUP, (), ("tool_call", "lookup was not called")),
        (LOOKUP, used("refund", {}), ("tool_call", "lookup was not called, but refund")),
        (NUMBERED, used("lookup", {"id": 1}), None),
        (NUMBERED, used("lookup", {}), NO_ID),
        (NUMBERED, used("lookup", {"id": ""}), ("tool_call", '/id: "" does not match "."')),
        (NUMBERED, used("lookup", "no JSON"), None),
        (NUMBERED, used("lookup", {"id": "\ud800"}), None),
        # One valid call of several is enough, and else the first error counts.
        (NUMBERED, used("lookup", {}) + used("refund", {}) + used("lookup", {"id": "1"}), None),
        (NUMBERED, used("lookup", {}) + used("lookup", {"id": ""}), NO_ID),
        (LOOKUP, used("a", {}) + used("b", {}) + used("a", {}),
         ("tool_call", "lookup was not called, but a, b")),
    ],
)  # fmt: skip
def test_a_tool_must_be_called_and_its_arguments_hold_to_their_schema(rule, steps, found):
    error = read("", rule, steps=steps)

    assert error == (found and FormatError(*found, rules=("tool_call",)))


# Hostile replies and patterns ----------------------------------------------------------------


def test_a_pattern_that_would_search_for_ever_is_an_error(monkeypatch):
    monkeypatch.setattr("pytest_ftgate.suite.scorers._PATTERN_TIMEOUT", 0.1)

    with pytest.raises(ScorerError, match=r"took longer than 0\.1 s on a reply; write it"):
        read("a" * 5000 + "x" * 5000 + "!", Rule("regex", r"^(a|a)*$"))


ONES = ("[", '{"a":', "<a>", "\n```", "|", ",", '"', "a,b\n", ".", "-", "(", "\x00")
HOSTILE = [
    *(piece * 20_000 for piece in ONES),
    *(piece * 8_000 for piece in ("```json\n", "|a|b|\n|-|-|\n", ", ", " .", "😀")),
    "a " * 10_000 + "b",
    "{" + " " * 20_000 + "x",
    "\ud800" * 1000,
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "texts", [HOSTILE[1:5], pytest.param([HOSTILE[0], *HOSTILE[5:]], marks=pytest.mark.heavy)]
)
def test_every_rule_reads_a_long_reply_fast(texts):
    for text in texts:
        started = time.process_time()
        for rule in EVERY_TEXT_RULE:
            read(text, rule)

        assert time.process_time() - started < 2.5, text[:9]


#: What replies are made of, so that what is drawn comes near to what is read.
PIECES = st.sampled_from(
    [
        *("```", "\n", "json", '{"label": "a"}', "{", "}", "[", "]", ",", '"', "<a>", "</a>"),
        *("<b/>", "a,b", "|a|b|", "|-|-|", "refund", "SELECT 1", "a: 1", "\ud800", "\x00", "😀"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


@examples(1)
@given(text=TEXTS, stop=st.sampled_from(["end", "length", "stop", "refusal", "tool"]))
def test_any_reply_to_any_rule_is_valid_or_a_format_error(text, stop):
    forms = FormatChecker(Path())
    for rule in EVERY_TEXT_RULE:
        error = forms.find_error(case(rule), Reply(text=text, stop=stop))

        assert error is None or re.fullmatch(r"[a-z_ ]+", error.kind)


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
LINES = Rule("lines", {"min": 2, "max": 3, "longest": 5, "prefix": "- "})


def length(unit, **limits):
    return Rule("length", {"unit": unit, **limits})


SAID = [
    (CHOICE, "**refund** is it", "trailing text", "after refund"),
    (CHOICE, "It is refund!", "preamble", "before refund"),
    (CHOICE, "refund or billing", "not in enumeration", "labels: refund, billing"),
    (CHOICE, "refund and refund", "trailing text", "after refund"),
    (Rule("choice", ["late", "late mail"]), "late mail it is", "trailing text", "after late mail"),
    (LONG_LABELS, "c", "not in enumeration", f"labels: {', '.join(LONG_LABELS.value)}"[:200]),
    (Rule("regex", "^a"), "b", "regex", "no match for ^a"),
    (Rule("regex", "a" * 300), "b", "regex", f"no match for {'a' * 187}"),
    (LINES, "- a", "lines", "1 lines, 2 at least"),
    (LINES, "- a\n- bcde", "lines", "a line of 6 characters, 5 at most"),
    (LINES, "- a\nb\nc", "lines", 'a line does not begin with "- ": b'),
    (Rule("lines", {"count": 2}), "a\nb\nc", "lines", "3 lines, 2 at most"),
    (length("characters", max=1000), "ab" * 750, "repetition loop",
     "1,500 characters, 1,000 at most"),
    (length("words", max=1), "a b", "length", "2 words, 1 at most"),
    (length("sentences", min=2), "a b", "length", "1 sentences, 2 at least"),
    (length("tokens", max=1), "abcde", "length", "2 tokens, 1 at most"),
    (length("tokens", min=3), "abcdefgh", "length", "2 tokens, 3 at least"),
    (Rule("language", "de"), "Your refund arrives tomorrow.", "wrong language", "it is in en"),
    (Rule("contains", ["a", "b", "c"]), "a", "contains", 'it lacks "b"'),
    (Rule("avoids", ["a", "b", "c"]), "c b", "avoids", 'it says "b"'),
    (Rule("contains", ["1"]), "21", "contains", 'it lacks "1"'),
    (CHOICE, "", "empty", ""),
    (CHOICE, "I cannot help", "refusal", "labels: refund, billing"),
    # Within the limits.
    (LINES, "- a\n\n- b", None, None),
    (Rule("lines", {"longest": 3}), "abc\r\nabc\r", None, None),
    (Rule("length", {"unit": "characters", "min": 3, "max": 3}), " abc ", None, None),
    (Rule("length", {"unit": "sentences", "min": 1, "max": 1}), "no end", None, None),
    # Of a model that repeats itself: the end of the dots is not sought from each of them.
    (length("sentences", max=2), "A." + "." * 1_000_000 + "b. C!?", None, None),
    (Rule("contains", ["+1"]), "a+1 b", None, None),
    (Rule("contains", ["Größe"]), "die GRÖßE.", None, None),
    (Rule("contains", ["cat"]), "cats cat cats", None, None),
    (Rule("contains", ["猫"]), "黒猫です", None, None),
    (Rule("avoids", ["cat"]), "concatenate", None, None),
    (Rule("language", "en"), "Your refund arrives tomorrow.", None, None),
]  # fmt: skip


@every_row(("rule", "text", "kind", "detail"), SAID)
def test_an_error_says_what_is_wrong_and_within_the_limits_there_is_none(rule, text, kind, detail):
    assert read(text, rule) == (kind and FormatError(kind, detail, rules=(rule.kind,)))


def test_several_errors_are_told_as_the_first_one():
    rules = Rule("regex", "^r"), Rule("length", {"unit": "characters", "max": 6}), CHOICE

    assert read("something else", *rules) == FormatError(
        "regex", "no match for ^r", rules=("regex", "length", "choice")
    )
    assert read("a refund, I say", *rules[1:], stop="length") == FormatError(
        "truncated", "15 characters, 6 at most", rules=("length", "choice")
    )
    assert read("refund, and", *rules[1:]).rules == ("length", "choice")
    both = ("choice", "json_schema")
    assert read("no", CHOICE, LABEL, stop="refusal") == FormatError("refusal", rules=both)
    assert read('{"label": "a",}', LABEL, stop="length") == FormatError(
        "invalid syntax", rules=("json_schema",), lenient=True
    )
    assert read('```\n{"label": "a"}\n```', LABEL, Rule("avoids", ["b"])) == FormatError(
        "fenced", rules=("json_schema",), lenient=True
    )
    # A rule that is broken beyond repair makes the whole reply so.
    assert read('```\n{"label": "a"}\n```', LABEL, Rule("contains", ["b"])) == FormatError(
        "fenced", rules=("json_schema", "contains")
    )


@every_row(
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
        ("".join(chr(200 + n) for n in range(100)) * 4, True),
        ("".join(chr(200 + n) for n in range(101)) * 4, False),
        ("", False),
    ],
)
def test_a_loop_fills_the_end_of_a_text_with_at_least_four_turns(text, loops):
    assert ends_in_loop(text) is loops


@every_row(
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


@every_row(
    ("rule", "error", "told"),
    [
        (Rule("python", "no_such_module:f"), ConfigurationError, "no_such_module"),
        (Rule("json_schema", {"type": "strin"}), ScorerError, 'json_schema: not a schema: "strin"'),
    ],
)
def test_a_rule_is_checked_before_the_first_request(rule, error, told):
    for usable in (CHOICE, Rule("language", "de")):
        assert rule_check(usable, Path())

    with pytest.raises(error, match=told):
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


@every_row(
    ("kind", "code", "found"),
    [
        ("python", "def f(case, reply): return None", ("python", "own_python:f")),
        ("pydantic", "import pydantic\nclass f(pydantic.BaseModel): a: int",
         ("missing key", "/a: Field required")),
    ],
)  # fmt: skip
def test_a_rule_of_a_case_with_a_folder_is_searched_there(tmp_path, kind, code, found):
    (tmp_path / f"own_{kind}.py").write_text(code)
    one, reply = replace(case(Rule(kind, f"own_{kind}:f")), folder=tmp_path), Reply(text="{}")

    with pytest.raises(ConfigurationError):
        FormatChecker(Path()).find_error(replace(one, folder=None), reply)
    assert FormatChecker(Path()).find_error(one, reply) == FormatError(*found, rules=(kind,))


def test_arguments_that_are_no_json_are_a_format_error():
    error = read("", NUMBERED, steps=used("lookup", {1: 2}))

    assert (error.kind, error.rules) == ("invalid syntax", ("tool_call",))
    assert error.detail.startswith("Dict key must be str")


def test_languages_are_detected_only_with_the_package_that_does_so(monkeypatch):
    assert can_detect_language() is True
    monkeypatch.setitem(sys.modules, "py3langid", None)
    assert can_detect_language() is False


# Replies as models write them ------------------------------------------------------------------

FENCE = "```"
MORE_LABELS = Rule("choice", ["refund", "billing", "late delivery", "late"])
ANYTHING = Rule("json_schema", {})
XML = Rule("xml", ["reason", "answer"])
MARKDOWN = Rule("markdown", {"table": ["name", "price"]})
#: (rule, reply, its fault or None, whether a lenient reader takes it)
SHAPES = [
    (MORE_LABELS, "\n refund \t\n", None, True),
    (MORE_LABELS, "\u00a0refund\u2003", None, True),
    (MORE_LABELS, "Refund", "wrong label casing", True),
    (MORE_LABELS, "REFUND", "wrong label casing", True),
    (MORE_LABELS, f"{FENCE}\nRefund.\n{FENCE}", "fenced", True),
    (MORE_LABELS, f"{FENCE}refund{FENCE}", "fenced", True),
    (MORE_LABELS, "The answer is **refund**.", "preamble", False),
    (MORE_LABELS, "Kategorie: late delivery", "preamble", False),
    (MORE_LABELS, "**Refund** - money back", "trailing text", False),
    (MORE_LABELS, "refund_request", "not in enumeration", False),
    (MORE_LABELS, "rеfund", "not in enumeration", False),
    (MORE_LABELS, " \n\t ", "empty", False),
    (MORE_LABELS, "I'm sorry, but I can't help with that.", "refusal", False),
    (MORE_LABELS, "As an AI, I have no access to orders.", "refusal", False),
    (MORE_LABELS, "Es tut mir leid, dabei kann ich nicht helfen.", "refusal", False),
    (MORE_LABELS, "Lo siento, no puedo ayudar con eso.", "refusal", False),
    (MORE_LABELS, "Je ne peux pas répondre.", "refusal", False),
    (MORE_LABELS, "退款退款" * 30, "repetition loop", False),
    (LABEL, '{"label": "b", "label": "a"}', None, True),
    (LABEL, '\ufeff{"label": "a"}', "preamble", True),
    (ANYTHING, "[" * 100_000, "repetition loop", False),
    (ANYTHING, "1" * 5000 + "2", "invalid syntax", False),
    (XML, "<reason>1 &lt; 2 é 日本</reason><more/><answer>😀</answer>", None, True),
    (XML, "<reason a='1'><![CDATA[<b>]]></reason><answer/>", None, True),
    (XML, "<reason>&nbsp;</reason><answer/>", "invalid syntax", False),
    (XML, '<!DOCTYPE a [<!ENTITY e "x">]><reason/><answer>&e;</answer>', "preamble", False),
    (MARKDOWN, f"{FENCE}\n| name | price |\n|---|---|\n| a | 1 |\n{FENCE}", "fenced", True),
    (Rule("code", "python"), "def f(x):\n    return x + 1", None, True),
    (Rule("code", "python"), "x = '\\d'", None, True),
    (Rule("code", "python"), "x = 1\x00", "invalid syntax", False),
    (Rule("code", "sql"), "WITH a AS (SELECT 1) SELECT * FROM a;", None, True),
    (Rule("regex", r"\d+"), "order 12", None, True),
    (Rule("regex", "^[A-Z]+$"), f"{FENCE}\nAB\n{FENCE}", "fenced", True),
    (Rule("lines", {"count": 2}), f"{FENCE}\na\nb\n{FENCE}", "fenced", True),
    (Rule("lines", {"max": 1}), "a\r\nb", "lines", False),
    (Rule("lines", {"longest": 3}), "abc\r\nab", None, True),
    (Rule("length", {"unit": "characters", "max": 1}), "😀", None, True),
    (Rule("length", {"unit": "sentences", "max": 1}), "It costs 3.50 today.", None, True),
    (Rule("length", {"unit": "sentences", "max": 1}), "一つ。二つ。", "length", False),
    (Rule("length", {"unit": "tokens", "max": 2}), "12345678", None, True),
    (Rule("length", {"unit": "tokens", "max": 2}), "123456789", "length", False),
    (Rule("language", "de"), "注文はまだ届いていません", "wrong language", False),
    (Rule("language", "de"), "refund", None, True),
    (Rule("language", "de"), "17 😀", None, True),
    (Rule("contains", ["C++"]), "in C++, say", None, True),
    (Rule("avoids", ["will refund"]), "We WILL REFUND you", "avoids", False),
    (Rule("avoids", ["退款"]), "我们会退款给您", "avoids", False),
]


@every_row(("rule", "text", "kind", "lenient"), SHAPES)
def test_a_reply_has_at_most_one_format_error_strict_or_lenient(rule, text, kind, lenient):
    error = read(text, rule)

    assert (error and error.kind, error is None or error.lenient) == (kind, lenient)
