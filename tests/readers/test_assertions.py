"""What an assertion of promptfoo becomes: score, expected answer, formats."""

from __future__ import annotations

from pathlib import Path

from ftgate_testing.tables import every_row
from pydantic import TypeAdapter

from pytest_ftgate.cli import import_suite
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.assertions import assertion_of_cell, carry_assertions
from pytest_ftgate.readers.imported_suite import PATH, SCORES, ImportedSuite
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.score_rules import DeclaredScore

TEXT = "(typeof output === 'string' ? output : JSON.stringify(output))"
NO_JSON = f"!(() => {{ try {{ JSON.parse({TEXT}); return true }} catch {{ return false }} }})()"
CASED = {"contains": {"whole_words": False, "case": True}}
HEAD = "@promptfoo()\ndef NAME(output, context):\n"


class NoPlace:
    """A place without files, which keeps the functions that are written for it."""

    def __init__(self):
        self.suite = ImportedSuite("promptfoo")
        self.add_function = self.suite.add_function

    def read(self, name):
        raise ConfigurationError(name)


def carried(*assertions, threshold=None, transform=None, **variables):
    return carry_assertions(
        assertions, variables, NoPlace(), threshold=threshold, transform=transform
    )


def found(texts, **options):
    return {"texts": texts, "whole_words": False, **options}


def node(code, **keys):
    return {"javascript": {"code": code, **keys, "throws": "wrong"}}


def of_form(*rules):
    return {"format": [*rules]}


def all_of(*rules, **expected):
    return {**expected, "score": {"all": [*rules]}}


def alone(score, expected):
    return {"score": score, "expected": expected}


@every_row("kind, value, keys", [
    ("equals", "refund", alone("exact", "refund")),
    ("equals", {"a": 1}, all_of({"json_schema": {"const": {"a": 1}}})),
    ("icontains", "Paris", alone({"contains": {"whole_words": False}}, "Paris")),
    ("contains", "50%", alone({"contains": {"whole_words": False, "case": True}}, "50%")),
    ("contains", 7, alone({"contains": {"whole_words": False, "case": True}}, "7")),
    ("icontains-any", 'a, "b, c"', alone({"contains": {"whole_words": False}}, ["a", "b, c"])),
    ("contains-all", ["a", "b"],
     alone({"contains": {"whole_words": False, "case": True, "all": True}}, ["a", "b"])),
    ("contains", " ", all_of({"contains": found([" "], case=True)})),
    ("not-icontains", "sorry", all_of({"avoids": found(["sorry"])})),
    ("not-contains-any", ["a", "b"], all_of({"avoids": found(["a", "b"], case=True)})),
    ("not-equals", "a.b", all_of({"regex": r"^(?!a\.b$)"})),
    ("regex", r"\d+\/\w", alone("regex", "[0-9]+/[A-Za-z0-9_]")),
    ("not-regex", "a|b", all_of({"regex": "^(?!(?s:.*)(?:a|b))"})),
    ("starts-with", "Dear (Sir)", alone("regex", r"^Dear \(Sir\)")),
    ("is-json", None, of_form({"json_schema": {}})),
    ("is-json", '{"required": ["a"]}', of_form({"json_schema": {"required": ["a"]}})),
    ("is-json", {"items": [{"type": "string"}]},
     of_form({"json_schema": {"$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "string"}]}})),
    ("word-count", {"max": 9}, of_form({"length": {"unit": "words", "max": 9}})),
    ("javascript", "score(output) > 3", all_of(node("score(output) > 3"))),
    ("not-javascript", "bad(output)", all_of(node("bad(output)", inverse=True))),
    ("regex", r"\p{L}{,2}a{1,9}\Z", alone("regex", r"p\{L}\{,2}a{1,9}Z")),
    ("contains-any", 'a, "b, ""c"', alone(CASED, ["a", 'b, "c'])),
    ("contains-all", "a\rb", alone(CASED, "a\rb")),
    ("contains-all", "a, \N{NO-BREAK SPACE}", alone(CASED, "a")),
    ("icontains-any", [], all_of(node(f"[].some((text) => {TEXT}.toLowerCase().includes(text))"))),
    ("not-is-json", None, all_of(node(NO_JSON))),
    ("javascript", "file://check.mjs:polite",
     all_of({"javascript": {"file": PATH.format("check.mjs"), "function": "polite",
        "throws": "wrong"}})),
    ("not-contains-all", ["a"],
     all_of(node("!([\"a\"].every((text) => (typeof output === 'string' ? output : "
       "JSON.stringify(output)).includes(text)))"))),
])  # fmt: skip
def test_an_assertion_is_a_score_or_a_format(kind, value, keys):
    rules = carried({"type": kind, "value": value})

    assert rules.keys() == keys
    assert (rules.counts, rules.dropped) == ({"carried": 1}, [])


def test_a_score_needs_all_assertions_about_the_content():
    rules = carried(
        {"type": "icontains-any", "value": ["a", "b"]},
        {"type": "equals", "value": "b"},
        {"type": "is-json"},
        {"type": "assert-set", "assert": [{"type": "not-contains", "value": "c"}]},
    )

    assert rules.keys() == {
        **all_of(
            {"contains": found(["a", "b"], any=True)},
            "exact",
            {"avoids": found(["c"], case=True)},
            expected="b",
        ),
        **of_form({"json_schema": {}}),
    }


def test_texts_that_must_all_occur_are_one_rule_and_so_are_those_that_must_not():
    kinds = ("contains", "not-icontains", "contains", "not-icontains", "icontains")

    keys = carried(*({"type": kind, "value": f"t{n}"} for n, kind in enumerate(kinds))).keys()

    assert keys == all_of(
        {"contains": found(["t0", "t2"], case=True)},
        {"avoids": found(["t1", "t3"])},
        {"contains": found(["t4"])},
    )
    every = alone({"contains": {**CASED["contains"], "all": True}}, ["a", "b"])
    assert carried(*({"type": "contains", "value": text} for text in "ab")).keys() == every


def test_beside_a_rubric_the_judge_is_one_of_all():
    rules = carried(
        {"type": "llm-rubric", "value": "It is {{ tone }}"},
        {"type": "contains", "value": "yes"},
        tone="polite",
    )

    assert rules.rubrics == ["It is polite"]
    assert rules.keys() == all_of("judge", {"contains": found(["yes"], case=True)})


def test_with_a_threshold_the_mean_of_all_decides_by_their_weights():
    contains = {"type": "contains", "value": "a", "weight": 2}
    form, free = {"type": "is-json"}, {"type": "equals", "value": "x", "weight": 0}

    keys = carried(contains, form, free, threshold=0.5).keys()

    rules = [{"contains": found(["a"], case=True), "weight": 2}, {"json_schema": {}}]
    assert keys == {"score": {"all": {"rules": rules, "min": 0.5}}}
    assert carried(contains, threshold=0).keys() == alone(CASED, "a")
    assert carried({"type": "assert-set", "threshold": 0.5, "assert": [contains, form]}).keys() == {
        "score": {"all": [{"all": {"rules": rules, "min": 0.5}}]}
    }


def part(text, **weight):
    return {"contains": found([text], case=True), **weight}


A, B = ({"type": "contains", "value": text} for text in "ab")


@every_row("assertions, rules", [
    ([{"type": "javascript", "value": "output.includes('a') && output.includes('b')"}],
     [{"all": [part("a"), part("b")]}]),
    ([{"type": "javascript", "value": "JSON.parse(output).a === 1"}],
     [{"json_schema": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}}]),
    ([A, A, B], [part("a"), part("a"), part("b")]),
    ([{"type": "assert-set", "threshold": 0.1, "weight": 3, "assert": [A, A]}, B],
     [part("a", weight=1.5), part("a", weight=1.5), part("b")]),
    ([{"type": "llm-rubric", "value": "r", "weight": 2}, A],
     [{"judge": {}, "weight": 2}, part("a")]),
])  # fmt: skip
def test_with_a_threshold_each_assertion_counts_as_often_as_in_promptfoo(assertions, rules):
    keys = carried(*assertions, threshold=0.6).keys()

    assert keys == {"score": {"all": {"rules": rules, "min": 0.6}}}
    assert TypeAdapter(DeclaredScore).validate_python(keys["score"]).options == {"min": 0.6}


@every_row("keys, threshold, said", [
    ({"weight": "high"}, 0.5, "weight: 'high' is no number from 0 on: it counts as 1"),
    ({"weight": -1}, 0.5, "weight: -1 is no number from 0 on: it counts as 1"),
    ({}, "lots", "threshold: 'lots' is no number from 0 to 1: all assertions must hold"),
    ({}, 3, "threshold: 3 is no number from 0 to 1: all assertions must hold"),
])  # fmt: skip
def test_a_number_that_is_none_is_named_and_its_assertion_kept(keys, threshold, said):
    rules = carried({**A, **keys}, threshold=threshold)

    assert rules.notes == [said]
    assert rules.checks == carried(A).checks


def test_an_assertion_that_cannot_be_read_is_a_stub_beside_the_others():
    rules = carried({"type": "contains", "value": "file://none.txt"}, A)

    assert rules.notes == [
        "assertion contains: file://none.txt",
        "assertion contains is a function to fill in",
    ]
    assert rules.keys() == all_of({"python": f"{SCORES}:contains"}, part("a"))


def test_limits_within_a_set_are_kept_and_the_smallest_counts():
    limits = [{"type": "latency", "threshold": limit} for limit in (300, 200, 400)]

    assert carried({"type": "assert-set", "threshold": 0.5, "assert": limits}).limits == {
        "latency": 200
    }


@every_row("inverse", [False, True])
def test_a_function_of_python_that_fails_passes_nothing(inverse):
    file = Path(import_suite.__file__).with_name("starter") / "scores.py.txt"
    names = {}
    exec(file.read_text("utf-8"), names)

    @names["promptfoo"](inverse=inverse)
    def fails(output, context):
        return output.nothing

    reason = fails(
        Case(id="a", location="c.jsonl:1", input="q", score=Rule("exact")), Reply(text="x")
    )
    assert reason == "AttributeError: 'str' object has no attribute 'nothing'"


def test_a_transform_is_javascript_before_the_assertion():
    keys = carried({"type": "equals", "value": "x"}, transform="JSON.parse(output).a").keys()

    code = keys["score"]["all"][0]["javascript"]["code"]
    assert code.splitlines() == [
        "output = (JSON.parse(output).a);",
        "return ((typeof output === 'string' ? output : JSON.stringify(output)) === \"x\");",
    ]


@every_row("assertion, source", [
    ({"type": "python", "value": "len(output) > 5", "threshold": 0.5},
     "@promptfoo(threshold=0.5)\ndef NAME(output, context):\n    return len(output) > 5\n"),
    ({"type": "python", "value": "x = 1\nif output:\n  x = 2\nreturn x"},
     f"{HEAD}    x = 1\n    if output:\n      x = 2\n    return x\n"),
    ({"type": "python", "value": "file://a/check.py:polite"},
     f'{HEAD}    return load("{PATH.format("a/check.py")}").polite(output, context)\n'),
])  # fmt: skip
def test_python_is_a_function_beside_the_suite(assertion, source):
    place = NoPlace()

    rules = carry_assertions([assertion], {}, place)

    assert [*place.suite.functions.values()] == [source]
    (name,) = place.suite.functions
    assert rules.keys() == all_of({"python": f"{SCORES}:{name}"})


@every_row("assertion", [
    {"type": "similar", "value": "a dog", "threshold": 0.8},
    {"type": "contains", "value": "file://check.py"},
    {"type": "python", "value": "return ="},
    {"type": "not-llm-rubric", "value": "is rude"},
    {"type": "equals"},
    {"type": "contains", "value": ""},
    {"type": "not-regex", "value": ""},
    {"type": "not-equals", "value": {"a": 1}},
    {"type": "contains-all", "value": '"a" b'},
])  # fmt: skip
def test_what_has_no_rule_is_a_function_that_is_named_and_to_be_filled_in(assertion):
    place = NoPlace()

    rules = carry_assertions([assertion], {}, place)

    (source,) = place.suite.functions.values()
    assert f"    # type: {assertion['type']}" in source
    assert "raise NotImplementedError('fill me in: " in source
    assert (rules.counts, rules.dropped) == ({"stubs": 1}, [])
    assert rules.notes == [f"assertion {assertion['type']} is a function to fill in"]


@every_row("value, keys, what", [
    ("(output) => {\n  return score(output)\n}",
     all_of(node("((output) => {\n  return score(output)\n})(output, context)")),
     "a function that is not called"),
    ("output.length > 3\n&& output.includes('a')\n",
     alone(CASED, "a") | of_form({"length": {"unit": "characters", "min": 4}}),
     "lines without return"),
])  # fmt: skip
def test_javascript_that_promptfoo_runs_without_a_result_is_named(value, keys, what):
    rules = carried({"type": "javascript", "value": value})

    assert rules.keys() == keys
    assert rules.notes == [f"javascript of {what}: promptfoo fails it, here its value counts"]


@every_row("assertion", [{"value": "x"}, "contains: x", {"type": "select-best", "value": "short"}])
def test_what_is_no_check_of_a_reply_is_left_out_and_named(assertion):
    rules = carried(assertion)

    assert rules.keys() == {}
    assert len(rules.dropped) == 1


@every_row("cell, assertion", [
    ("Paris", {"type": "equals", "value": "Paris"}),
    ("Note: Paris", {"type": "equals", "value": "Note: Paris"}),
    ("icontains: Paris", {"type": "icontains", "value": "Paris"}),
    ("similar(0.8): Paris", {"type": "similar", "value": "Paris", "threshold": 0.8}),
    ("grade: is polite", {"type": "llm-rubric", "value": "is polite"}),
    ("is-json", {"type": "is-json", "value": None}),
    ("file://check.py:f", {"type": "python", "value": "file://check.py:f"}),
    ("not-contains: Paris", {"type": "not-contains", "value": "Paris"}),
])  # fmt: skip
def test_a_cell_declares_an_assertion(cell, assertion):
    assert assertion_of_cell(cell) == assertion
