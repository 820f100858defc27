"""One reader of tables serves cases, training rows, imports and files of answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import read_delimited, read_rows


def read(text):
    """Return the rows of a table with their lines, and its errors with theirs."""
    source = Source(root=Path(), path=Path("t.csv"))
    lines = text.splitlines(keepends=True)
    rows = [(row.line, row.value) for row in read_delimited(source, source.path, lines)]
    return rows, [(error.line, error.message) for error in source.errors]


@every_row("mark", [",", ";", "\t", "|"])
def test_the_header_says_what_separates_the_cells(mark):
    rows, errors = read(f"id{mark}reply\n1{mark}four\n2{mark}\n")

    assert rows == [(2, {"id": "1", "reply": "four"}), (3, {"id": "2", "reply": None})]
    assert errors == []


def test_a_row_of_several_lines_is_at_its_first_line_also_when_it_is_broken():
    rows, errors = read('a,b\n"x\ny",1\n"x\ny",1,2\n')

    assert rows == [(2, {"a": "x\ny", "b": "1"})]
    assert [line for line, _ in errors] == [4]


def test_a_column_that_stands_there_twice_is_an_error_in_the_header():
    remedy = "rename one, or name the .json file of a tool that writes both"

    assert read("a,b,a\n1,2,3\n")[1] == [(1, f'two columns are called "a"; {remedy}')]


def test_columns_without_a_name_are_no_error():
    assert read("a,,\n1,,\n") == ([(2, {"a": "1", "": None})], [])


@every_row("text, line", [
    ('id,"reply"x\n1,2\n', 1),
    ('"id,reply\n1,2\n', 1),
    ('id,reply\n1,"four\n', 2),
    ("id,reply\n1,2\n2,3,4\n", 3),
    ("id,reply,id\n1,2,3\n", 1),
    ("id,reply\n<<<<<<< mine\n1,2\n", 2),
])  # fmt: skip
def test_files_of_cases_and_of_answers_name_the_same_mistakes(tmp_path, text, line):
    path = tmp_path / "a.csv"
    path.write_text(text, "utf-8")
    source = Source(root=tmp_path, path=path)

    list(read_rows(source, path))
    with pytest.raises(SuiteError) as caught:
        read_answers(path, Columns())

    assert [error.line for error in source.errors] == [line]
    assert [*caught.value.errors] == source.errors
