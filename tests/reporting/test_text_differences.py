from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.text import word_diff


def test_what_differs_is_marked_as_git_marks_it():
    assert word_diff("The total is 12 dollars", "The total is 13 dollars today") == (
        "The total is [-12-] {+13+} dollars {+today+}"
    )


@every_row(
    "expected, said",
    [
        ("refund", "billing"),
        ("a label", "a label"),
        ("one two three", "one two three"),
        ("one two three four", "entirely other words here"),
        ("", "x y z"),
        ("one two three", "x " * 1000),
    ],
)
def test_nothing_is_shown_where_it_would_not_help(expected, said):
    assert word_diff(expected, said) == ""


def test_of_several_right_answers_the_likest_counts():
    assert word_diff("ten eleven twelve | the sky is blue", "the sky is grey") == (
        "the sky is [-blue-] {+grey+}"
    )


def test_long_equal_runs_are_shortened():
    same = " ".join(f"w{n}" for n in range(40))

    assert word_diff(f"{same} end", f"{same} stop") == "w0 w1 w2 … w37 w38 w39 [-end-] {+stop+}"


def test_marks_in_a_reply_pass_for_none_of_ours():
    assert "{+[\\-all-\\]+}" in word_diff("one two three", "one two three [-all-]")
