"""Rows of several files are paired, and what does not pair is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.answer_files import answer_rows
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.pairing import pair_files, with_cases


def pair(*sides, **options):
    files = [read_answers(rows, Columns(), name) for rows, name in zip(sides, "abc", strict=False)]
    return pair_files(files, **options)


def without(rows, *keys):
    return [{key: value for key, value in row.items() if key not in keys} for row in rows]


def test_rows_without_ids_are_paired_by_input_and_named_by_their_line():
    rows = without(answer_rows(3), "id")

    paired = pair(rows, rows[::-1])

    assert (paired.key, [*paired.rows[1]]) == ("input", ["line-1", "line-2", "line-3"])
    assert paired.rows[1]["line-1"][0].line == 3
    assert paired.notes == ("the rows are paired by input, as the files have no ids",)


def test_rows_without_ids_are_paired_by_a_column_that_differs_in_each_of_them():
    rows = [{**row, "ticket": 100 + n} for n, row in enumerate(without(answer_rows(9), "id"))]

    paired = pair(rows, rows[::-1])

    assert (paired.key, [*paired.rows[1]][:2]) == ("ticket", ["100", "101"])
    assert paired.rows[1]["100"][0].line == 9
    assert paired.notes == ("the rows are paired by ticket, which differs in each row",)


def test_a_column_that_counts_the_rows_of_each_file_pairs_nothing():
    rows = without(answer_rows(9), "id")
    first, second = ([{**row, "n": n} for n, row in enumerate(r)] for r in (rows, rows[::-1]))

    assert pair(first, second).key == "input"


def test_rows_with_replies_alone_are_paired_by_line_if_they_expect_the_same():
    rows = without(answer_rows(30), "id", "question")

    paired = pair(rows, rows)

    assert (paired.key, len(paired.cases)) == ("line", 30)
    assert paired.notes == (
        "the rows are paired by line: they have neither ids nor inputs, and expect the same",
    )


def test_rows_in_another_order_are_an_error_that_names_what_could_pair_them():
    rows = [{**row, "channel": "web"} for row in without(answer_rows(30), "id", "question")]

    with pytest.raises(ConfigurationError) as caught:
        pair(rows, rows[::-1])

    assert str(caught.value) == (
        "nothing pairs: no column is known to have ids or inputs (--id and --input name one) "
        "(columns of both files: channel), and 30 of 30 lines expect another answer"
    )


def test_lines_that_expect_nothing_are_paired_only_on_demand():
    rows = [{"score": n % 2} for n in range(9)]

    with pytest.raises(
        ConfigurationError, match=r"nothing shows that the files are in one order; .* add --by-line"
    ):
        pair(rows, rows)
    assert pair(rows, rows, by_line=True).key == "line"
    with pytest.raises(ConfigurationError, match="differ in their number of rows"):
        pair(rows, rows[1:], by_line=True)


def test_ids_that_expect_something_else_in_the_other_file_pair_nothing():
    rows = without(answer_rows(40), "question")
    second = [{**row, "id": f"q{n}"} for n, row in enumerate(rows[::-1])]

    with pytest.raises(
        ConfigurationError, match="nothing pairs: 40 of 40 ids expect another answer"
    ):
        pair(rows, second)


def of(labels, count=60, **columns):
    """Return rows that expect the *labels* in turn; the reply of each says which case it is of."""
    rows = ({"expected": labels[n % len(labels)], "reply": f"reply {n}"} for n in range(count))
    return [
        row | {key: value(n) if callable(value) else value for key, value in columns.items()}
        for n, row in enumerate(rows)
    ]


def shuffled(rows):
    return [rows[n * 7 % len(rows)] for n in range(len(rows))]


def counted(rows, column):
    return [{column: n, **row} for n, row in enumerate(rows)]


def question(n):
    return f"What is {n}?"


def long_text(n):
    return f"A long text about {n}. " * 5


@every_row("first, second, key", [
    (of("abc", id=int), of("abc", id=float), "id"),
    (of("abc", id=int), of("abc", id=lambda n: f" {n:03}"), "id"),
    (of("abc", id=int), of("abc", id=int)[:58], "id"),
    (of("abc", id=int), [*of("abc", id=int)] * 2, "id"),
    (of("123", id=int), of([1.0, " 2", ["3"]], id=int), "id"),
    (of("abc", question=lambda n: f"a\nb {n}"), of("abc", question="a\r\nb\xa0{}".format), "input"),
    (of("a", index=int, ticket="T{}".format), of("a", ticket="T{}".format), "ticket"),
    (of("abc", input=question, other=long_text), of("abc", input=question, other=long_text),
     "input"),
    (of("abc", article=long_text), of("abc", article=long_text), "article"),
    (of("a", question="What is this about?", article=long_text),
     of("a", question="What is this about?", article=long_text), "article"),
    (of("abc", id=int, prompt=question), of("abc", id=int, prompt="Please: {}".format), "id"),
])  # fmt: skip
def test_rows_are_paired_in_any_order_and_form(first, second, key):
    second = shuffled(second)
    if key == "ticket":
        second = counted(second, "index")

    paired = pair(first, second)

    assert paired.key == key
    assert max(map(len, paired.cases)) < 10
    pairs = [(rows[0], paired.rows[1][case]) for case, rows in paired.rows[0].items()]
    assert len(pairs) == 60
    assert [one for one, others in pairs if any(one.reply != o.reply for o in others)] == []


def test_a_long_text_that_pairs_the_rows_is_their_input():
    paired = pair(of("abc", article=long_text), shuffled(of("abc", article=long_text)))

    assert (paired.key, paired.cases["line-3"].input) == ("article", long_text(2).strip())


def test_ids_that_count_the_rows_after_one_was_lost_do_not_pair():
    rows = of("ab", question=question)
    first, second = counted(rows, "id"), counted([*rows[:40], *rows[41:]], "id")

    paired = pair(first, second)

    assert paired.key == "input"
    assert paired.notes[0].startswith("19 of 59 ids have the input of another id in b: 40, 41, 42")


@every_row("first, second, message", [
    (of("a"), of("a"), "most lines expect what their neighbours do: nothing shows"),
    (counted(of("a"), "Unnamed: 0"), counted(of("a"), "Unnamed: 0"), "neighbours do: nothing sh"),
    (of("a" * 30 + "b" * 30), of("a" * 30 + "b" * 30), "most lines expect what their neighb"),
    (of("aab"), of("aab")[::-1], "of 60 lines expect another answer"),
    (of("abc", question="Sort."), of("abc", question="Sort."), "all rows have the same input"),
    (of("abc", question=lambda n: n // 2), of("abc", question=lambda n: n // 2),
     "a expects several answers to one input: 0, 1, 2, …"),
    (of("abc", id=lambda n: n // 2), of("abc", id=lambda n: n // 2),
     "a expects several answers to one id: 0, 1, 2, …"),
    (counted(of("a" * 11 + "b"), "id"), counted(of("a" * 6 + "b" + "a" * 5), "id"),
     "10 of 60 ids expect another answer in b"),
])  # fmt: skip
def test_nothing_is_paired_by_what_says_nothing_of_the_cases(first, second, message):
    with pytest.raises(ConfigurationError, match="nothing pairs") as caught:
        pair(first, second)

    assert message in str(caught.value)


def test_ids_of_other_questions_do_not_pair_unless_the_expected_answers_bear_them_out():
    rows = [of("a", id=int, prompt=question), of("a", id=int, prompt="Please: {}".format)]

    with pytest.raises(ConfigurationError, match="60 of 60 ids have another input in b: 0, 1, 2"):
        pair(*rows)


@pytest.mark.parametrize(("labels", "is_noted"), [("a", True), ("abc", False)])
def test_ids_that_count_rows_are_noted_unless_the_expected_answers_bear_them_out(labels, is_noted):
    rows = counted(of(labels), "id")

    paired = pair(rows, rows)

    said = "the ids count the rows, and nothing else shows that they name the same cases"
    assert (paired.key, paired.notes) == ("id", (said,) * is_noted)


def test_rows_of_several_models_in_one_file_are_an_error_that_shows_how_to_name_one():
    rows = [{**row, "arm": arm} for row in answer_rows(9) for arm in ("small", "large")]

    with pytest.raises(ConfigurationError) as caught:
        pair(rows, rows)

    assert str(caught.value) == (
        "a has 2 rows of a case, which differ in arm (small, large); name those to compare: "
        "a::arm=small"
    )


def test_cases_of_a_file_of_their_own_are_found_by_id_or_by_input():
    cases = read_answers(answer_rows(3), Columns(), "gold", needs_reply=False)
    by_id = read_answers(without(answer_rows(4), "question", "expected"), Columns(), "a")
    by_input = read_answers(without(answer_rows(3), "id", "expected"), Columns(), "b")

    files = with_cases([by_id, by_input], cases)

    assert [row.expected for row in files[0].rows] == ["word 0", "word 1", "word 2", None]
    assert files[0].rows[1].input == "What is the word of number 1?"
    assert [row.expected for row in files[1].rows] == ["word 0", "word 1", "word 2"]
    other = read_answers([{"id": "x1", "reply": "y"}], Columns(), "c")
    with pytest.raises(
        ConfigurationError, match=r'c cannot be joined with gold: .* "x1" and "q0"; give the rows'
    ):
        with_cases([other], cases)


def replies(**columns):
    """Return replies alone, in another order than that of the cases that they answer."""
    return shuffled(without(of([f"label {n}" for n in range(60)], **columns), "expected"))


def gold(**columns):
    return without(of([f"label {n}" for n in range(60)], **columns), "reply")


@every_row("rows, cases, missing", [
    (replies(id="{}.0".format), gold(id=int), 0),
    (counted(replies(question=question), "index"), gold(id=int, question=question), 0),
    (replies(question=question, ms=lambda n: 61 - n), gold(id=int, question=question), 0),
    (replies(id=int, question=question), gold(id=lambda n: n % 30, question=question), 0),
    (replies(id=int), gold(id=int)[:20], 40),
    (replies(custom_id="task-{}".format), gold(id=int), 0),
    (replies(custom_id="task-{}".format), gold(question=question), 0),
    (replies(custom_id=lambda n: f"row{n + 1:03}"), gold(question=question), 0),
])  # fmt: skip
def test_each_reply_gets_the_expected_answer_of_its_own_case(rows, cases, missing):
    (file,) = with_cases(
        [read_answers(rows, Columns(), "a")],
        read_answers(cases, Columns(), "gold", needs_reply=False),
    )

    found = [row for row in file.rows if row.expected is not None]
    assert len(found) == 60 - missing
    assert all(row.expected.split()[1] == row.reply.split()[1] for row in found)
    said = [f"{missing} cases of a not in gold, not scored: "] if missing else []
    if "custom_id" in rows[0]:
        said.append("its cases in gold are found by the number at the end of each id")
    said.append('the expected answers are "expected" of gold')
    assert [note[: len(one)] for note, one in zip(file.notes, said, strict=True)] == said


def test_cases_are_joined_by_line_only_on_demand():
    cases = read_answers(gold(topic="maths"), Columns(), "gold", needs_reply=False)
    files = [read_answers([{"reply": f"reply {n}"} for n in range(60)], Columns(), "a")]

    (file,) = with_cases(files, cases, by_line=True)

    assert (file.rows[7].expected, file.rows[7].tags) == ("label 7", ("maths",))
    assert file.notes[0] == "its cases in gold are found by line"
    with pytest.raises(ConfigurationError, match="the files differ in their number of rows"):
        with_cases([replace(files[0], rows=file.rows[1:])], cases, by_line=True)


@every_row("rows, cases, message", [
    (replies(id="{}z".format, ms=lambda n: n + 3), gold(id=int),
     'the first ids of both are "0z" and "0"'),
    (replies(id=lambda n: n % 30), gold(id=lambda n: n % 30, question=question),
     "gold uses ids for several inputs: 0, 1, 2, …"),
    (replies(question=lambda n: n // 2), gold(question=lambda n: n // 2),
     "gold expects several answers to one input: 0, 1, 2, …"),
    (replies(id=lambda n: f"task-{n + 2}"), gold(), "they share neither ids nor questions"),
    (replies(id="task-{}".format), gold()[1:], "they share neither ids nor questions"),
    (replies(), gold(), "they share neither ids nor questions"),
])  # fmt: skip
def test_cases_that_may_be_those_of_other_replies_are_not_joined(rows, cases, message):
    files = [read_answers(rows, Columns(), "a")]

    with pytest.raises(ConfigurationError, match="a cannot be joined with gold: ") as caught:
        with_cases(files, read_answers(cases, Columns(), "gold", needs_reply=False))

    assert message in str(caught.value)


def test_ids_that_are_row_numbers_of_other_cases_do_not_pair():
    first = [{**row, "id": n} for n, row in enumerate(answer_rows(6))]
    second = [{**row, "id": n} for n, row in enumerate(answer_rows(6)[::-1])]

    paired = pair(first, second)

    assert paired.key == "input"
    assert paired.notes[0].startswith("6 of 6 ids have the input of another id in b: 0, 1, 2, …")
    with pytest.raises(ConfigurationError, match="nothing pairs: 6 of 6 ids have the input"):
        pair(first, second, by_id=True)


def test_nothing_that_pairs_is_an_error_that_names_both_keys():
    first = [{"id": "a1", "reply": "x"}]

    with pytest.raises(ConfigurationError) as caught:
        pair(first, [{"id": "b1", "reply": "x"}])

    assert str(caught.value) == (
        'nothing pairs: no id is in both files (a has "a1", b "b1"); name the column that both '
        "files share with --id COLUMN, or with --input COLUMN; or add --by-line, if the files are "
        "in one order"
    )


def test_cases_that_a_candidate_lacks_count_as_no_reply_or_are_left_out():
    lacking, alone = (
        pair(answer_rows(9), answer_rows(9)[4:], paired_only=p) for p in (False, True)
    )

    assert (len(lacking.cases), len(alone.cases)) == (9, 5)
    assert lacking.rows[1]["q0"] == ()
    what = "4 of 9 cases of a are not in b"
    effect = "counted as cases without a reply (--paired-only leaves them out)"
    assert lacking.notes == (f"{what}, {effect}: q0, q1, q2, …",)
    assert alone.notes == (f"{what}, left out: q0, q1, q2, …",)


def test_cases_with_an_empty_reply_are_left_out_where_only_pairs_count():
    rows = answer_rows(9)
    second = [rows[0] | {"answer": None}, *rows[1:]]

    assert "q0" in pair(rows, second).cases
    paired = pair(second, rows, paired_only=True)

    assert [*paired.cases] == [f"q{n}" for n in range(1, 9)]
    assert paired.notes == ("1 case without a reply in a file, left out: q0",)


def test_a_row_without_a_reply_is_a_lost_run_beside_several_and_was_tried_again_beside_one():
    lost = {"id": "q0", "answer": None}
    once, runs = (
        [lost, *({"id": f"q{n}", "answer": "a"} for n in range(3) for _ in range(count))]
        for count in (1, 2)
    )

    assert [[row.reply for row in pair(r, r).rows[0]["q0"]] for r in (once, runs)] == [
        ["a"], ["a", "a", None],
    ]  # fmt: skip
    assert pair(runs, runs).repeats == (2, 2)


def test_cases_that_the_base_lacks_are_left_out_and_counted():
    paired = pair(answer_rows(3), answer_rows(5))

    assert len(paired.cases) == 3
    assert paired.notes == ("2 cases of b not in a, left out: q3, q4",)


def expecting(rows, *ids):
    """Return *rows* with another expected answer in some of them."""
    return [{**row, "expected": "x"} if row["id"] in ids else row for row in rows]


def test_a_row_that_expects_another_answer_counts_as_no_reply_or_its_case_is_left_out():
    changed = expecting(answer_rows(3), "q1")

    lacking, alone = (pair(answer_rows(3), changed, paired_only=only) for only in (False, True))

    assert [*map(len, lacking.rows[1].values())] == [1, 0, 1]
    assert [*alone.cases] == ["q0", "q2"]
    what, texts = "1 case with another expected answer in b", 'q1 ("word 1" and "x")'
    effect = "counted as cases without a reply (--paired-only leaves them out)"
    assert lacking.notes == (f"{what}, {effect}: {texts}",)
    assert alone.notes == (f"{what}, left out: {texts}",)


def test_only_the_file_that_expects_another_answer_lacks_the_reply():
    paired = pair(answer_rows(3), expecting(answer_rows(3), "q1"), answer_rows(3))

    assert [len(side["q1"]) for side in paired.rows] == [1, 0, 1]


def test_files_that_mostly_expect_other_answers_are_an_error_that_names_the_option():
    with pytest.raises(ConfigurationError, match=r"too few .*: 2 cases with .* with --expected"):
        pair(answer_rows(3), expecting(answer_rows(3), "q1", "q2"))


def test_every_reply_to_a_case_counts_and_a_sentence_says_where_their_numbers_differ():
    equal = pair(answer_rows(2) * 2, answer_rows(2) * 2)
    uneven = pair(answer_rows(2) * 2, [*answer_rows(2), *answer_rows(1, [0]), *answer_rows(1)])

    assert (equal.repeats, equal.usual_repeats, equal.notes) == ((2, 2), 2, ())
    assert [row.reply for row in uneven.rows[1]["q0"]] == ["word 0", "none", "word 0"]
    assert (uneven.repeats, uneven.usual_repeats) == ((1, 3), 1)
    said = "replies of a case: 2 in a, 1 to 3 in b; each case counts once, by their mean"
    assert uneven.notes == (said,)
