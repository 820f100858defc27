"""What gates read of cases: computed once for all variants that answer the same cases."""

from __future__ import annotations

from dataclasses import replace

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
