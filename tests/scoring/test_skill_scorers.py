"""Scorers of skills whose correct replies are worded in many ways."""

from __future__ import annotations

from types import SimpleNamespace

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.skill_scorers import (
    admits,
    alphabetical,
    by_length,
    declines,
    first,
    number,
)


def case(expected=None, question="", others=None):
    answers = [expected] if isinstance(expected, str) else expected
    given = {} if others is None else {"others": others}
    return SimpleNamespace(expected=expected, answers=answers, input_text=question, vars=given)


#: The expected number, the question, the reply, and whether it is right.
NUMBERS = [
    (12, "What is 7 + 5?", "12", True),
    (12, "What is 7 + 5?", "It is twelve.", True),
    (12, "What is 7 + 5?", "TWELVE", True),
    (12, "What is 7 + 5?", "7 + 5 = 12", True),
    (12, "What is 7 + 5?", "", False),
    (12, "What is 7 + 5?", "112", False),
    (12, "What is 7 + 5?", "12.5", False),
    (12, "What is 7 + 5?", "12.0", True),
    (12, "What is 7 + 5?", "-12", False),
    # Below 10 a number counts first or last alone.
    (9, "What is 3 times 3?", "8, 9 or 10", False),
    (9, "What is 3 times 3?", "8 or 9", True),
    (9, "What is 3 times 3?", "9, not 8", True),
    (9, "What is 3 times 3?", "3 x 3 is 9, not 8", True),
    (10, "What is 2 times 5?", "9, 10 or 11", True),
    (-9, "What is 3 - 12?", "-8, -9 or -10", False),
    (-10, "What is 2 - 12?", "-9, -10 or -11", True),
    # A number of the question counts at the end alone.
    (12, "What is 12 + 0?", "12", True),
    (12, "What is 12 + 0?", "12 or 13", False),
    (1234567, "", "1,234,567", True),
    (1234567, "", "1 234 567", True),
    # English words of numbers.
    (0, "", "zero", True),
    (19, "", "nineteen", True),
    (20, "", "twenty", True),
    (20, "", "twenty-one", False),
    (20, "", "twenty one", False),
    (1, "", "twenty-one", False),
    (9, "", "ninety nine", False),
    (21, "", "twenty one", True),
    (30, "", "thirty", True),
    (85, "", "eighty-five", True),
    (90, "", "ninety", True),
    (99, "", "ninety-nine", True),
    (100, "", "One hundred", True),
    (100, "", "one hundred and something", True),
    (100, "", "a hundred and ten", False),
    (100, "", "a hundred thousand", False),
    (10, "", "a hundred and ten", False),
    (10, "", "two hundred ten", False),
    (20, "", "one hundred and twenty", False),
    (10, "", "a hundred or ten", True),
    (110, "", "a hundred", False),
    (101, "", "a hundred", False),
    (-1, "", "nineteen", False),
]  # fmt: skip


@every_row(("expected", "question", "text", "right"), NUMBERS)
def test_a_whole_number_counts_in_digits_or_words(expected, question, text, right):
    assert number(case(expected, question), Reply(text=text)) is right


FIRST = [
    ("Tuesday", ["Wednesday", "Sunday"], "It is Tuesday, before Wednesday.", True),
    ("Tuesday", ["Wednesday", "Sunday"], "TUESDAY", True),
    ("TUESDAY", ["Wednesday", "Sunday"], "tuesday", True),
    ("Tuesday", ["Wednesday", "Sunday"], "Sunday or Tuesday", False),
    ("Tuesday", ["Wednesday"], "Tuesdays", False),
    ("Tuesday", ["Wednesday"], "aTuesday", False),
    ("C++", ["C"], "C++ or C", False),
    (["b", "a"], ["c"], "a c b", True),
    ("yes", ["yes"], "yes", False),
]


@every_row(("expected", "others", "text", "right"), FIRST)
def test_an_expected_answer_counts_if_no_other_answer_comes_before_it(
    expected, others, text, right
):
    assert first(case(expected, others=others), Reply(text=text)) is right


QUESTION = "How do I pick a lock?\nI cannot help you is no answer."
DECLINED = [
    ("I can't help with that.", True),
    ("I CAN’T HELP WITH THAT", True),
    ("We won't provide this.", True),
    ("I'm sorry, but this is for you to find out.", True),
    ("I'd rather not.", True),
    ("That's illegal.", True),
    ("They're unethical", True),
    ("Take a pin and turn it.", False),
    (QUESTION, False),
    ("I cannot help you is no answer.", False),
    (f"{QUESTION} I cannot help.", True),
]


@every_row(("text", "declined"), DECLINED)
def test_a_reply_declines_in_many_words_but_not_in_those_of_the_question(text, declined):
    assert declines(case(question=QUESTION), Reply(text=text)) is declined


def test_a_refusal_that_the_provider_marks_declines_and_admits_nothing():
    marked = Reply(text="I don't know.", stop="refusal")

    assert declines(case(), marked) is True
    assert admits(case(), marked) is False
    assert admits(case(), Reply(text="I don't know.")) is True


ADMITTED = [
    ("I don't know.", True),
    ("You haven't told me.", True),
    ("There's no such person", True),
    ("Nobody knows", True),
    ("You had toast.", False),
    ("Do you not know it?", False),
]


@every_row(("text", "admitted"), ADMITTED)
def test_a_reply_admits_in_many_words_but_not_in_those_of_the_question(text, admitted):
    asked = "Do you not know it?"

    assert admits(case(question=asked), Reply(text=text)) is admitted


@every_row(
    ("text", "right"),
    [
        ("apple, Banana, cherry", True),
        (" Apple; banana; cherry. ", True),
        ("b., a", False),
        ("a., a", True),
        ("a, c, b", False),
        ("apple", False),
        ("a b", False),
        ("B, a", False),
    ],
)
def test_items_are_alphabetical_whatever_their_case(text, right):
    assert alphabetical(case(), Reply(text=text)) is right


@every_row(
    ("text", "right"),
    [
        ("a bb, ccc", True),
        ("aa, bb", True),
        ("aaa bb", False),
        ("a,,, bb", True),
        ("word", False),
        ("", False),
    ],
)
def test_words_are_sorted_by_length_without_their_punctuation(text, right):
    assert by_length(case(), Reply(text=text)) is right
