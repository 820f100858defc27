"""What an assertion of promptfoo becomes: score, expected answer, formats."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.assertions import assertion_of_cell, carry_assertions


def no_file(name: str) -> str:
    raise ConfigurationError(name)


def carried(*assertions, **variables):
    return carry_assertions(assertions, variables, no_file)


@every_row(
    ("kind", "value", "keys"),
    [
        ("equals", "refund", {"score": "exact", "expected": "refund"}),
        ("equals", {"a": 1}, {"score": "fields", "expected": {"a": 1}}),
        ("icontains", "Paris", {"score": "contains", "expected": "Paris"}),
        ("contains-any", ["a", "b"], {"score": "contains", "expected": ["a", "b"]}),
        ("contains-any", "a, b", {"score": "contains", "expected": ["a", "b"]}),
        (
            "contains-all",
            ["a", "b"],
            {"score": {"contains": {"all": True}}, "expected": ["a", "b"]},
        ),
        ("regex", r"\d+", {"score": "regex", "expected": r"\d+"}),
        ("starts-with", "Dear (Sir)", {"score": "regex", "expected": r"^Dear\ \(Sir\)"}),
        ("is-json", None, {"format": [{"json_schema": {}}]}),
        ("is-json", '{"required": ["a"]}', {"format": [{"json_schema": {"required": ["a"]}}]}),
        ("not-contains", "sorry", {"format": [{"avoids": ["sorry"]}]}),
        ("word-count", {"max": 9}, {"format": [{"length": {"unit": "words", "max": 9}}]}),
        (
            "javascript",
            "output.length < 80 && output.includes('x')",
            {
                "score": "contains",
                "expected": "x",
                "format": [{"length": {"unit": "characters", "max": 79}}],
            },
        ),
    ],
)
def test_a_deterministic_assertion_is_a_score_or_a_format(kind, value, keys):
    rules = carried({"type": kind, "value": value})

    assert rules.keys() == keys
    assert rules.skipped == []


def test_texts_that_must_all_occur_are_one_answer():
    rules = carried(
        {"type": "contains", "value": "a"},
        {"type": "assert-set", "assert": [{"type": "icontains", "value": "b"}]},
    )

    assert rules.keys() == {"score": {"contains": {"all": True}}, "expected": ["a", "b"]}


def test_of_several_answers_the_most_decisive_scores_and_the_others_are_formats():
    rules = carried(
        {"type": "contains-any", "value": ["a.", "b"]}, {"type": "equals", "value": "b"}
    )

    keys = rules.keys()

    assert (keys["score"], keys["expected"]) == ("exact", "b")
    assert keys["format"] == [{"regex": r"(?i)(?:a\.|b)"}]


def test_beside_a_rubric_answers_are_formats_since_the_judge_scores():
    rules = carried(
        {"type": "llm-rubric", "value": "It is {{ tone }}"},
        {"type": "equals", "value": "yes"},
        tone="polite",
    )

    assert rules.rubrics == ["It is polite"]
    assert rules.keys() == {"format": [{"regex": r"^\s*(?:yes)\s*$"}]}


@every_row(
    "assertion",
    [
        {"type": "javascript", "value": "score(output) > 3"},
        {"type": "contains", "value": "file://check.py"},
        {"type": "regex", "value": "("},
        {"type": "equals"},
        {"value": "x"},
        "contains: x",
    ],
)
def test_what_cannot_be_carried_over_is_named(assertion):
    rules = carried(assertion)

    assert rules.keys() == {}
    assert len(rules.skipped) == 1


@every_row(
    ("cell", "assertion"),
    [
        ("Paris", {"type": "equals", "value": "Paris"}),
        ("Note: Paris", {"type": "equals", "value": "Note: Paris"}),
        ("icontains: Paris", {"type": "icontains", "value": "Paris"}),
        ("similar(0.8): Paris", {"type": "similar", "value": "Paris", "threshold": 0.8}),
        ("grade: is polite", {"type": "llm-rubric", "value": "is polite"}),
        ("is-json", {"type": "is-json", "value": None}),
    ],
)
def test_a_cell_declares_an_assertion(cell, assertion):
    assert assertion_of_cell(cell) == assertion
