"""Models that end at once or never: the verdict names the likely cause."""

from __future__ import annotations

import pytest
from columns import case

from pytest_ftgate.gates.format_errors import ending_notes
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores

CAUSE = "its chat template or its end token may differ from those in training"


def scores(*replies: Reply, name: str = "tuned") -> VariantScores:
    results = [
        CaseResult(case(f"c{n}"), (reply,), (Score(0.0, None),), (f"f{n}",))
        for n, reply in enumerate(replies)
    ]
    return VariantScores(name, {result.case.id: result for result in results})


GOOD, EMPTY, ENDLESS = Reply(text="a"), Reply(text=" "), Reply(text="a", stop="length")


def test_a_model_most_of_whose_replies_are_empty_ends_at_once():
    assert [*ending_notes(scores(*[GOOD] * 20), scores(*[EMPTY] * 15, *[GOOD] * 5))] == [
        f"15 of 20 replies are empty: the model ends at once; {CAUSE}"
    ]
    assert [*ending_notes(None, scores(*[EMPTY] * 20))]


def test_a_model_that_runs_to_its_limit_where_its_base_ended_does_not_end():
    base = scores(*[GOOD] * 16, *[ENDLESS] * 4)

    assert [*ending_notes(base, scores(*[ENDLESS] * 18, *[GOOD] * 2))] == [
        f"18 of 20 replies run to max_tokens, 20 % before: the model does not end; {CAUSE}"
    ]


@pytest.mark.parametrize(
    ("before", "after", "start"),
    [
        ([GOOD] * 20, [EMPTY] * 10 + [GOOD] * 10, "10 of 20 replies are empty"),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 12 + [GOOD] * 8, "12 of 20 replies are empty"),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 11 + [GOOD] * 9, ""),
        ([], [EMPTY] * 20, "20 of 20 replies are empty"),
        ([GOOD] * 20, [ENDLESS] * 10 + [GOOD] * 10, "10 of 20 replies run to max_tokens, 0 % "),
        ([GOOD] * 20, [ENDLESS] * 9 + [GOOD] * 11, ""),
        ([ENDLESS] * 6 + [GOOD] * 14, [ENDLESS] * 12 + [GOOD] * 8, "12 of 20 replies run to "),
        ([ENDLESS] * 6 + [GOOD] * 14, [ENDLESS] * 11 + [GOOD] * 9, ""),
        ([], [ENDLESS] * 20, ""),
    ],
)
def test_a_cause_is_named_from_half_of_the_replies_and_from_twice_as_many_on(before, after, start):
    found = [*ending_notes(scores(*before), scores(*after))]

    assert len(found) == bool(start)
    assert not start or found[0].startswith(start)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([EMPTY] * 20, [EMPTY] * 20),
        ([ENDLESS] * 20, [ENDLESS] * 20),
        ([GOOD] * 20, [EMPTY] * 9 + [GOOD] * 11),
        ([GOOD] * 19, [EMPTY] * 19),
        ([GOOD] * 20, [Reply(text="", stop="refusal")] * 20),
        ([GOOD] * 20, [Reply(text="", steps=(Step("", ()),))] * 20),
    ],
    ids=["empty before", "endless before", "few", "too little", "refused", "tools"],
)
def test_other_replies_have_other_causes(before, after):
    assert [*ending_notes(scores(*before), scores(*after))] == []


def test_a_limit_that_nothing_is_compared_with_is_no_cause():
    assert [*ending_notes(None, scores(*[ENDLESS] * 20))] == []
