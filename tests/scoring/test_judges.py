"""Grades in the replies of a judge, which are as hostile as any text."""

from __future__ import annotations

import pytest
from ftgate_testing.judge_suites import suite_with_judge
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import OutOfBudget
from pytest_ftgate.requests.judges import JudgeInput, JudgePrompter
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.judges import read_grades

MODEL = "model: {provider: anthropic, model: claude-judge}"


def judge_prompter(folder, more=""):
    suite = suite_with_judge(folder, f"{{rubric: It is polite., {MODEL}{more}}}")
    return JudgePrompter(suite, suite.judges[0], {})


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    more = {
        "plain": "",
        "graded": ", grades: {good: 1, fair: 0.5, bad: 0}",
        "samples": ", samples: 3",
        "orders": ", compare: baseline",
        "both": ", compare: baseline, samples: 2",
    }
    return {
        name: judge_prompter(tmp_path_factory.mktemp(name), told) for name, told in more.items()
    }


def grades_of(prompter, *answers):
    """Return the ruling that *answers* make, in the order in which they are asked."""
    theirs = "theirs" if prompter.judge.is_pairwise else None
    puts = prompter.requests(JudgeInput(prompter._builder.suite.cases[0], "mine", theirs))
    replies = [Reply(text=one) if isinstance(one, str) else one for one in answers]
    prints = [put.case_request.request.fingerprint for put in puts]
    return read_grades(prompter.judge, puts, dict(zip(prints, replies, strict=True)))


def graded(grade, reason="so"):
    return f'{{"reason": "{reason}", "grade": "{grade}"}}'


FENCE = "```"
READ = [
    graded("good"),
    f"<think>{graded('bad')}?</think>\n{graded('good')}",
    f"{FENCE}json\n{graded('good')}\n{FENCE}",
    f"Let me think. {graded('good')} Done.",
    '{"grade": "good", "reason": "so"}',
    '{"reason": "so", "grade": "good", "confidence": 0.9}',
]


@every_row("answer", READ)
def test_a_grade_is_found_where_a_lenient_reader_finds_one(benches, answer):
    found = grades_of(benches["plain"], answer)

    assert (found.value, found.score.value, found.score.reason) == (1.0, 1.0, "")


WHOLE = "no JSON object with reason and grade"
NO_GRADES = ("", '"good"', "[1]", '{"grade": "good"}', '{"reason": "so"}', "x" * 90, "[" * 100_000)


@every_row(
    ("answer", "told"),
    [
        ("it's so: 'good'", (WHOLE, repr("it's so: 'good'"))),
        (Reply(text="so", stop="length"), (f"{WHOLE} (cut off at its token limit)", "'so'")),
        (Reply(text="so", stop="refusal"), ("it refused", "")),
        (OutOfBudget("x" * 600), ("x" * 500, "")),
        (Reply(text=graded("good"), stop="refusal"), ("it refused", "")),
        *((said, (WHOLE, repr(said[:80]))) for said in NO_GRADES),
        ('{"reason": "so", "grade": 1}', ("the grade is 1, none of good, bad", "")),
        ('{"reason": "so", "grade": null}', ("the grade is null, none of good, bad", "")),
        (graded("x" * 90), (f'the grade is "{"x" * 79}, none of good, bad', "")),
        (graded("Good"), ('the grade is "Good", none of good, bad', "")),
        ('{"reason": "so", "grade": ["good"]}', ('the grade is ["good"], none of good, bad', "")),
    ],
)  # fmt: skip
def test_an_unreadable_reply_says_why(benches, answer, told):
    found = grades_of(benches["plain"], answer)

    assert found.unreadable == (told,)
    assert (found.grades, found.swapped, found.reason, found.value) == ((), (), "", None)
    reason = ": ".join(filter(None, told))[:500]
    assert found.score == (None, f"claude-judge gave no grade: {reason}")


def test_the_grades_of_a_pairwise_judge_are_other_words(benches):
    found = grades_of(benches["orders"], graded("good"), graded("first"))

    assert found.unreadable == (('the grade is "good", none of first, tie, second', ""),)
    assert (found.grades, found.swapped) == (("second",), (True,))
    assert (found.value, found.consistent, found.self_agreement) == (0.0, None, None)


def test_a_lower_grade_comes_with_its_reason(benches):
    mark = grades_of(benches["graded"], graded("fair", "a bit curt")).score

    assert (mark.value, mark.reason) == (0.5, "claude-judge says fair: a bit curt")


def test_a_long_reason_is_cut_and_its_lines_are_one(benches):
    said = f'{{"reason": "a\\n::error::b {"x" * 2000}", "grade": "bad"}}'
    mark = grades_of(benches["plain"], said).score

    reason = f"a ::error::b {'x' * 2000}"[:500]
    assert mark.reason == f"claude-judge says bad: {reason}"


def test_a_sample_without_a_grade_leaves_the_others(benches):
    found = grades_of(benches["samples"], graded("good"), "hm", graded("good"))

    assert (found.value, found.self_agreement, len(found.unreadable)) == (1.0, 1.0, 1)


@every_row(
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
def test_a_position_bias_cancels_between_the_two_orders(benches, one, two, worth, consistent):
    found = grades_of(benches["orders"], graded(one), graded(two))

    assert (found.value, found.consistent) == (worth, consistent)


def test_both_orders_have_equal_weight_though_a_sample_of_one_is_unreadable(benches):
    found = grades_of(benches["both"], graded("first"), graded("first"), graded("first"), "hm")

    assert found.value == 0.5


def test_a_pairwise_reason_names_the_preferred_reply(benches):
    found = grades_of(benches["orders"], graded("second", "ruder"), graded("first"))

    assert found.score.reason == "claude-judge says the baseline's: ruder"


@examples(2)
@given(text=st.text(max_size=200))
def test_no_reply_of_a_judge_makes_the_parser_fail(benches, text):
    assert grades_of(benches["plain"], text).score.value in (None, 0.0, 1.0)


def test_the_reason_is_that_of_the_grade_nearest_to_the_mean(benches):
    found = grades_of(
        benches["samples"], graded("good", "one"), graded("bad", "two"), graded("bad", "three")
    )

    assert (found.value, found.self_agreement) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (found.grades, found.swapped) == (("good", "bad", "bad"), (False, False, False))
    assert (found.reason, found.score.reason) == ("two", "claude-judge says good, bad: two")


def test_a_mean_between_two_grades_has_the_reason_of_a_grade_that_was_given(benches):
    found = grades_of(benches["orders"], graded("first", "one"), graded("first", "two"))

    # The mean is a tie, which neither reply says.
    assert (found.value, found.reason) == (0.5, "one")
    assert found.score == (0.5, "claude-judge says this one, the baseline's: one")


def test_the_samples_of_both_orders_are_compared_within_each_order(benches):
    same = grades_of(benches["both"], *map(graded, ("first", "first", "first", "first")))
    half = grades_of(benches["both"], *map(graded, ("first", "tie", "second", "second")))
    one = grades_of(benches["both"], graded("first"), graded("tie"), graded("second"), "hm")

    assert (same.self_agreement, same.consistent) == (1.0, False)
    assert (half.self_agreement, half.value) == (0.5, 0.875)
    assert (one.self_agreement, one.consistent) == (0.0, True)
    assert grades_of(benches["orders"], graded("tie"), graded("tie")).self_agreement is None
    assert same.score.reason == "claude-judge says this one, the baseline's: so"
    assert grades_of(benches["orders"], graded("tie"), graded("tie")).score == (
        0.5,
        "claude-judge says neither: so",
    )
