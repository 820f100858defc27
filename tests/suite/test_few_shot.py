"""Few-shot examples: which are chosen and shown, and which would give a case away."""

from __future__ import annotations

import json

from ftgate_testing.suite_files import errors_of, load_variants
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.readers.text import normalised_words
from pytest_ftgate.suite.few_shot import find_leaks, most_similar, near_pairs
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import parse_training_row

TEXTS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join)


def variant(folder, *rows, shots="shots: 2", user="", **suite):
    """Load a variant whose examples are *rows*."""
    text = "\n".join(map(json.dumps, rows))
    examples = f"examples: {{from: t.jsonl, {shots}}}"
    keys = f"provider: anthropic, model: m, {examples}{user and f', user: {json.dumps(user)}'}"
    loaded = load_variants(folder, f"one: {{{keys}}}", files={"t.jsonl": text}, **suite)
    return loaded.variants["one"]


def asked(shots):
    return [text for role, text in shots if role == "user"]


# What is shown -------------------------------------------------------------------------------


def said(role, text):
    return {"role": role, "content": text}


ROWS = [{"input": f"q{n}", "expected": f"a{n}"} for n in range(10)]
TURNS = [said("user", "q"), said("assistant", "which?"), said("user", "r"), said("assistant", "a")]
KIND = [said("system", "Be kind."), said("user", "q"), said("assistant", "a")]
JUDGED = [{"prompt": f"q{n}", "completion": "a", "label": n > 2} for n in range(9)]


@every_row(
    ("rows", "shots"),
    [
        (ROWS, ["Ticket q0", "a0", "Ticket q1", "a1"]),
        ([{"messages": [said("user", "hi")], "expected": ["hello", "hey"]}],
         ["Ticket hi", "hello"]),
        # Its own prompt is not shown, and one of more turns is shown as it is.
        ([{"messages": KIND}], ["Ticket q", "a"]),
        ([{"messages": TURNS}], ["q", "which?", "r", "a"]),
        # A rejected answer is never shown.
        (JUDGED, ["Ticket q3", "a", "Ticket q4", "a"]),
    ],
)  # fmt: skip
def test_examples_are_turns_before_the_case_asked_as_the_case_is(tmp_path, rows, shots):
    found = variant(tmp_path, *rows, user="Ticket {{ input }}").shots

    assert [text for _, text in found] == shots
    assert [role for role, _ in found] == ["user", "assistant"] * (len(shots) // 2)


def test_random_examples_are_the_same_for_the_same_seed_and_others_for_another(tmp_path):
    first, same, other = (
        variant(tmp_path, *ROWS, shots=f"choose: random, seed: {seed}").shots for seed in (1, 1, 2)
    )

    assert first == same != other


LABELLED = [
    {"input": text, "expected": label}
    for text, label in [("late parcel", "a"), ("no parcel", "a"), ("refund me", "b"), ("pay", "b")]
]


def test_examples_are_chosen_for_each_label_in_the_order_of_the_file(tmp_path):
    found = variant(tmp_path, *LABELLED, shots="choose: per_label, shots: 1")

    assert asked(found.shots) == ["late parcel", "refund me"]


def test_similar_examples_are_a_pool_from_which_each_case_gets_its_own(tmp_path):
    one = variant(tmp_path, *LABELLED, shots="choose: similar, shots: 2")

    found = most_similar(one.shot_pool, "where is my parcel", one.similar_shots)
    nearly = most_similar(one.shot_pool, "Late parcel!", 4)

    assert one.shots == ()
    assert sorted(shot.input_text for shot in found) == ["late parcel", "no parcel"]
    # One that is nearly the case is not shown with it.
    assert "late parcel" not in [shot.input_text for shot in nearly]


# What is refused -----------------------------------------------------------------------------

LONG = "Please tell me where the parcel is that I ordered on Monday"
OF_LONG = {"cases": f"[{{input: {LONG}, expected: b}}]"}
NEARLY = LONG.replace("Please", "Now")
LABELS = {"more": "reply: {format: {choice: [a, b]}}\n"}
CALLS = {"more": "reply: {score: tool_call}\n"}
SHOWN = {"input": "q", "expected": "a"}
ONE = "example t.jsonl:1"
CASE = "eval case s.ftgate.yaml:1; remove one"
#: A row of examples, other parts of the suite, and what is told.
REFUSED = [
    ({"input": "Where is it", "expected": "b"}, {}, f"{ONE} is the {CASE}"),
    ({"input": "where  IS\n it", "expected": "b"}, {}, f"{ONE} is the {CASE}"),
    ({"input": NEARLY, "expected": "b"}, OF_LONG, f"{ONE} is nearly the {CASE}"),
    ({"input": "q"}, {}, f'{ONE} has no "expected", so nothing to show'),
    (SHOWN, {"user": "{{ tone }}"}, f"{ONE} cannot be shown: 'tone' is undefined"),
    (JUDGED[0], {}, "examples: t.jsonl has no row to learn from"),
    (SHOWN, CALLS, "examples cannot show a tool call, which cases expect; remove them"),
]


@every_row(("row", "more", "told"), REFUSED)
def test_an_example_that_gives_a_case_away_or_cannot_be_shown_is_refused(tmp_path, row, more, told):
    assert errors_of(variant, tmp_path, row, **more) == [f'4: variant "one": {told}']


def test_an_example_with_a_label_that_the_suite_does_not_have_is_refused_at_its_line(tmp_path):
    assert errors_of(variant, tmp_path, {"text": "q", "label": "c"}, **LABELS) == [
        't.jsonl:1: expected "c" is not one of the labels of format: choice; labels: a, b'
    ]


@every_row(("shots", "answer"), [("shots: 2", "c"), ("shots: 2, choose: similar", "b")])
def test_nearly_the_words_of_a_case_give_nothing_away_with_another_answer_or_unshown(
    tmp_path, shots, answer
):
    assert variant(tmp_path, {"input": NEARLY, "expected": answer}, shots=shots, **OF_LONG)


# Texts that say the same, or nearly ----------------------------------------------------------


def case(number, text):
    return Case(
        id=str(number), location=f"c:{number}", input=text, expected="x", score=Rule("exact")
    )


def share(text, other):
    words, others = set(text.split()), set(other.split())
    return len(words & others) / len(words | others)


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


@given(texts=st.lists(TEXTS, max_size=20), text=TEXTS)
def test_no_text_that_shares_four_in_five_words_is_missed_and_no_other_is_found(texts, text):
    near = [n for n, other in enumerate(texts) if share(text, other) >= 0.8]
    example = parse_training_row(1, {"text": text, "label": "x"})
    leaks = [*find_leaks([example], [case(n, other) for n, other in enumerate(texts)], near=True)]

    assert sorted(index for _, index in near_pairs([text], texts)) == near
    assert bool(leaks) is bool(near)
    assert all(int(leaked.id) in near for _, leaked, _ in leaks)


def test_every_similar_pair_is_found():
    texts = ["a b c d e", "e d c b a", "a b c d x", "a b c d e f", "q"]

    assert sorted(near_pairs(texts)) == [(1, 0), (3, 0), (3, 1)]
