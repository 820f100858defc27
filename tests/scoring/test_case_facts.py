"""What gates read of cases: computed once for all variants that answer the same cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_ftgate.scoring.case_facts import case_facts, number_groups
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def cases(count=3, **properties):
    return tuple(
        Case(
            id=f"c{number}",
            location=f"c.jsonl:{number}",
            input="q",
            expected="a",
            score=Rule("exact"),
            **properties,
        )
        for number in range(count)
    )


def facts_of(some):
    return case_facts(tuple(case.id for case in some), some)


def test_variants_with_equal_cases_share_their_facts():
    first = facts_of(cases())

    assert facts_of(cases()) is first


def test_cases_of_the_same_ids_with_another_format_have_facts_of_their_own():
    plain, rule = cases(), Rule("choice", ["a", "b"])
    first = facts_of(plain)
    other = facts_of((*plain[:2], replace(plain[2], format=(rule, rule))))

    assert first.has_format.tolist() == [False, False, False]
    assert other.has_format.tolist() == [False, False, True]
    assert not first.has_several_rules
    assert other.has_several_rules


def test_a_case_without_a_group_is_a_group_of_its_own():
    numbers = number_groups(("1", "2", "3", "4"), ("g", None, "g", None))

    assert numbers[0] == numbers[2]
    assert len({*numbers.tolist()}) == 3


def test_without_any_group_no_cases_are_related():
    assert number_groups(("1", "2"), (None, None)) is None


def test_the_properties_of_cases_are_in_their_order():
    plain, other, third = cases()
    other = replace(other, expected=None, weight=2.5, group="b")
    third = replace(third, group="a", format=(Rule("regex", "."),), score=Rule("judge", "Good?"))
    facts = facts_of((plain, other, replace(third, expected=None)))

    assert facts.ids == ("c0", "c1", "c2")
    assert facts.scorable.tolist() == [True, False, True]
    assert facts.has_format.tolist() == [False, False, True]
    assert facts.weights.tolist() == [1.0, 2.5, 1.0]
    assert [one.dtype for one in (facts.scorable, facts.has_format, facts.weights)] == [
        np.bool_, np.bool_, np.float64,
    ]  # fmt: skip
    assert facts.group_numbers.tolist() == [0, 2, 1]
    assert not facts.has_several_rules


def test_without_cases_there_are_no_properties():
    facts = facts_of(())

    assert (facts.ids, facts.group_numbers) == ((), None)
    assert not facts.has_several_rules
    for values, kind in (
        (facts.scorable, np.bool_), (facts.has_format, np.bool_), (facts.weights, np.float64),
    ):  # fmt: skip
        assert (values.shape, values.dtype) == ((0,), kind)


def test_the_numbers_of_groups_follow_the_order_of_their_names():
    assert number_groups(("1", "2", "3", "4"), ("b", "a", "", "b")).tolist() == [2, 1, 0, 2]
    # A case of its own is told from a group that has its id as a name.
    assert number_groups(("1", "2"), (None, "1")).tolist() == [0, 1]
    with pytest.raises(ValueError, match="shorter"):
        number_groups(("1", "2"), ("a",))
