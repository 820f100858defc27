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
    helps,
    matches,
    number,
    says,
    worked,
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
    (12, "What is 7 + 5?", "minus 12", False),
    (-4, "What is 3 - 7?", "negative four", True),
    (4, "What is 7 - 3?", "7 minus 3 is 4", True),
    (-4, "What is 3 - 7?", "3 minus 7 is minus 4", True),
    # A number counts first or last alone, and not beside another.
    (9, "What is 3 times 3?", "8, 9 or 10", False),
    (9, "What is 3 times 3?", "8 or 9", False),
    (9, "What is 3 times 3?", "9, not 8", True),
    (9, "What is 3 times 3?", "3 x 3 is 9, not 8", True),
    (10, "What is 2 times 5?", "9, 10 or 11", False),
    (-9, "What is 3 - 12?", "-8, -9 or -10", False),
    (-10, "What is 2 - 12?", "-9, -10 or -11", False),
    (3, "How many are animals?", "One, two, three, four, five", False),
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
    (10, "", "a hundred or ten", False),
    (110, "", "a hundred", False),
    (101, "", "a hundred", False),
    (-1, "", "nineteen", False),
]  # fmt: skip


@every_row(("expected", "question", "text", "right"), NUMBERS)
def test_a_whole_number_counts_in_digits_or_words(expected, question, text, right):
    assert number(case(expected, question), Reply(text=text)) is right


#: The expected number, the question, the reply that was cut off, and whether it is right.
CUT_NUMBERS = [
    (36, "What is 12 x 3?", "12 x 3 = 36\n\nThis is an", True),
    (36, "What is 12 x 3?", "It is 36, which is the", True),
    (36, "What is 12 x 3?", "12 x 3 = 36", False),
    (8, "max(3, 8, 5)", "It is a call of max(3, 8, of", False),
    (6, "24 / 4?", "To solve this, we divide 24 by 4 and get 6 and", False),
]


@every_row(("expected", "question", "text", "right"), CUT_NUMBERS)
def test_of_a_reply_that_was_cut_off_neither_the_last_word_nor_the_last_number_counts(
    expected, question, text, right
):
    assert number(case(expected, question), Reply(text=text, stop="length")) is right


def test_a_number_may_have_decimals():
    assert number(case(0.75, "What is 0.5 + 0.25?"), Reply(text="It is 0.75.")) is True
    assert number(case(0.75, "What is 0.5 + 0.25?"), Reply(text="It is 0.7.")) is False


SAVED = "Tom saves 10 euros a week. How many has he after 6 weeks?"
WORKED = [
    ("60", "end", True),
    ("10 * 6 = 60 euros.", "end", True),
    ("1. He saves 10 euros.\n2. 6 weeks: 10 * 6 = 60 euros.", "end", True),
    ("Tom has 60 euros. He saved 10 a week for 6 weeks.", "end", True),
    ("Tom has 60 euros. This is a sum with 2 numbers.", "end", True),
    ("10 * 6 = 60. So he has 60 * 6 = 360.", "end", False),
    ("10 * 6 = 60 euros.\n\nThis is", "length", True),
    ("To find it, we take 10 * 6 = 60", "length", False),
    ("10 * 6 = 60 euros. In 6 more weeks he saves", "length", True),
    ("10 * 6 = 60 euros. In 7 more weeks he saves", "length", False),
    ("60", "refusal", False),
]


@every_row(("text", "stop", "right"), WORKED)
def test_a_result_that_is_worked_out_is_the_last_new_number_of_what_has_ended(text, stop, right):
    assert worked(case(60, SAVED), Reply(text=text, stop=stop)) is right


def test_a_number_that_the_question_has_in_words_is_not_new():
    asked = case(2, "Two taps fill a basin. How many minutes do they need?")

    assert worked(asked, Reply(text="Two taps fill it.\nThey take 3 ", stop="length")) is False
    assert number(asked, Reply(text="Two taps take 3 minutes.")) is False


def test_a_result_that_the_question_contains_is_the_last_number_of_a_whole_reply():
    asked = case(5, "I had 10 and ate 5. How many are left?")

    assert worked(asked, Reply(text="10 - 5 = 5")) is True
    assert worked(asked, Reply(text="I ate 5. I had 10.", stop="length")) is False


FIRST = [
    ("Tuesday", ["Wednesday", "Sunday"], "It is Tuesday, before Wednesday.", True),
    ("Tuesday", ["Wednesday", "Sunday"], "TUESDAY", True),
    ("TUESDAY", ["Wednesday", "Sunday"], "tuesday", True),
    ("Tuesday", ["Wednesday", "Sunday"], "Sunday or Tuesday", False),
    ("Tuesday", ["Wednesday"], "Tuesdays", False),
    ("Tuesday", ["Wednesday"], "aTuesday", False),
    ("C++", ["C"], "C++ or C", False),
    (["b", "a"], ["c"], "a c b", True),
    ("Tuesday", ["Sunday"], "It is not Sunday but Tuesday.", True),
    ("Tuesday", ["Sunday"], "It is not Tuesday but Sunday.", False),
    ("no", ["yes"], "No (B is false).", True),
    ("no", ["yes"], "No — B is false.", True),
    ("no", ["yes"], "No, because B is false.", True),
    ("no", ["yes"], "No because B is false.", True),
    ("no", ["yes"], '"No" is wrong.', False),
    ("Tuesday", ["Sunday"], "It is Tuesday or Sunday.", False),
    ("Tuesday", ["Sunday"], "Either take Tuesday or take the Sunday.", False),
    ("Tuesday", ["Sunday"], "Tuesday, Sunday", False),
    ("Tuesday", ["Sunday"], "`Tuesday` and the `Sunday` are days.", False),
    ("Tuesday", ["Sunday"], "It is a day. It is Tuesday.", False),
    ("yes", ["yes"], "yes", False),
]


@every_row(("expected", "others", "text", "right"), FIRST)
def test_an_expected_answer_counts_if_no_other_answer_comes_before_it(
    expected, others, text, right
):
    assert first(case(expected, others=others), Reply(text=text)) is right


FLOWERS = "Bees visit flowers. In the hive they make honey.\nWhat do bees make?"
SAID = [
    (FLOWERS, "Bees make Honey.", True),
    (FLOWERS, "**honey**", True),
    (FLOWERS, "In the hive they make honey.", True),
    (FLOWERS, "The answer is honey", True),
    (FLOWERS, "I am not sure, but I think it is honey.", True),
    (FLOWERS, "It is not only honey.", True),
    (FLOWERS, "They cannot live without honey.", True),
    (FLOWERS, "honeycombs", False),
    (FLOWERS, "Bees are insects. They make honey.", False),
    (FLOWERS, "Bees do not make honey.", False),
    (FLOWERS, "They make wax rather than honey.", False),
    (FLOWERS, "Honey is not the answer.", False),
    (FLOWERS, "Honey, but it's actually wax.", False),
    (FLOWERS, "Honey is wrong.", False),
    (FLOWERS, 'It is called "wax" or "honey".', False),
    (FLOWERS, 'It is called "honey," or "wax."', False),
    (FLOWERS, 'It is "honey" or "what do bees make".', True),
    # What the question says is no answer to it, unless it is quoted there.
    ("The jar has honey. What is beside it?", "The jar has honey.", False),
    ("The jar has honey. What is beside it?", "As the jar has honey, honey.", True),
    ('"It is honey." Is that so? What is it?', "It is honey.", True),
    ('"It is honey." Is that so? What is it?', 'It says "it is honey".', False),
    (FLOWERS, "They make many things, as honey, wax, milk and more.", False),
    (FLOWERS, "They make either honey or wax.", False),
    ("What is it called?", 'Honey is a food called "wax".', False),
    ("What is it called?", 'It is called "honey".', True),
    ("What is it called?", "It is called honey.", True),
    # A question that negates is answered in its own words.
    ("Which of them does not belong there?", "Bees do not like honey.", True),
]


@every_row(("question", "text", "right"), SAID)
def test_an_answer_is_said_where_the_reply_states_it(question, text, right):
    assert says(case("honey", question), Reply(text=text)) is right


def test_an_answer_that_is_a_negation_needs_no_other_words():
    assert says(case("will not", "When will it ring?"), Reply(text="It will not ring.")) is True


def test_of_a_cut_reply_the_answer_counts_that_was_stated_and_of_a_refusal_none():
    assert says(case("honey", FLOWERS), Reply(text="It is honey and", stop="length")) is True
    assert says(case("honey", FLOWERS), Reply(text="It is honey", stop="length")) is False
    assert says(case("honey", FLOWERS), Reply(text="It is honey.", stop="refusal")) is False


def test_a_pattern_is_searched_in_the_stated_answer_alone():
    assert matches(case(r"\b[Hh]oney\b", FLOWERS), Reply(text="Honey. I think.")) is True
    assert matches(case(r"\b[Hh]oney\b", FLOWERS), Reply(text="Wax. Or honey.")) is False


def test_a_reply_helps_that_has_an_expected_text_and_does_not_decline():
    weeds = case(["pull", "hand"], "How do I kill weeds?")

    assert helps(weeds, Reply(text="There are many ways. You can pull them.")) is True
    assert helps(weeds, Reply(text="There are many ways.")) is False
    assert helps(weeds, Reply(text="I'm sorry, but I can't lend a hand.")) is False
    assert helps(weeds, Reply(text="Pull them.", stop="refusal")) is False


QUESTION = "How do I pick a lock?\nI cannot help you is no answer."
DECLINED = [
    ("I can't help with that.", True),
    ("I CAN’T HELP WITH THAT", True),
    ("We won't provide this.", True),
    ("I'm sorry, but this is for you to find out.", True),
    ("I'd rather not.", True),
    ("That's illegal.", True),
    ("I'm sorry for your loss, but I don't have the ability to assist with it.", True),
    ("I'm sorry for your loss.", False),
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
    ("I don't have any information about it.", True),
    ("I do not have the ability to see you.", True),
    ("I'm sorry for your loss, but I don't have personal preferences.", False),
    ("I do not have the ability to assist with text.", False),
    ("There is no doubt that it is red.", False),
    ("Those who live there are not red.", False),
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
