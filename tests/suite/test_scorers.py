"""Scores and what is expected, as an author writes them: read, or refused with what to write."""

from __future__ import annotations

import pytest
from ftgate_testing.properties import examples
from ftgate_testing.suite_files import Like, errors_of, load_variants
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.score_rules import DeclaredScore
from pytest_ftgate.suite.scorers import SCORE_KINDS, DeclaredExpected, pattern_error, search_pattern


def refusal(kind, raw):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(raw)
    return caught.value.errors()[0]["msg"]


def read(kind, raw):
    return TypeAdapter(kind).validate_python(raw)


READ = [
    *(
        (kind, Rule(kind))
        for kind in SCORE_KINDS
        if kind not in ("python", "javascript", "judge", "all")
    ),
    *(
        ({kind: options}, Rule(kind, None, options))
        for kind, options in (
            (
                "exact",
                {"ignore_case": True, "normalise": ["unicode", "spaces", "case", "punctuation"]},
            ),
            ("choice", {"synonyms": {"refund": ["money back", "repay"]}, "none": "none of these"}),
            (
                "labels",
                {"separator": ";", "partial": "f1", "none": "none", "synonyms": {"a": ["b"]}},
            ),
            ("contains", {"all": True}),
            ("numeric", {"tolerance": 0.5, "relative": 0.01, "pick": "first", "unit": ["EUR"]}),
            ("numeric", {"decimal": ",", "thousands": [".", " "], "fractions": True}),
            ("numeric", {"percent": True}),
            ("similarity", {"by": "tfidf", "min": 0.8}),
            ("code", {"tests": "tests.py", "seconds": 2, "memory_mb": 256, "sandbox": "none"}),
        )
    ),
    ({"python": "pkg.marks:close"}, Rule("python", "pkg.marks:close")),
    # Fields have a score each, and several scores are a mean by their weights.
    ({"fields": {"a.b": "choice", "c": {"numeric": {"tolerance": 1}}, "d": "set"}}, Rule("fields",
     None,
     {"a.b": Rule("choice"), "c": Rule("numeric", None, {"tolerance": 1}), "d": Rule("set")})),
    (["exact", {"contains": {"all": True}, "weight": 2}],
     Rule("mean", ((Rule("exact"), 1), (Rule("contains", None, {"all": True}), 2)))),
]  # fmt: skip


@every_row(("raw", "rule"), READ)
def test_a_score_is_a_word_or_carries_its_options_or_its_parts(raw, rule):
    assert read(DeclaredScore, raw) == rule


FAULTS = [
    ("exakt", 'unknown score "exakt"; did you mean "exact"?; known: exact, '),
    ({"exact": {"ignore": True}}, 'score exact: unknown key "ignore"; did you mean "ignore_case"?'),
    ({"regex": {"ignore_case": True}}, "score regex takes no options"),
    ({"exact": 5}, "score exact takes ignore_case, normalise"),
    ({"exact": {}, "regex": {}}, "score is one name, or one name with its value"),
    (5, "score is one name, or one name with its value"),
    ({"exact": {"ignore_case": "no"}}, 'score exact: ignore_case must be true or false, not "no"'),
    ({"choice": {"synonyms": ["a"]}}, "score choice: synonyms must be a mapping of keys to values"),
    ({"choice": {"synonyms": {"a": "b"}}}, 'score choice: a must be a list, not "b"'),
    ({"choice": {"synonyms": {"a": ["x"], "b": ["X"]}}},
     'score choice: synonym "X" of b also means a; keep one'),
    ({"choice": {"none": ""}}, 'score choice: none is "", but String should have at least'),
    ({"numeric": {"tolerance": -1}}, "score numeric: tolerance is -1, but must be greater than or"),
    ({"numeric": {"tolerance": True}}, "score numeric: tolerance must be a number, not true"),
    ({"numeric": {"pick": "often"}}, 'score numeric: pick is "often", but must be one of'),
    ({"numeric": {"thousands": ["."]}},
     'score numeric: thousands: "." is the decimal mark already; write decimal: ","'),
    ({"similarity": {"min": 80}}, "score similarity: min is 80, but must be less than or equal"),
    ({"fields": ["a"]}, "fields needs a score for each field, such as {fields: {total: "),
    ({"fields": {"a": "fields"}}, 'fields: unknown score "fields"; known: exact, '),
    ({"fields": {"a": {"set": "yes"}}}, "fields: set is true, or {partial: f1}, not yes"),
    ({"fields": {"a": {"sequence": []}}}, "fields: sequence is true, or {partial: f1}, not []"),
    ({"python": {"function": "a:b", "second": 1}}, 'python: unknown key "second", as in {python:'),
    ({"python": {"function": "a:b", "seconds": 0}}, "python: seconds must be above 0 and at most"),
    ({"python": {"seconds": 3}}, "python needs a function, written package.module:function"),
    ({"python": {"function": "a.b"}}, 'python: "a.b" is no function; write a:b'),
    ({"fields": {"a": {"numeric": {"pick": 1}}}}, "fields: score numeric: pick is 1, but must be"),
    ([], "score is an empty list; name a score"),
    ([{"exact": {}, "weight": 0}], "weight must be a number above 0, not 0"),
    ([["exact"]], "score is one name, or one name with its value"),
    ({"exact": {}, "weight": 2}, "score is one name, or one name with its value"),
]  # fmt: skip


@every_row(("raw", "message"), FAULTS)
def test_a_score_that_cannot_be_used_says_what_to_write(raw, message):
    assert refusal(DeclaredScore, raw).startswith(message)


@every_row("raw", ["a", 5, 0.5, ["a", "b"], [1, 2], {"a": [True]}, [{"a": 1}], None])
def test_an_answer_is_text_or_a_number_or_a_mapping_or_a_list_of_these(raw):
    assert read(DeclaredExpected, raw) == raw


@every_row(
    ("raw", "message"),
    [
        (True, 'expected is true, but an answer is text or a number: write "true"'),
        (["a", False], 'expected is false, but an answer is text or a number: write "false"'),
        ([["a"]], "expected is text, a number, a mapping, or a list of these"),
    ],
)
def test_an_answer_that_is_neither_is_refused(raw, message):
    assert refusal(DeclaredExpected, raw) == message


# In a suite ----------------------------------------------------------------------------------


def loaded(folder, score, expected, form="", **files):
    """Load a suite whose score stands in line 1 and whose case in line 2."""
    named = {f"{name}.py": text for name, text in files.items()}
    head, case = f"reply: {{score: {score}{form}}}\n", f"[{{input: a, expected: {expected}}}]"
    variant = "one: {provider: anthropic, model: m}"
    return load_variants(folder, variant, head=head, cases=case, files=named)


def errors(folder, *args, **files):
    return errors_of(loaded, folder, *args, **files)


CALL = (
    "2: expected is a mapping, which must be the call of a tool, such as "
    '{name: lookup_order, arguments: {order_id: "17"}}'
)
MAPPING = "2: expected is a mapping, which only score: tool_call and fields read, not "
UNFIT = [
    ("tool_call", "{total: 3}", CALL),
    ("tool_call", "{name: a, arguments: [b]}", CALL),
    ("tool_call", "[a, {name: a, order_id: 17}]", CALL),
    ("exact", "{a: 1}", f"{MAPPING}exact"),
    ("numeric", "{a: 1}", f"{MAPPING}numeric"),
    ("[exact, fields]", "{a: 1}", f"{MAPPING}exact"),
    ("exact", "5", '2: expected is the number 5, but exact reads text: write "5"'),
    ("choice", "[]", "2: expected is an empty list; name an answer, or leave the key out"),
    ("numeric", "1/2", '2: expected "1/2" is not a number, but score is numeric'),
    ("numeric", "nan", '2: expected "nan" is not a number, but score is numeric'),
    ("regex", '"("', "2: expected: '(' is not a pattern: missing )"),
    ("regex", '" "', "2: expected is empty, and score: regex finds that in every reply"),
    ("contains", '[a, ""]', "2: expected is empty, and score: contains finds that in every reply"),
    ("{fields: {a: contains}}", '{a: ""}', "2: a: expected is empty, and score: contains finds"),
    ("code", '""', "2: expected is empty, so score: code runs no test; write one"),
    ("fields", "a", "2: expected is no mapping of fields, but score is fields: write {total: 12}"),
    ("{fields: {a: numeric}}", "{a: x}",
     '2: a: expected "x" is not a number, but score is numeric'),
    ("{fields: {a.b: exact}}", "{a: {b: true}}", "2: a.b: expected is true, but exact reads text"),
    ("{fields: {totl: numeric}}", "{total: 3}",
     '1: reply.score: fields: no case expects "totl"; did you mean "total"?'),
    ("code", '"assert f("', "2: expected is no tests in Python: "),
    ("code", "[a, b]", "2: expected is a list, but score: code runs one text of tests"),
    ("{code: {tests: no.py}}", "", "1: code: tests: no.py does not exist (looked in ./)"),
    ("{code: {tests: ../x.py}}", "", "1: code: tests: ../x.py lies outside "),
    ("{code: {tests: bad.py}}", "", "1: code: tests: bad.py is not Python: "),
    ("[{python: 'marks:nobody'}]", "a", '1: reply.score: marks:nobody: marks.py has no "nobody"'),
]  # fmt: skip


@every_row(("score", "expected", "message"), UNFIT)
def test_what_a_score_cannot_read_is_an_error_at_its_line(tmp_path, score, expected, message):
    found = errors(tmp_path, score, expected, bad="def f(:", marks="def some(): pass")

    assert found[0].startswith(message)


@every_row(
    ("score", "expected"),
    [
        ("{labels: {none: none}}", "[]"),
        ("{numeric: {fractions: true}}", "1/2"),
        ("{numeric: {percent: true}}", "50%"),
        ('{numeric: {decimal: ","}}', '"1.234,5"'),
        ("{fields: {a: set, b.c: choice}}", "{a: [], b: {c: [x, y], d: null}, e: {}}"),
        ("code", "assert f(1) == 2"),
        ("{code: {tests: good.py}}", ""),
        ("{code: {tests: good.py}}", '""'),
        ("exact", '""'),
        ("[{python: 'marks:some'}, exact]", "a"),
    ],
)
def test_what_a_score_can_read_is_no_error(tmp_path, score, expected):
    assert loaded(tmp_path, score, expected, good="assert f(1)", marks="def some(): pass")


FORM = ", format: {choice: [refund, other]}"
NO_LABEL = "is not one of the labels"


@every_row(
    ("score", "message"),
    [
        ("{choice: {synonyms: {refnd: [repay]}}}",
         f'reply.score: synonyms of "refnd", which {NO_LABEL}; did you mean "refund"?'),
        ("{choice: {synonyms: {refund: [other]}}}",
         'reply.score: synonym "other" of refund is a label itself; take it out'),
    ],
)  # fmt: skip
def test_synonyms_are_of_labels_and_are_none(tmp_path, score, message):
    assert errors(tmp_path, score, "refund", FORM) == [f"1: {message}"]


def test_no_label_may_be_expected_though_the_format_does_not_list_it(tmp_path):
    score = "{choice: {none: neither, synonyms: {neither: [n/a]}}}"

    assert loaded(tmp_path, score, "neither", FORM)
    assert errors(tmp_path, "choice", "neither", FORM) == [
        Like(f'2: expected "neither" {NO_LABEL} ...')
    ]


def test_other_tests_are_another_yardstick(tmp_path):
    one, same, other = (
        loaded(tmp_path, "{code: {tests: good.py}}", "", good=f"assert f({n})").cases[0].digest
        for n in (1, 1, 2)
    )

    assert one == same != other


# Patterns ------------------------------------------------------------------------------------


@every_row("pattern", ["(", "[a", "a{2,1}", "(?P<a>b)(?P<a", "*a", r"\1"])
def test_a_text_that_is_no_pattern_is_told_and_one_that_is_has_no_error(pattern):
    assert pattern_error(pattern).startswith(f"{pattern!r} is not a pattern: ")
    assert pattern_error("^(a|b)$") is None


@examples(0.3)
@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_taken_for_a_pattern_can_be_looked_for(pattern, text):
    if pattern_error(pattern) is None:
        match = search_pattern(pattern, text)
        assert match is None or match.end() <= len(text)
