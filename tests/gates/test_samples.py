"""Samples: the values of the cases that a gate evaluates, aligned, selected and compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case_result, variant_scores
from ftgate_testing.tables import every_row
from sklearn.metrics import recall_score

from pytest_ftgate.gates.samples import (
    CaseSample,
    align,
    same_replies,
    samples_from_cases,
    samples_from_scores,
    samples_from_values,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import Score, VariantScores, digest_replies


def plain(samples):
    """Return everything in *samples* as plain values, which compare as a whole."""

    def known(array):
        return None if array is None else array.tolist()

    values = [None if np.isnan(value) else value for value in samples.values.tolist()]
    return {
        "ids": samples.case_ids, "values": values, "repeats": samples.repeats.tolist(),
        "groups": known(samples.groups), "weights": known(samples.weights),
        "sources": tuple(samples.sources),
    }  # fmt: skip


def made(**cases):
    """Return samples of values by case id."""
    return samples_from_cases(
        {name: CaseSample(value, 1, f"r {name}") for name, value in cases.items()}
    )


def test_samples_of_cases_hold_what_is_known_of_each():
    found = samples_from_cases({
        "a": CaseSample(0.5, 4, "ra", "g", 2.0),
        "b": CaseSample(None, 0, "rb"),
        "c": CaseSample(1.0, 1, "rc", "g"),
    })  # fmt: skip

    assert plain(found) == {
        "ids": ("a", "b", "c"), "values": [0.5, None, 1.0], "repeats": [4.0, 1.0, 1.0],
        "groups": [found.groups[0], found.groups[1], found.groups[0]],
        "weights": [2.0, 1.0, 1.0], "sources": ("ra", "rb", "rc"),
    }  # fmt: skip
    assert found.groups[0] != found.groups[1]
    assert len(found) == 3
    assert found.has_reply.tolist() == [True, False, True]


def test_samples_hold_floats_and_no_equal_weights_or_groups():
    plain_ones = plain(made(a=1.0, b=0.0))

    assert (plain_ones["groups"], plain_ones["weights"]) == (None, None)

    found = samples_from_cases({"a": CaseSample(1, 2, "", weight=2)})

    arrays = found.values, found.repeats, found.weights
    assert [array.dtype for array in arrays] == [np.float64] * 3


def test_a_missing_value_is_out_of_the_weighted_mean_and_imputed_as_one_reply():
    weighted = samples_from_cases({
        "a": CaseSample(1.0, 1, "", weight=3.0),
        "b": CaseSample(None, 1, "", weight=9.0),
        "c": CaseSample(0.0, 1, ""),
    })  # fmt: skip

    assert weighted.mean == 0.75
    assert made(a=1.0, b=None, c=0.0).mean == 0.5
    assert made(a=None).mean == 0.0

    found = samples_from_cases({"a": CaseSample(0.5, 4, ""), "b": CaseSample(None, 3, "")})

    assert plain(found.impute_missing(0.25)) == {
        **plain(found), "values": [0.5, 0.25], "repeats": [4.0, 1.0],
    }  # fmt: skip


def test_cases_are_taken_by_their_positions_with_everything_known_of_them():
    found = samples_from_cases({
        "a": CaseSample(0.5, 4, "ra", "g", 2.0), "b": CaseSample(1.0, 2, "rb", "h"),
        "c": CaseSample(0.0, 1, "rc", "g"),
    })  # fmt: skip

    assert plain(found.at(np.array([2, 0]))) == {
        "ids": ("c", "a"), "values": [0.0, 0.5], "repeats": [1.0, 4.0],
        "groups": [found.groups[2], found.groups[0]], "weights": [1.0, 2.0],
        "sources": ("rc", "ra"),
    }  # fmt: skip
    assert plain(found.select(np.array([True, False, True])))["ids"] == ("a", "c")
    assert found.select(np.array([True, True, True])) is found


def test_cases_of_both_sides_are_aligned_and_not_copied_where_they_are_the_same():
    before, after = align(made(a=1.0, b=0.5, c=0.0), made(c=1.0, d=0.5, a=0.0))

    assert (before.case_ids, before.values.tolist()) == (("c", "a"), [0.0, 1.0])
    assert (after.case_ids, after.values.tolist()) == (("c", "a"), [1.0, 0.0])

    before, after = made(a=1.0, b=0.5), made(a=0.0, b=0.0)

    first, second = align(before, after)

    assert first is before
    assert second is after


def test_the_same_replies_have_the_same_values_and_digests():
    first = made(a=1.0, b=None)

    assert same_replies(first, made(a=1.0, b=None))
    assert not same_replies(first, made(a=0.0, b=None))
    assert not same_replies(first, replace(first, sources=("r a", "other")))

    scores = variant_scores("new", [1.0, 0.0])
    found = samples_from_scores(scores, "accuracy")
    digests = tuple(map(digest_replies, scores.results.values()))

    assert same_replies(found, replace(found, sources=digests))
    assert not same_replies(found, replace(found, sources=digests[::-1]))


def rated(name, *scores, text="refund", **case):
    """Return a result with these scores of its replies: pairs of content and format error."""
    once = case_result(name, 1.0, text)
    return replace(
        once,
        case=replace(once.case, **case),
        replies=tuple(Reply(text=text) for _ in scores),
        scores=tuple(Score(value, error) for value, error in scores),
    )


FENCED, WRONG = FormatError("fenced", lenient=True), FormatError("empty")


def scored(*results):
    return VariantScores("new", {result.case.id: result for result in results})


def test_accuracy_counts_scorable_cases_with_a_weight_and_their_right_or_wrong_replies():
    scores = scored(
        rated("a", (1.0, None), (0.0, None)),
        rated("b", (0.5, None), (1.0, None)),
        rated("c", (None, None), expected=None),
        rated("d", (1.0, None), weight=0.0),
        rated("e", weight=2.0),
    )

    found = samples_from_scores(scores, "accuracy")

    assert plain(found) == {
        "ids": ("a", "b", "e"), "values": [0.5, 0.75, None], "repeats": [2.0, 1.0, 1.0],
        "groups": None, "weights": [1.0, 1.0, 2.0],
        "sources": tuple(scores.results[name] for name in "abe"),
    }  # fmt: skip


@every_row(("kind", "value"), [("format", 0.0), ("lenient", 0.5)])
def test_the_format_counts_cases_with_a_format_and_all_their_replies(kind, value):
    scores = scored(
        rated("a", (0.5, FENCED), (1.0, WRONG)),
        rated("b", (1.0, None), format=()),
        rated("c", (1.0, None), weight=0.0),
        rated("d", (1.0, None), expected=None),
    )

    found = samples_from_scores(scores, kind)

    assert (found.case_ids, found.values.tolist()) == (("a", "d"), [value, 1.0])
    assert found.repeats.tolist() == [2.0, 1.0]


def test_the_samples_of_a_variant_are_made_once_for_each_kind():
    scores = variant_scores("new", [1.0, 0.0])

    first = samples_from_scores(scores, "accuracy")

    assert samples_from_scores(scores, "accuracy") is first
    assert samples_from_scores(scores, "format") is not first


def test_samples_of_other_values_have_all_cases_with_their_groups():
    scores = scored(
        rated("a", (1.0, None), group="g"), rated("b", (1.0, None), group="g", expected=None)
    )

    found = samples_from_values(scores, np.array([0.25, np.nan]))

    assert plain(found) == {
        "ids": ("a", "b"), "values": [0.25, None], "repeats": [1.0, 1.0],
        "groups": [found.groups[0]] * 2, "weights": None, "sources": scores.case_results,
    }  # fmt: skip


@every_row("seed", range(3))
def test_balanced_samples_have_the_mean_recall_of_scikit_learn(seed):
    rng, labels = np.random.default_rng(seed), ("refund", "late_delivery", "login")
    expected, said = rng.choice(labels, 60, p=(0.6, 0.3, 0.1)), rng.choice(labels, 60)
    rows = {}
    for i, (label, text) in enumerate(zip(expected.tolist(), said.tolist(), strict=True)):
        row = case_result(f"c{i:03}", float(text == label), text)
        rows[f"c{i:03}"] = replace(row, case=replace(row.case, expected=label))

    found = samples_from_scores(VariantScores("new", rows), "balanced").mean

    assert found == pytest.approx(recall_score(expected, said, average="macro"))
