"""Texts that say the same, or nearly."""

from __future__ import annotations

import time

from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.suite.few_shot import find_leaks, near_pairs, normalised_words
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import parse_training_row

TEXTS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join)


def case(number, text):
    return Case(
        id=str(number), location=f"c:{number}", input=text, expected="x", score=Rule("exact")
    )


@every_row(
    ("one", "other", "same"),
    [
        ("Where is it?", "is it WHERE", True),
        ("no no", "no", False),
        ("👍", "👎", False),
        (" 👍", "👍", True),
    ],
)
def test_case_punctuation_and_order_make_no_other_text(one, other, same):
    assert (normalised_words(one) == normalised_words(other)) is same


@given(texts=st.lists(TEXTS, max_size=20), asked=TEXTS)
def test_no_text_that_shares_four_in_five_words_is_missed_and_no_other_is_found(texts, asked):
    mine = set(asked.split())
    shares = [len(mine & {*text.split()}) / len(mine | {*text.split()}) for text in texts]

    assert sorted(index for _, index in near_pairs([asked], texts)) == [
        n for n, share in enumerate(shares) if share >= 0.8
    ]


@given(texts=st.lists(TEXTS, min_size=1, max_size=20), shown=TEXTS)
def test_an_example_is_held_against_exactly_the_cases_that_share_four_in_five_words(texts, shown):
    mine = set(shown.split())
    cases = [case(number, text) for number, text in enumerate(texts)]
    near = [
        number
        for number, words in enumerate(set(text.split()) for text in texts)
        if len(mine & words) / len(mine | words) >= 0.8
    ]
    example = parse_training_row(1, {"text": shown, "label": "x"})

    found = list(find_leaks([example], cases, near=True))

    assert bool(found) is bool(near)
    assert all(int(leaked.id) in near for _, leaked, _ in found)


def test_two_hundred_examples_are_held_against_ten_thousand_cases_in_a_moment():
    said = [" ".join(f"w{(n * 37 + i * i) % 997}" for i in range(15)) for n in range(10_000)]
    cases = [case(n, text) for n, text in enumerate(said)]
    shots = [
        parse_training_row(n, {"text": f"{said[n * 50]} please", "label": "x"}) for n in range(200)
    ]
    begun = time.process_time()

    found = list(find_leaks(shots, cases, near=True))

    assert [how for _, _, how in found] == ["is nearly"] * 200
    # A tenth of it is usual.
    assert time.process_time() - begun < 2


def test_every_similar_pair_is_found():
    texts = ["a b c d e", "e d c b a", "a b c d x", "a b c d e f", "q"]

    assert sorted(near_pairs(texts, share=0.8)) == [(1, 0), (3, 0), (3, 1)]
    assert sorted(near_pairs(["a b c d x y"], texts, share=0.6)) == [(0, 2)]
