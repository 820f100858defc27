"""Files of answers become rows, whatever their form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, FtgateError, SuiteError
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

ROW = AnswerRow(line=2, id="7", input="2 + 2", expected="4", reply="four", tags=("sums",))


def read(path, content, **columns):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_answers(path, Columns(**columns))


@every_row("name, content", [
    ("a.csv", "id,question,expected,answer,topic\n7,2 + 2,4,four,sums\n"),
    ("a.csv", "\ufeffid;question;expected;answer;topic\n7;2 + 2;4;four;sums\n"),
    ("a.tsv", "id\tquestion\texpected\tanswer\ttopic\n7\t2 + 2\t4\tfour\tsums\n"),
    ("a.jsonl",
     '\n{"id": 7, "question": "2 + 2", "target": "4", "output": "four", "topic": "sums"}\n'),
    ("a.json",
     '[\n{"key": "7", "prompt": "2 + 2", "gold": "4", "output": "four", "tags": "sums"}]'),
    ("a.ndjson", '\n{"id": 7, "input": "2 + 2", "gold": 4, "reply": "four", "tag": "sums"}'),
])  # fmt: skip
def test_every_form_of_a_table_gives_the_same_rows(tmp_path, name, content):
    (row,) = read(tmp_path / name, content).rows

    assert replace(row, expected=str(row.expected)) == ROW


ENTRY = '{"id": 7, "question": "2 + 2", "expected": "4", "answer": "four", "topic": "sums"}'


@every_row("name, content, line", [
    ("a.csv", "id\tinput\texpected\treply\ttag\r\n7\t2 + 2\t4\tfour\tsums\r\n".encode("utf-16"), 2),
    ("a.csv", "sep=;\nid;question;expected;answer;topic\n7;2 + 2;4;four;sums\n", 3),
    ("a.csv", "id;question;expected;answer;topic;cost, in cent\n7;2 + 2;4;four;sums;3\n", 2),
    ("a.csv", "id;question;expected;answer;topic;;\n7;2 + 2;4;four;sums;;\n;;;;;;\n\n", 2),
    ("a.csv", ",id,question,expected,answer,topic\n0,7,2 + 2,4,four,sums\n", 2),
    ("a.json", f'{ENTRY}\n{{"id": 8, "answer": "five"}}\n', 1),
    ("a.json", f'{{"model": "m", "results": [{ENTRY}]}}', 1),
    ("a.json", f'{{"results": [{ENTRY}], "errors": [{{"id": 9}}]}}', 1),
    ("a.json", '{"7": ' + ENTRY.replace('"id": 7, ', "") + "}", 1),
])  # fmt: skip
def test_a_table_is_read_as_other_programs_write_it(tmp_path, name, content, line):
    path = tmp_path / name
    read_from = f"{path}::results" if "errors" in str(content) else path
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    file = read_answers(read_from, Columns())

    assert file.rows[0] == replace(ROW, line=line)
    assert "" not in (*file.unread, *file.others)


@pytest.mark.parametrize(("written", "score"), [
    ("0,5", 0.5), ("WAHR", 1.0), ("falsch", 0.0), ("Sí", 1.0),
])  # fmt: skip
def test_scores_are_read_as_tables_of_other_languages_write_them(tmp_path, written, score):
    assert read(tmp_path / "a.csv", f"id;score\n1;{written}\n").rows[0].score == score


def test_a_parquet_file_is_read_or_names_the_missing_package(tmp_path):
    path = tmp_path / "a.parquet"
    try:
        import pyarrow as pa
        from pyarrow.parquet import write_table
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(ConfigurationError, match="needs pyarrow: pip install pyarrow"):
            read_answers(path, Columns())
        return
    write_table(pa.table({"id": ["7"], "question": ["2 + 2"], "reply": ["four"]}), path)

    assert read_answers(path, Columns()).rows[0].reply == "four"


def test_rows_in_memory_are_read_like_a_file():
    rows = [{"id": 7, "question": "2 + 2", "expected": "4", "answer": "four", "topic": "sums"}]

    assert read_answers(rows, Columns(), "base").rows[0].reply == "four"


TURNS = [
    {"role": "user", "content": [{"type": "text", "text": "2 + 2"}]},
    {"role": "assistant", "content": "four"},
]
DEEP = {"meta": {"n": 3, "kind": ["a", "b"]}, "out": {"text": "four"}, "truth": {"x": 4}}
NAMED = {"id": "meta.n", "reply": "out.text", "expected": "truth.x", "by": ("meta.kind",)}
SCORES = [("true", 1), (False, 0), ("C", 1), ("P", 0.5), ("0.25", 0.25), (None, None), ("", None)]


@every_row("row, columns, answer", [
    # An "answer" is expected beside a reply, and else the reply.
    ({"answer": "4", "prediction": "5"}, {}, {"expected": "4", "reply": "5"}),
    ({"answer": "4", "label": "5"}, {}, {"expected": "5", "reply": "4"}),
    # Messages count by their last text.
    ({"messages": TURNS, "response": TURNS}, {}, {"input": "2 + 2", "reply": "four"}),
    # Named columns may lie inside others.
    (DEEP, NAMED, {"id": "3", "expected": 4, "reply": "four", "tags": ("a", "b")}),
    # Scores are numbers or words.
    *(({"reply": "x", "score": said}, {}, {"reply": "x", "score": s}) for said, s in SCORES),
])  # fmt: skip
def test_each_value_of_a_row_is_found(tmp_path, row, columns, answer):
    file = read(tmp_path / "a.jsonl", json.dumps(row), **columns)

    assert file.rows == (AnswerRow(line=1, **answer),)


def test_columns_that_are_not_read_are_listed(tmp_path):
    file = read(tmp_path / "a.csv", "id,reply,cost,seed\n1,four,3,4\n")

    assert file.columns == {"id": "id", "reply": "reply"}
    assert file.unread == ("cost", "seed")


@every_row("name, content, message", [
    ("a.jsonl", '{"id": 1}\n{"id": 2, "x": }\n[3]\n', r"a\.jsonl:2: not JSON"),
    ("a.jsonl", "3\n", r"a\.jsonl:1: a row is an object, such as"),
    ("a.jsonl", "[3]\n", r"a\.jsonl:1: the file holds a list, as .json files do"),
    ("a.json", '{"a": 1}\n{"a": 2}', r"name one with --reply or --score"),
    ("a.json", '{"a": [{}], "b": [{}]}', r"holds several lists: a, b; name .*a\.json::a"),
    ("a.json", '{"m": {"score": 1}}', r"JSON object of no known tool \(keys: m\)"),
    ("a.json", '{"a": 1}', r"JSON object of no known tool \(keys: a\)"),
    ("a.json", "{}", r"JSON object of no known tool \(keys: none\)"),
    ("a.json", "3", r"holds no rows; write a list of objects"),
    ("a.jsonl", "", r"has no rows"),
    ("a.jsonl", '{"id": 1, "x": 2}', r"name one with --reply or --score, .* \(columns: id, x\)"),
    ("a.jsonl", '{"score": 7}', r"a\.jsonl:1: the score is 7; a score is 0 to 1"),
    ("a.jsonl", f'{{"score": {10**400}}}', r"a\.jsonl:1: the score is 10{39}; a score"),
    ("a.txt", "x", r"is a \.txt file; name a file that ends in \.jsonl"),
])  # fmt: skip
def test_a_file_that_cannot_be_read_names_place_and_remedy(tmp_path, name, content, message):
    with pytest.raises(FtgateError, match=message):
        read(tmp_path / name, content)


def test_every_broken_line_is_named_at_once(tmp_path):
    with pytest.raises(SuiteError) as caught:
        read(tmp_path / "a.jsonl", "{\n{}\n}\n")

    assert [error.line for error in caught.value.errors] == [1, 3]


def test_a_missing_file_or_column_suggests_the_nearest(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt_id": 1, "reply": "x"}', "utf-8")

    with pytest.raises(ConfigurationError, match=r'did you mean "answers\.jsonl"\?'):
        read_answers(tmp_path / "answer.jsonl", Columns())
    with pytest.raises(ConfigurationError, match=r'no row has a "promptid"; did you mean "prompt_'):
        read_answers(path, Columns(id="promptid"))


def test_a_sample_without_a_key_of_its_tool_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "a.jsonl"
    first = {"doc_id": 0, "doc": {}, "filtered_resps": ["a"], "target": "a"}
    path.write_text(f'{json.dumps(first)}\n{{"doc_id": 1, "doc": {{}}}}\n', "utf-8")

    with pytest.raises(ConfigurationError, match="filtered_resps is missing; let the tool write"):
        read_answers(path, Columns())
