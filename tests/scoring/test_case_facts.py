"""What gates read of cases: computed once for all variants that answer the same cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring import case_facts as module
from pytest_ftgate.scoring.case_facts import case_facts, number_groups, reply_stats
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def cases(count=3, **properties):
    return tuple(
        Case(id=f"c{n}", location="c", expected="a", score=Rule("exact"), **properties)
        for n in range(count)
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
    assert not facts_of(()).has_several_rules
    assert facts_of(()).group_numbers is None


def test_the_numbers_of_groups_follow_the_order_of_their_names():
    assert number_groups(("1", "2", "3", "4"), ("b", "a", "", "b")).tolist() == [2, 1, 0, 2]
    # A case of its own is told from a group that has its id as a name.
    assert number_groups(("1", "2"), (None, "1")).tolist() == [0, 1]
    assert number_groups(("1", "2"), (None, None)) is None
    with pytest.raises(ValueError, match="shorter"):
        number_groups(("1", "2"), ("a",))


# Statistics of replies -------------------------------------------------------------------------


def test_statistics_are_the_same_whether_texts_are_read_together_or_in_parts(monkeypatch):
    texts = ("billing", "refund", "", "I cannot help with that.", "It is billing, surely")
    stops = ("end", "length", "refusal")
    replies = [Reply(text=texts[n % 5], stop=stops[n % 3]) for n in range(100)]
    together = reply_stats(replies)

    monkeypatch.setattr(module, "_READ_AT_ONCE", 7)

    assert reply_stats(replies) == together
    assert together.reply_count == 100


def test_the_statistics_of_replies_are_those_of_their_stripped_texts():
    found = reply_stats(
        [
            Reply(text=" two words\n"),
            Reply(text="two words", stop="length"),
            Reply(text="I cannot help with that."),
            Reply(text="I cannot help with that.", stop="refusal"),
            Reply(text="no", stop="refusal"),
            Reply(text="", stop="refusal"),
            Reply(text="\t"),
        ]
    )

    assert found == module.ReplyStats(
        word_counts=Counter({2: 2, 5: 2, 1: 1}),
        character_counts=Counter({9: 2, 24: 2, 2: 1}),
        written_count=5,
        most_common_count=2,
        refusal_count=4,
        reply_count=7,
    )
    assert [*map(type, (found.written_count, found.most_common_count))] == [int, int]


def test_a_text_is_most_common_if_it_occurs_more_than_once():
    replies = [[Reply(text=text) for text in texts] for texts in ("", "abc", "a" * 300 + "b" * 301)]

    assert [reply_stats(some).most_common_count for some in replies] == [0, 0, 301]
