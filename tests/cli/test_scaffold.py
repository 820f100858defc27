"""What init guesses from the cases."""

from __future__ import annotations

import pytest
import yaml

from pytest_ftgate.cli.scaffold import measured_reason, scoring_of
from pytest_ftgate.readers.rows import AnswerRow


def reply(*expected):
    rows = [AnswerRow(line=n, expected=value) for n, value in enumerate(expected)]
    return yaml.safe_load("\n".join(scoring_of(rows).lines))


def test_few_short_answers_are_labels_and_yaml_reads_each_as_text():
    labels = {"choice": ["no", "other", "yes"]}

    assert reply(*("no", "yes", "other") * 4) == {"format": labels, "max_tokens": 8}


@pytest.mark.parametrize(
    ("expected", "key", "value"),
    [
        (["12", "7.5", "1,200"], "score", "numeric"),
        ([12, 7], "score", "numeric"),
        (["Paris", "Rome", "Oslo"], "score", "contains"),
        ([["Paris", "paris"], "Rome", "Oslo"], "score", "contains"),
        ([{"total": 12}, {"total": 7}], "score", "fields"),
        (["a long answer " * 20, "another " * 20], "max_tokens", 500),
    ],
)
def test_the_score_follows_from_what_is_expected(expected, key, value):
    assert reply(*expected)[key] == value


def test_graded_scores_are_reported_as_a_share():
    assert measured_reason(0.5, 15.0, 30) == "measured: 15 of 30 right; the highest that passes"
    assert measured_reason(0.52, 15.6, 30) == "measured: 52 % of 30 cases; the highest that passes"
