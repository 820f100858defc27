"""What init guesses from the cases."""

from __future__ import annotations

import yaml
from ftgate_testing.tables import every_row

from pytest_ftgate.cli.scaffold import Scaffold, Scoring, measured_reason, scoring_of
from pytest_ftgate.readers.answer_rows import AnswerRow
from pytest_ftgate.suite.providers import first_variants


def reply(*expected):
    rows = [AnswerRow(line=n, expected=value) for n, value in enumerate(expected)]
    scoring = scoring_of(rows)
    return {**yaml.safe_load("\n".join(scoring.lines)), "max_tokens": scoring.tokens}


def test_few_short_answers_are_labels_and_yaml_reads_each_as_text():
    labels = {"choice": ["no", "other", "yes"]}

    assert reply(*("no", "yes", "other") * 4) == {"format": labels, "max_tokens": 8}


@every_row("expected, key, value", [
    (["12", "7.5", "1,200"], "score", "numeric"), ([12, 7], "score", "numeric"),
    (["Paris", "Rome", "Oslo"], "score", "contains"),
    ([["Paris", "paris"], "Rome", "Oslo"], "score", "contains"),
    ([{"total": 12}, {"total": 7}], "score", "fields"),
    (['{"total": 12}', '{"total": 7}'], "score", "fields"),
    (["{braces}", "{others}"], "score", "contains"),
    (["a long answer " * 20, "another " * 20], "max_tokens", 560),
    (["Paris", "Rome", "Oslo"], "max_tokens", 64), (["12", "7"], "max_tokens", 64),
    ([{"total": 12}, {"total": 7}], "max_tokens", 24),
])  # fmt: skip
def test_the_score_follows_from_what_is_expected(expected, key, value):
    assert reply(*expected)[key] == value


@every_row(("variables", "tokens"), [({"ANTHROPIC_API_KEY"}, 1_008), (set(), 8)])
def test_a_model_that_may_think_has_room_for_it(variables, tokens):
    scaffold = Scaffold(
        schema="s.json", command="pytest", prompt="", cases="c.csv", columns={},
        scoring=Scoring(("score: exact",), 8), variants=[*first_variants(variables, {})],
    )  # fmt: skip

    assert yaml.safe_load(scaffold.text)["reply"] == {"score": "exact", "max_tokens": tokens}


def test_graded_scores_are_reported_as_a_share():
    assert measured_reason(0.5, 15.0, 30) == "measured: 15 of 30 right"
    assert measured_reason(0.52, 15.6, 30) == "measured: 52 % of 30 cases"
