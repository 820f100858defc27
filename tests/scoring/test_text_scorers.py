"""Every scorer, written as in a suite, with replies in many shapes and what each is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: F401 - no example pays for it

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.cases import expected_error
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.score_rules import DeclaredScore

DECLARED = TypeAdapter(DeclaredScore)


def score_text(score, expected, text):
    """Mark *text* as a suite with *score* would, and hold *expected* to what a suite may have."""
    rule = DECLARED.validate_python(score)
    assert expected_error(expected, rule, ()) is None
    case = Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=rule)
    return score_content(case, Reply(text=text), Path())


NORMAL = {"exact": {"normalise": ["unicode", "spaces", "case", "punctuation"]}}


def normal(*steps):
    return {"exact": {"normalise": [*steps]}}


EXACT = [
    ("exact", "Berlin", "\n\tBerlin \r\n", 1),
    ("exact", "Berlin", "berlin", 0),
    ("exact", "Berlin", "Berlin.", 0),
    ("exact", ["Bonn", "Berlin"], "Berlin", 1),
    ("exact", "é", "e\u0301", 0),
    ({"exact": {"ignore_case": True}}, "Straße", "STRASSE", 1),
    ({"exact": {"ignore_case": True}}, "ΣΊΣΥΦΟΣ", "σίσυφος", 1),
    ({"exact": {"ignore_case": True}}, "Berlin", "Berlin!", 0),
    ({"exact": {"ignore_case": False}}, "Berlin", "berlin", 0),
    (normal("unicode"), "fi", "ﬁ", 1),
    (normal("unicode"), "123", "１２３", 1),
    (normal("unicode"), "a", "A", 0),
    (normal("spaces"), "a b", "a \n\t b", 1),
    (normal("spaces"), "ab", "a b", 0),
    (normal("case"), "Berlin", "BERLIN.", 0),
    (normal("punctuation"), "Its here", "It's here!", 1),
    (normal("punctuation"), "你好世界", "你好，世界！", 1),
    (normal("punctuation"), "50 $", "50", 0),
    (NORMAL, "Hello, World", "  hello   WORLD…", 1),
    (NORMAL, ["no", "Hello World"], "“hello world”", 1),
    (NORMAL, "hello world", "hello, word", 0),
]

SYNONYMS = {"refund": ["money back", "repay"], "none of these": ["n/a"]}
CHOICE = {"choice": {"synonyms": SYNONYMS, "none": "none of these"}}
CHOICES = [
    ("choice", "refund", " **Refund.** ", 1),
    ("choice", "refund", "`REFUND`", 1),
    ("choice", "refund", "refund please", 0),
    ("choice", "refund", "refund or billing", 0),
    ("choice", ["refund", "billing"], "Billing!", 1),
    ("choice", "返金", "「返金」", 0),
    ("choice", "***", "***", 1),
    ("choice", "***", "", 0),
    (CHOICE, "refund", "Money back!", 1),
    (CHOICE, "billing", "money back", 0),
    (CHOICE, "refund", "none of these", 0),
    (CHOICE, ["refund", "none of these"], "n/a", 1),
]

F1 = {"labels": {"partial": "f1"}}
NONE = {"labels": {"none": "none"}}
LABELS = [
    ("labels", ["a", "b"], "a, b", 1),
    ("labels", ["a", "b"], "a, b, c", 0),
    ("labels", ["größe", "farbe"], "Farbe, GRÖSSE", 1),
    ({"labels": {"separator": ";"}}, ["a", "b"], "a, b", 0),
    ({"labels": {"separator": "\n"}}, ["a", "b"], "- a\n- b", 1),
    ({"labels": {"separator": "\n"}}, ["a", "b"], "• a\n\n* b", 1),
    ({"labels": {"separator": " and "}}, ["a", "b"], "a and b", 1),
    (F1, ["a", "b"], "a, c", 1 / 2),
    (NONE, [], "none", 1),
    (NONE, [], "None.", 1),
    (NONE, [], "", 0),
    (NONE, ["a"], "a", 1),
    ({"labels": {"synonyms": {"refund": ["money back"]}}}, ["refund", "b"], "Money back, b", 1),
    ({"labels": {"synonyms": {"refund": ["money back"]}}}, ["b"], "money back", 0),
]

WORDS = [
    ("contains", "Paris", "It is Paris, of course.", 1),
    ("contains", "Paris", "Parisian", 0),
    ("contains", ["six", "6"], "At 6.", 1),
    ("contains", "6", "16", 0),
    ("contains", "C++", "I like C++.", 1),
    ("contains", "straße", "Die STRASSE.", 1),
    ("contains", "word", "a_word", 0),
    ("contains", "b", "ab b", 1),
    ("contains", "aa", "baa aab baaa", 0),
    ("contains", "..", "a...", 1),
    ("contains", "Москва", "Москвабад", 0),
    ({"contains": {"all": True}}, ["bridge", "fog"], "The bridge.", 0),
    ("regex", r"^\d{4}$", "1984", 1),
    ("regex", r"^\d{4}$", "year 1984", 0),
    ("regex", ["^a", "^b"], "banana", 1),
    ("regex", r"^(?s:.*)end$", "a\nb\nend", 1),
]


def numeric(**options):
    return {"numeric": options}


COMMA = numeric(decimal=",")
SWISS = numeric(thousands=["'"])
FRENCH = numeric(decimal=",", thousands=[" "])
EURO = numeric(unit=["EUR", "€"])
PARTS = numeric(fractions=True)
PERCENT = numeric(percent=True)
NUMBERS = [
    ("numeric", 42, "forty-two", 0),
    ("numeric", 42, "First 7, then 42", 1),
    ("numeric", 1234.5, "That makes 1,234.5 euros", 1),
    ("numeric", "1,234", "1234", 1),
    ("numeric", 0.3, "0.30000000000000004", 1),
    ("numeric", -5, "It is −5 degrees", 1),
    ("numeric", 5, "It is −5 degrees", 0),
    ("numeric", 12, "between 10-12", 1),
    ("numeric", -12, "between 10-12", 0),
    ("numeric", 0.5, "about .5", 1),
    ("numeric", 3, "٣", 1),
    ("numeric", "1e3", "1000", 1),
    ("numeric", 50, "50 %", 1),
    (numeric(pick="first"), 7, "First 7, then 42", 1),
    (numeric(tolerance=0.5), 10, "10.5", 1),
    (numeric(tolerance=0.5), 10, "10.51", 0),
    (numeric(relative=0.01), 1000, "1010", 1),
    (numeric(relative=0.01), 1000, "1011", 0),
    (numeric(relative=0.01), -1000, "-990", 1),
    (numeric(relative=0.01), 0, "0.001", 0),
    (numeric(relative=0.01, tolerance=1), 10, "11", 1),
    (COMMA, 1234.5, "1.234,5", 1),
    (COMMA, "1.234,5", "1234,5", 1),
    (COMMA, 3.14, "3.14", 0),
    (FRENCH, 12345, "12\u202f345 €", 1),
    (FRENCH, 345, "12 345", 0),
    (SWISS, 1234, "1’234", 1),
    (numeric(thousands=[",", "'"]), 1234567, "1,234'567", 1),
    (EURO, 12, "12 EUR", 1),
    (EURO, -12, "-€12", 1),
    (EURO, 12, "12", 0),
    (EURO, 12, "12 EUR, which is 13 USD", 1),
    (EURO, 12, "12 EURO", 0),
    (EURO, 1250, "Total: 1,250.00 EUR on 3 May", 1),
    (numeric(unit=["km/h"]), 90, "at 90 km/h", 1),
    (numeric(unit=["%"]), 5, "5 % of 10", 1),
    (PARTS, 0.5, "1/2", 1),
    (PARTS, 1.5, "1 1/2 cups", 1),
    (PARTS, 1.5, "1½", 1),
    (PARTS, 0.75, "¾", 1),
    (PARTS, -0.5, "-1/2", 1),
    (PARTS, 0.5, "1/0", 0),
    (PARTS, 2024, "1/2/2024", 1),
    ("numeric", 2, "1/2", 1),
    (PERCENT, 0.5, "50%", 1),
    (PERCENT, "50%", "0.5", 1),
    (PERCENT, 0.5, "50 per cent", 1),
    (numeric(percent=True, fractions=True), 0.005, "1/2 %", 1),
]

ORDER = {"id": "A-17", "total": 12.5, "items": ["pen", "ink"], "paid": True}
RULES = {"fields": {"total": {"numeric": {"tolerance": 0.01}}, "items": {"set": True}}}


def order(**changes):
    return json.dumps({**ORDER, **changes})


def fenced(text, language="json"):
    return f"Here it is:\n\n```{language}\n{text}\n```\n"


DEEP = "[" * 100_000
FIELDS = [
    ("fields", ORDER, order(note="more"), 1),
    ("fields", ORDER, order(total=12.6), 3 / 4),
    ("fields", ORDER, order(paid=1), 3 / 4),
    ("fields", ORDER, "{}", 0),
    ("fields", ORDER, "[]", 0),
    ("fields", ORDER, "", 0),
    ("fields", ORDER, fenced(order()), 1),
    ("fields", ORDER, fenced("{}") + fenced(order()), 1),
    ("fields", ORDER, f"~~~\n{order()}\n~~~", 1),
    ("fields", ORDER, f"It is {order()}", 0),
    ("fields", ORDER, DEEP, 0),
    ("fields", {"n": 1}, '{"n": true}', 0),
    ("fields", {"n": 1}, '{"n": ' + "1" * 5000 + "}", 0),
    ("fields", {"n": 1}, '{"n": NaN}', 0),
    ("fields", {"n": None}, "{}", 0),
    ("fields", {"n": "ü\u0000😀"}, '{"n": "ü\\u0000😀"}', 1),
    ("fields", {"a": {"b": 1, "c": 2}}, '{"a": 7}', 0),
    ("fields", {"a.b": 1}, '{"a.b": 1}', 1),
    ("fields", {"a": {}}, '{"a": {}}', 1),
    ("fields", {"a": [{"b": 1}, {"b": 2}]}, '{"a": [{"b": 1}, {"b": 2}]}', 1),
    ("fields", {"a": [{"b": 1}]}, '{"a": [{"b": true}]}', 0),
    ("fields", {"a": "x"}, '{"a": {"b": 1}}', 0),
    ("fields", {"a": [{"b": 1}]}, '{"a": [1]}', 0),
    (RULES, {"items": [{"a": 1}, {"a": 2}]}, '{"items": [{"a": 3}, {"a": 2}]}', 0),
    ("fields", [{"a": 1}, {"a": 2}], '{"a": 2}', 1),
    ("fields", [{"a": 1, "b": 2}, {"a": 2}], '{"a": 1}', 1 / 2),
    (RULES, ORDER, order(total=12.505), 1),
    (RULES, ORDER, order(items=["ink", "pen", "ink"]), 1),
    (RULES, ORDER, order(items=["ink"]), 3 / 4),
    (RULES, ORDER, order(items="pen, ink"), 3 / 4),
    (RULES, {"items": [{"a": 1}, {"a": 2}]}, '{"items": [{"a": 2}, {"a": 1}]}', 1),
    (RULES, {"items": []}, '{"items": []}', 1),
    ({"fields": {"a": "choice"}}, {"a": ["yes", "sure"]}, '{"a": "Sure!"}', 1),
    ({"fields": {"a": "choice"}}, {"a": "yes"}, '{"b": "yes"}', 0),
    ({"fields": {"a": "labels"}}, {"a": ["x", "y"]}, '{"a": "y, x"}', 1),
    ({"fields": {"a": "regex"}}, {"a": "^A"}, '{"a": "Anna"}', 1),
    ({"fields": {"a": "contains"}}, {"a": "true"}, '{"a": true}', 1),
    ({"fields": {"a": "numeric"}}, {"a": None}, '{"a": null}', 1),
    ({"fields": {"a": "labels"}}, {"a": ["x", "y, z"]}, '{"a": ["Y, Z", "x"]}', 1),
    ({"fields": {"a": {"labels": {"partial": "f1"}}}}, {"a": ["x", "y"]}, '{"a": ["y", "z"]}',
     1 / 2),
    ({"fields": {"a": {"set": {"partial": "f1"}}}}, {"a": [1, 2, 3]}, '{"a": [3, 1.0, 9]}', 2 / 3),
    ({"fields": {"a": {"set": {"partial": "f1"}}}}, {"a": [1]}, '{"a": "1"}', 0),
    ({"fields": {"a": {"set": {"partial": "f1"}}}}, {"a": [1, 1]}, '{"a": [true]}', 0),
    ({"fields": {"a": {"sequence": {"partial": "f1"}}}}, {"a": [1, 2, 3]}, '{"a": [3, 1, 2]}',
     2 / 3),
    ({"fields": {"a": {"sequence": True}}}, {"a": [{"b": 1}]}, '{"a": [{"b": 1.0}]}', 1),
    ({"fields": {"a": "sequence"}}, {"a": [1, 2]}, '{"a": [2, 1]}', 0),
    ({"fields": {"a": {"similarity": {"min": 0.7}}}}, {"a": "abcd"}, '{"a": "abcx"}', 1),
]  # fmt: skip


def similar(by="ratio", **more):
    return {"similarity": {"by": by, **more}}


# The figures of ROUGE-L are those of rouge-score 0.1.2 without stemming, but for Cyrillic, which
# that does not read.
SIMILAR = [
    ("similarity", ["wxyz", "abcd"], "abcx", 3 / 4),
    ("similarity", "東京都", "東京", 4 / 5),
    (similar(min=0.75), "abcd", "abcx", 1),
    (similar(min=0.76), "abcd", "abcx", 0),
    (similar("rouge"), "the cat sat on the mat", "The cat lay on a mat.", 2 / 3),
    (similar("rouge"), "the quick brown fox", "fox brown quick the", 1 / 4),
    (similar("rouge"), "the cat", "", 0),
    (similar("rouge"), "кот сидит", "Кот сидит!", 1),
    (similar("tfidf"), "refund the order", "Order: the refund", 1),
    (similar("tfidf"), "refund", "…", 0),
    (similar("tfidf"), "…", "…", 1),
    (similar("tfidf", min=0.9), "refund the order", "refund my order", 0),
]

BOTH = [{"exact": {}, "weight": 3}, {"similarity": {}}]
SEVERAL = [
    (["exact", "contains"], "abcd", "it is abcd", 1 / 2),
    (BOTH, "abcd", "abcd", 1),
    ([{"choice": {}, "weight": 2}, {"regex": None}], "yes", "Yes", 2 / 3),
    ([RULES, {"fields": {}, "weight": 1}], ORDER, order(items=["ink", "pen"]), 7 / 8),
]

ROWS = [*EXACT, *CHOICES, *LABELS, *WORDS, *NUMBERS, *FIELDS, *SIMILAR, *SEVERAL]


@every_row(("score", "expected", "text", "value"), ROWS)
def test_a_reply_has_the_score_of_its_scorer(score, expected, text, value):
    assert score_text(score, expected, text).value == pytest.approx(value)


# What is wrong -------------------------------------------------------------------------------

NO_NAME = "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
WRONG_BOTH = 'a: expected 1, got 2\nb: expected "x", got null'
WHYS = [
    ("fields", {"a": 1, "b": "x"}, '{"a": 2, "b": null}', WRONG_BOTH),
    ("fields", {"a": 1}, "no", "no JSON: Expecting value: line 1 column 1 (char 0)"),
    ("fields", {"a": 1}, "[1]", "no JSON object"),
    ("labels", ["a", "b"], "b, c", "missing: a; too many: c"),
    (CHOICE, "refund", "none of these", "abstained"),
    ("similarity", "abcd", "abcx", "similarity 0.75"),
    (similar(min=0.8), "abcd", "abcx", "similarity 0.75, below 0.8"),
    (BOTH, "abcd", "abcx", "exact 0\nsimilarity 0.75: similarity 0.75"),
    ("fields", {"a": 1}, '{"a": 1}', ""),
    ("fields", [{"a": 1, "b": 2}, {"a": 2}], '{"a": 2, "b": 2}', ""),
    ("fields", [{"a": "ü"}, {"a": 1}], '{"a": 3}', 'a: expected "ü", got 3'),
    ("fields", {"a": 1}, fenced("{"), f"no JSON: {NO_NAME}"),
    ({"fields": {"a": "labels"}}, {"a": ["x"]}, '{"b": 1}', 'a: expected ["x"], got nothing'),
    ("labels", ["b", "a"], "d, c", "missing: a, b; too many: c, d"),
    ("labels", ["a"], "", ""),
    (CHOICE, "refund", "N/A", "abstained"),
    (CHOICE, "refund", "billing", ""),
    ("similarity", "abcd", "abcd", ""),
    (similar(min=0.75), "abcd", "abcx", ""),
    ([{"choice": {"none": "x"}, "weight": 1}, "exact"], "a", "x", "choice 0: abstained\nexact 0"),
]  # fmt: skip


@every_row(("score", "expected", "text", "why"), WHYS)
def test_the_reason_says_what_the_two_texts_do_not_show(score, expected, text, why):
    assert score_text(score, expected, text).reason == why


def test_a_reason_shows_twenty_fields_and_values_of_200_characters_whole():
    twenty = score_text("fields", {f"f{n}": n for n in range(20)}, "{}")
    more = score_text("fields", {f"f{n}": n for n in range(21)}, "{}")
    values = [score_text("fields", {"a": "x" * n}, "{}").reason for n in (198, 199)]
    got = score_text("fields", {"a": 1}, json.dumps({"a": [1] * 1000})).reason

    assert twenty.reason.splitlines()[-1] == "f19: expected 19, got nothing"
    assert more.reason.splitlines()[-2:] == ["f19: expected 19, got nothing", "1 more fields"]
    assert values == [
        f'a: expected "{"x" * 198}", got nothing',
        f'a: expected "{"x" * 199}…, got nothing',
    ]
    assert got == f"a: expected 1, got {json.dumps([1] * 99)[:200]}…"


def test_the_cosine_of_a_text_with_itself_is_one_whatever_its_rounding():
    assert score_text(similar("tfidf"), "w0 w1 w2", "w0 w1 w2") == (1.0, "")


def test_a_scorer_that_fails_is_an_error_of_the_case():
    case = Case(id="a", location="c.jsonl:1", expected=5, score=Rule("similarity"))

    with pytest.raises(
        ScorerError, match=r'^score: similarity broke on case "a" \(c\.jsonl:1\): T'
    ):
        score_content(case, Reply(text="5"), Path())


def test_only_the_first_characters_of_long_texts_are_compared():
    text = "a" * 50_000

    assert score_text("similarity", text, f"{text}b").value == 1
    assert score_text("similarity", f"{text}b", text).value == 1
    assert score_text("similarity", f"{text[1:]}b", text).value < 1


# Errors and time -----------------------------------------------------------------------------


@every_row("score", ["regex", {"fields": {"a": "regex"}}, ["regex", "exact"]])
def test_a_pattern_that_hangs_is_an_error_of_the_case_and_never_an_incorrect_reply(
    monkeypatch, score
):
    monkeypatch.setattr("pytest_ftgate.suite.scorers._PATTERN_TIMEOUT", 0.1)
    text = "a" * 5000 + "b"
    inside = isinstance(score, dict)
    expected, reply = ({"a": "(a+)+$"}, json.dumps({"a": text})) if inside else ("(a+)+$", text)

    with pytest.raises(ScorerError, match=r'broke on case "a" \(c\.jsonl:1\): .* than 0\.1 s'):
        score_text(score, expected, reply)


KINDS = st.sampled_from([row[:2] for row in ROWS])
JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "id", "items"]), inner),
    max_leaves=8,
).map(json.dumps)
PIECES = st.sampled_from(["1/2", "€", "-", "1.234,5", "```json\n", "~~~", "{}", "½", "%", "refund"])
TEXTS = st.text(max_size=60) | JSONS | st.lists(PIECES | st.characters(), max_size=12).map("".join)


LONG_TEXTS = st.builds(
    lambda text, length: text * (length // len(text) + 1),
    TEXTS.filter(bool),
    st.integers(1_000, 20_000),
)


@settings(examples(1), deadline=3000)
@given(KINDS, TEXTS | LONG_TEXTS)
def test_the_score_of_any_text_is_between_0_and_1_and_takes_no_long_time(kind, text):
    assert 0 <= score_text(*kind, text).value <= 1
