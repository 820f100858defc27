"""What is read from the answers of a judge, which are as hostile as any text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import judged_suite

from pytest_ftgate.errors import OutOfBudget
from pytest_ftgate.requests.judges import Bench, Matter
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.judges import ruling

MODEL = "model: {provider: anthropic, model: claude-judge}"


def bench(folder, more=""):
    suite = judged_suite(folder, f"{{rubric: It is polite., {MODEL}{more}}}")
    return Bench(suite, suite.judges[0], {})


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    more = {
        "plain": "",
        "graded": ", grades: {good: 1, fair: 0.5, bad: 0}",
        "samples": ", samples: 3",
        "orders": ", compare: baseline",
        "both": ", compare: baseline, samples: 2",
    }
    return {name: bench(tmp_path_factory.mktemp(name), told) for name, told in more.items()}


def said(one, *answers):
    """Return the ruling that *answers* make, in the order in which they are asked."""
    puts = one.puts(Matter(one._suite.cases[0], "mine", "theirs" if one.judge.compares else None))
    assert len(puts) == len(answers)
    told = {
        put.ask.call.fingerprint: answer if not isinstance(answer, str) else Reply(text=answer)
        for put, answer in zip(puts, answers, strict=True)
    }
    return ruling(one.judge, puts, told)


def graded(grade, reason="so"):
    return f'{{"reason": "{reason}", "grade": "{grade}"}}'


FENCE = "```"
READ = [
    graded("good"),
    f"\n {graded('good')}\n",
    f"{FENCE}json\n{graded('good')}\n{FENCE}",
    f"Let me think. {graded('good')} Done.",
    '{"reason": "so", "grade": "good",}',
    '{"grade": "good", "reason": "so"}',
    '{"reason": "so", "grade": "good", "confidence": 0.9}',
]


@pytest.mark.parametrize("answer", READ)
def test_a_grade_is_found_where_a_lenient_reader_finds_one(benches, answer):
    found = said(benches["plain"], answer)

    assert (found.worth, found.mark.value, found.mark.why) == (1.0, 1.0, "")


UNREAD = [
    ("", "no JSON object with reason and grade"),
    ("good", "no JSON object with reason and grade: 'good'"),
    ('"good"', "no JSON object"),
    ("[1]", "no JSON object"),
    ('{"grade": "good"}', "no JSON object with reason and grade"),
    (graded("Good"), 'the grade is "Good", none of good, bad'),
    (graded("excellent"), 'the grade is "excellent", none of good, bad'),
    ('{"reason": "so", "grade": 1}', "the grade is 1, none of"),
    ('{"reason": "so", "grade": ["good"]}', "none of good, bad"),
    ('{"reason": "so", "grade": null}', "the grade is null"),
    ('{"reason": "so', "no JSON object"),
    ("[" * 100_000, "no JSON object"),
    (Reply(text=graded("good"), stop="refusal"), "it refused"),
    (Reply(text='{"reason": "so and', stop="length"), "cut off at its token limit"),
    (OutOfBudget("the money is used up"), "the money is used up"),
]


@pytest.mark.parametrize(("answer", "why"), UNREAD)
def test_what_gives_no_grade_is_no_wrong_answer_and_is_told(benches, answer, why):
    mark = said(benches["plain"], answer).mark

    assert mark.value is None
    assert mark.why.startswith("claude-judge gave no grade: ")
    assert why in mark.why


def test_a_worse_grade_is_told_with_its_reason(benches):
    mark = said(benches["graded"], graded("fair", "a bit curt")).mark

    assert (mark.value, mark.why) == (0.5, "claude-judge says fair: a bit curt")


def test_a_long_reason_is_cut_and_its_lines_are_one(benches):
    mark = said(
        benches["plain"], f'{{"reason": "a\\n::error::b {"x" * 2000}", "grade": "bad"}}'
    ).mark

    assert "\n" not in mark.why
    assert len(mark.why) < 600


def test_samples_are_averaged_and_their_agreement_is_known(benches):
    found = said(benches["samples"], graded("good"), graded("bad", "curt"), graded("bad"))

    assert found.worth == pytest.approx(1 / 3)
    assert found.agreement == pytest.approx(1 / 3)
    assert found.mark.why == "claude-judge says good, bad: curt"


def test_a_sample_without_a_grade_leaves_the_others(benches):
    found = said(benches["samples"], graded("good"), "hm", graded("good"))

    assert (found.worth, found.agreement, len(found.unread)) == (1.0, 1.0, 1)


@pytest.mark.parametrize(
    ("one", "two", "worth", "consistent"),
    [
        ("first", "second", 1.0, True),
        ("second", "first", 0.0, True),
        ("tie", "tie", 0.5, True),
        ("first", "first", 0.5, False),
        ("second", "second", 0.5, False),
        ("first", "tie", 0.75, False),
    ],
)
def test_of_two_orders_a_place_that_is_preferred_cancels(benches, one, two, worth, consistent):
    found = said(benches["orders"], graded(one), graded(two))

    assert (found.worth, found.consistent) == (worth, consistent)


def test_each_order_counts_the_same_though_a_sample_of_one_was_not_read(benches):
    found = said(benches["both"], graded("first"), graded("first"), graded("first"), "hm")

    assert found.worth == 0.5


def test_a_preference_is_told_by_whose_reply_it_is(benches):
    found = said(benches["orders"], graded("second", "ruder"), graded("first"))

    assert found.mark.why == "claude-judge says the baseline's: ruder"


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_no_answer_breaks_the_reading(benches, text):
    assert said(benches["plain"], text).mark.value in (None, 0.0, 1.0)
