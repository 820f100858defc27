"""The reply that stands for a case whose replies differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from columns import case_result

from pytest_ftgate.gates.flips import _representative_reply
from pytest_ftgate.requests.reply import Reply


def repeated(*scores):
    """Return a result with a reply for each of the *scores*, which says its position."""
    plain = case_result("c", 1.0, "refund")
    return replace(
        plain,
        replies=tuple(Reply(text=str(number)) for number in range(3)),
        scores=tuple(replace(plain.scores[0], correct=score) for score in scores),
    )


@pytest.mark.parametrize(("right", "number"), [(True, "2"), (False, "1")])
def test_the_best_reply_stands_for_a_right_case_and_the_worst_for_a_wrong_one(right, number):
    assert _representative_reply(repeated(0.5, 0.0, 1.0), right=right).text == number


def test_the_first_reply_stands_for_a_case_without_scores():
    assert _representative_reply(repeated(), right=True).text == "0"
    assert _representative_reply(replace(repeated(), replies=()), right=True) is None
