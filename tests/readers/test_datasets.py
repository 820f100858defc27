"""Files of other tools, and folders of data sets, read as suites."""

from __future__ import annotations

import json
import sys

import pytest
from ftgate_testing.suite_files import write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.datasets import read_import


def write(folder, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    write_files(folder, {name: text})
    return folder / name


def lines(*rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


# Files of other tools -------------------------------------------------------------------------


def test_goldens_of_deepeval_are_cases_whose_context_is_a_var(tmp_path):
    golden = {"input": "Where?", "expected_output": "Bonn", "context": ["a", "b"]}
    path = write(tmp_path, "goldens.json", [golden, {"scenario": "A customer calls"}])

    suite = read_import(path)

    assert suite.tool == "deepeval"
    assert suite.cases == [
        {"id": "case-1", "input": "Where?", "vars": {"context": '["a", "b"]'}, "expected": "Bonn"}
    ]
    assert any("conversational goldens are not read" in note for note in suite.notes)


REFUND = {"name": "refund", "arguments": {"order": "17", "n": 2}}
#: A golden, the keys of its case, and what is noted.
TOOLS = [
    ({"expected_tools": [{"name": "refund", "input_parameters": {"order": "17", "n": 2}}, "mail"]},
     {"expected": REFUND, "score": "tool_call", "format": [{"tool_call": "mail"}]}, []),
    # The answer decides the score, and the calls are a format.
    ({"expected_output": "Done.", "expectedTools": [{"name": "mail"}]},
     {"expected": "Done.", "format": [{"tool_call": "mail"}]}, []),
    ({"expected_tools": "mail"}, {"expected": "mail", "score": "tool_call"}, []),
    ({"tools_called": [{"name": "mail"}]}, {"expected": "mail", "score": "tool_call"},
     ["tools_called, of a run, are the expected tools here; check them"]),
    ({"expected_output": "x", "expected_tools": [{"name": "look-up"}]}, {"expected": "x"},
     ["the expected tool look-up: a function of Python cannot have such names"]),
]  # fmt: skip


@every_row(("golden", "keys", "notes"), TOOLS)
def test_expected_tools_of_a_golden_are_what_has_to_be_called(tmp_path, golden, keys, notes):
    suite = read_import(write(tmp_path, "goldens.json", [{"input": "Hi", **golden}]))

    assert suite.cases == [{"id": "case-1", "input": "Hi", **keys}]
    assert [*suite.notes] == notes


def test_the_tools_of_goldens_become_functions_that_a_model_may_call(tmp_path):
    suite = read_import(write(tmp_path, "goldens.json", [{"input": "Hi", **TOOLS[0][0]}]))

    assert suite.variant_keys("my.goldens") == {
        "tools": ["my_goldens_tools:refund", "my_goldens_tools:mail"]
    }
    source = suite.more_files("my.goldens")["my_goldens_tools.py"]
    assert "def refund(order: str, n: int) -> str:\n" in source
    assert "def mail() -> str:\n" in source


def test_a_program_cannot_be_seen_to_call_tools_which_is_said(tmp_path):
    suite = read_import(write(tmp_path, "goldens.json", [{"input": "Hi", **TOOLS[1][0]}]))

    suite.fit(lambda key: key != "tools")

    assert suite.cases == [{"id": "case-1", "input": "Hi", "expected": "Done."}]
    assert suite.variant_keys("goldens") == {}
    assert [*suite.notes] == [
        "expected tools: only a model calls them, so import again with --variant"
    ]


def test_a_dataset_of_pydantic_evals_keeps_its_evaluators(tmp_path):
    dataset = """
name: capitals
cases:
- name: Easy one
  inputs: {question: Capital of France?, hint: none}
  expected_output: Paris
  metadata: {difficulty: easy}
  evaluators: [{Contains: Paris}, MyOwn]
evaluators: [EqualsExpected, {MaxDuration: 2.5}, IsInstance: str]
"""

    suite = read_import(write(tmp_path, "capitals.yaml", dataset))

    (case,) = suite.cases
    assert suite.score == "exact"
    assert case["id"] == "Easy-one"
    assert case["vars"] == {"question": "Capital of France?", "hint": "none"}
    assert (case["expected"], case["tags"]) == ("Paris", ["easy"])
    assert case["format"] == [{"contains": ["Paris"]}]
    assert suite.limits == {"latency": {"max_p95_ms": 2500}}
    assert list(suite.notes) == ["evaluator MyOwn of a case"]


def test_the_one_of_two_evaluators_that_a_judge_replaces_is_named(tmp_path):
    dataset = """
cases: [{inputs: Capital of France?, expected_output: Paris}]
evaluators: [EqualsExpected, {LLMJudge: It is polite}]
"""

    suite = read_import(write(tmp_path, "capitals.yaml", dataset))

    assert suite.rubric == "It is polite"
    assert list(suite.notes) == ["EqualsExpected beside LLMJudge: the judge alone scores"]


@every_row("table", [
    'id,inputs,outputs\na,"{""question"": ""2+2?""}","{""answer"": ""4""}"\n',
    "id,inputs.question,outputs.answer,latency\na,2+2?,4,1.2\n",
    "id,input_question,output_answer\na,2+2?,4\n",
    'id,input,expected,tags\na,2+2?,4,"[""maths""]"\n',
    "id,question,answer\na,2+2?,4\n",
    'id,input,expected,tags\na,"{""q"": ""2+2?""}","""4""",[]\n',
])  # fmt: skip
def test_tables_of_langsmith_braintrust_and_others_are_cases(tmp_path, table):
    suite = read_import(write(tmp_path, "export.csv", table))

    (case,) = suite.cases
    assert (case["id"], case["input"], case["expected"]) == ("a", "2+2?", "4")
    assert suite.score == "contains"


def test_tags_that_are_json_in_a_table_are_the_texts_in_it(tmp_path):
    table = 'id,input,expected,tags\na,2+2?,4,"[""maths"",""easy one""]"\nb,x,y,[]\n'

    suite = read_import(write(tmp_path, "export.csv", table))

    assert [case.get("tags", []) for case in suite.cases] == [["maths", "easy one"], []]


def test_long_answers_are_compared_by_their_words(tmp_path):
    path = write(tmp_path, "x.csv", "input,expected\nWhy?,one two three four five six seven\n")

    assert read_import(path).score == {"similarity": {"by": "tfidf"}}


#: Rows of data sets with several answers, and the letter of the right one.
CHOICES = [
    ({"question": "q", "choices": ["x", "y"], "answer": 1}, "B"),
    ({"ctx": "q", "endings": ["x", "y"], "label": "0"}, "A"),
    ({"question": "q", "options": ["x", "y"], "answer": "y"}, "B"),
    ({"question": "q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"},
     "B"),
]  # fmt: skip


@every_row(("row", "letter"), CHOICES)
def test_a_question_with_several_answers_asks_for_the_letter_of_one(tmp_path, row, letter):
    suite = read_import(write(tmp_path, "test.jsonl", lines(row)))

    (case,) = suite.cases
    assert suite.score == "choice"
    assert case["input"] == "Answer with the letter of the correct answer.\n\nq\nA) x\nB) y"
    assert (case["expected"], case["format"]) == (letter, {"choice": ["A", "B"]})


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@every_row("name, content, message", [
    ("x.toml", "", "a suite is made from a folder, or from .yaml"),
    ("x.yaml", "a: 1\n", "neither a configuration of promptfoo"),
    ("x.yaml", "a: [\n", "x.yaml:2: not YAML"),
    ("x.json", "{", "x.json: it cannot be read"),
    ("x.csv", "input,expected\n", "no case was found"),
    # A file that Git LFS has not downloaded.
    ("x.csv", POINTER, "git lfs pull gets the file"),
    # What another command reads, or another tool runs.
    ("x.json", {"testCases": [{"name": "a", "input": "q", "success": True}]},
     "deepeval test run: these are answers, .* pytest-ftgate compare .*x.json OTHER"),
    ("x.json", [{"scenario": "A call", "turns": []}], "conversational goldens are not read"),
    ("test_x.py", "from deepeval import assert_test", "DEEPEVAL_RESULTS_FOLDER=results deepeval"),
    ("task.py", "from inspect_ai import task", "a program is code, and no suite to import"),
])  # fmt: skip
def test_a_file_that_cannot_be_imported_is_refused_with_the_reason(
    tmp_path, name, content, message
):
    with pytest.raises(ConfigurationError, match=message):
        read_import(write(tmp_path, name, content))


# Folders of Hugging Face datasets -------------------------------------------------------------

PAIRS = [("Where is my money?", "refund"), ("b", "c")]
ROWS = lines(*({"question": question, "answer": answer} for question, answer in PAIRS))
NO = lines({"question": "no", "answer": "never"})
CARD = """\
---
license: mit
configs:
- config_name: en
  data_files:
  - split: validation
    path: en/part-*
- config_name: de
  default: true
  data_files:
  - {split: validation, path: [de/part-*]}
---
# Card
"""
#: The files, what is read of them, and what is noted.
FOLDERS = [
    # The split that evaluates.
    ({"data/train.jsonl": NO, "data/test.jsonl": ROWS}, PAIRS,
     ["split test was read; also there: train"]),
    # The card says which files are a split.
    ({"en/part-1.jsonl": ROWS, "de/part-1.jsonl": NO, "README.md": CARD}, [("no", "never")], []),
    # Files without the name of a split are one; what the library writes about it is no data.
    ({"cases.jsonl": ROWS, "dataset_info.json": "{}"}, PAIRS, []),
    ({"test/rows.jsonl": NO, "test/state.json": "{}", "test/dataset_info.json": "{}"},
     [("no", "never")], []),
]  # fmt: skip


@every_row(("files", "pairs", "notes"), FOLDERS)
def test_one_split_of_a_folder_is_read_and_the_others_are_named(tmp_path, files, pairs, notes):
    write_files(tmp_path, files)

    suite = read_import(tmp_path)

    assert suite.tool == "Hugging Face datasets"
    assert [(case["input"], case["expected"]) for case in suite.cases] == pairs
    assert [*suite.notes] == notes


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "test.jsonl").symlink_to(write(tmp_path, "secret.jsonl", ROWS))

    with pytest.raises(ConfigurationError, match="a folder without"):
        read_import(inner)


@every_row("files, told", [
    ({"notes.txt": "x"}, "a folder without .parquet"),
    ({"state.json": "{}", "data.arrow": "x"}, r"of save_to_disk save .*to_parquet"),
    ({"test.csv": "colour,size\nred,1\n"}, "no case was found"),
    ({"README.md": "---\nconfigs: [3]\n---\n", "test.jsonl": "{"}, "README.md: configs"),
    ({"README.md": "---\na: [\n---\n", "test.jsonl": "{"}, "README.md: its head is not YAML"),
])  # fmt: skip
def test_a_folder_that_cannot_be_read_says_why(tmp_path, files, told):
    write_files(tmp_path, files)

    with pytest.raises(ConfigurationError, match=told):
        read_import(tmp_path)


def test_labels_that_are_numbers_become_names_and_a_picture_has_no_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    features = {"label": {"names": ["billing", "refund"], "_type": "ClassLabel"}}
    info = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    columns = {"text": ["Money back", "A bill"], "label": [1, 0], "image": [b"\x89", b"\x89"]}
    table = pa.table(columns).replace_schema_metadata(info)
    hub = tmp_path / "hub"
    hub.mkdir()
    write_table(table, hub / "test-00000-of-00001.parquet")

    for path in (hub, hub / "test-00000-of-00001.parquet"):
        cases = read_import(path).cases
        assert [(case["input"], case["expected"]) for case in cases] == [
            ("Money back", "refund"),
            ("A bill", "billing"),
        ]


@every_row("name", ["", "test.parquet"])
def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch, name):
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigurationError, match="needs pyarrow: pip install pyarrow"):
        read_import(tmp_path / name)
