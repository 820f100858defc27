"""Scores that join others: what `all` takes, and the judge that its cases name."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.score_rules import DeclaredScore, with_judge

DECLARED = TypeAdapter(DeclaredScore)
AVOIDS = Rule("holds", Rule("avoids", ["sorry"]))


@every_row(
    ("raw", "rule"),
    [
        ({"all": ["exact", {"avoids": ["sorry"]}]},
         Rule("all", ((Rule("exact"), 1), (AVOIDS, 1)))),
        ({"all": ["judge"]}, Rule("all", ((Rule("judge"), 1),))),
        ({"all": {"rules": [{"avoids": ["sorry"], "weight": 2}], "min": 0.5}},
         Rule("all", ((AVOIDS, 2),), {"min": 0.5})),
        ({"all": [{"all": {"rules": ["exact"], "min": 0.5}}]},
         Rule("all", ((Rule("all", ((Rule("exact"), 1),), {"min": 0.5}), 1),))),
        (["exact", {"all": ["exact"], "weight": 2}],
         Rule("mean", ((Rule("exact"), 1), (Rule("all", ((Rule("exact"), 1),)), 2)))),
    ],
)  # fmt: skip
def test_a_part_is_a_format_or_else_a_score(raw, rule):
    assert DECLARED.validate_python(raw) == rule


@every_row(
    ("raw", "message"),
    [
        ({"all": []}, "all needs a list of formats and scores, such as {all: [exact, "),
        ("all", "all needs a list of formats and scores, such as {all: [exact, "),
        ({"all": {"rules": ["exact"], "least": 1}}, "all needs a list of formats and scores"),
        ({"all": {"rules": ["exact"], "min": 0}}, "all: min must be above 0 and at most 1, not 0"),
        ({"all": ["exakt"]}, 'unknown score "exakt"; did you mean "exact"?'),
        ({"all": [{"contains": 5}]}, "contains needs a list of texts: {contains: [refund]}"),
    ],
)
def test_a_list_that_cannot_be_used_says_what_to_write(raw, message):
    with pytest.raises(ValidationError) as caught:
        DECLARED.validate_python(raw)

    assert caught.value.errors()[0]["msg"].startswith(message)


def test_a_judge_in_a_case_is_that_of_the_suite():
    judge = Rule("judge", "is polite", {"samples": 1})

    assert with_judge(Rule("all", ((Rule("judge"), 1), (AVOIDS, 1))), judge) == Rule(
        "all", ((judge, 1), (AVOIDS, 1))
    )
    assert with_judge(Rule("all", ((Rule("judge"), 1),)), Rule("exact")) is None
