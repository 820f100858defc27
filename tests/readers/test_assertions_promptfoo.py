"""Assertions of promptfoo mean here what they mean there."""

from __future__ import annotations

from shutil import which

import pytest
from ftgate_testing.promptfoo import (
    INVERTED,
    UNEQUAL,
    Pair,
    carried,
    differs,
    means,
    pairs,
    passes,
    read_vectors,
)
from hypothesis import given

pytestmark = pytest.mark.skipif(which("node") is None, reason="there is no node on the PATH")
SAID = [*read_vectors()]
#: The fewest vectors of each type, and of each type that pass and that fail.
FEWEST, FEWEST_OF_BOTH = 15, 2


def test_the_vectors_have_every_assertion_on_outputs_that_pass_and_that_fail():
    kinds = {*INVERTED, *(f"not-{kind}" for kind in INVERTED)}
    for kind in kinds:
        said = [said for pair, said in SAID if pair.kind == kind]
        assert len(said) >= FEWEST, kind
        assert FEWEST_OF_BOTH <= sum(said) <= len(said) - FEWEST_OF_BOTH, kind


def test_our_reading_says_what_promptfoo_says():
    assert [(pair, said) for pair, said in SAID if means(pair) is not said] == []


@pytest.mark.slow
def test_an_imported_assertion_says_what_promptfoo_says():
    assert [*filter(None, (differs(pair, said) for pair, said in SAID))] == []


@given(pairs())
def test_an_imported_assertion_says_what_our_reading_says(pair):
    assert differs(pair, means(pair)) == ""


#: Pairs of which the two say something else.
DIFFERENCES = [
    Pair({"type": "not-contains", "value": "a"}, " "),
    Pair({"type": "javascript", "value": "return output === 'refund';"}, "refund"),
]


def test_what_cannot_be_equal_differs_still():
    named = [name for pair in DIFFERENCES for name, matches in UNEQUAL.items() if matches(pair)]

    assert named == [*UNEQUAL]
    for pair in DIFFERENCES:
        assert passes(carried(pair.assertion), pair.output) != means(pair)
