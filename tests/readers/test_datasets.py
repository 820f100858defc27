"""Files of other tools, read as suites."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.datasets import read_import


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_an_eval_of_openai_evals_is_read_with_its_samples(tmp_path):
    chat = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "My money"}]
    rows = [{"input": chat, "ideal": "refund"}, {"input": "Hi", "ideal": ["other", "none"]}]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    write(tmp_path, "data/sort/samples.jsonl", lines)
    registry = (
        "sort: {id: sort.v1, metrics: [accuracy]}\n"
        "sort.v1: {class: 'evals.elsuite.basic.includes:Includes',\n"
        "  args: {samples_jsonl: sort/samples.jsonl}}\n"
    )

    suite = read_import(write(tmp_path, "evals/sort.yaml", registry))

    assert suite.score == "contains"
    assert [case["expected"] for case in suite.cases] == ["refund", ["other", "none"]]
    assert suite.cases[0]["messages"] == chat


def test_a_match_of_openai_evals_is_the_beginning_of_a_reply(tmp_path):
    write(tmp_path, "s.jsonl", '{"input": "1+1=", "ideal": "2."}\n')
    registry = 'a: {class: "evals.elsuite.basic.match:Match", args: {samples_jsonl: s.jsonl}}\n'

    suite = read_import(write(tmp_path, "a.yaml", registry))

    assert (suite.score, suite.cases[0]["expected"]) == ("regex", [r"^2\."])


def test_goldens_of_deepeval_are_cases_whose_context_is_a_var(tmp_path):
    golden = {"input": "Where?", "expected_output": "Bonn", "context": ["a", "b"]}
    path = write(tmp_path, "goldens.json", [golden, {"scenario": "A customer calls"}])

    suite = read_import(path)

    assert suite.tool == "deepeval"
    assert suite.cases == [
        {"id": "case-1", "input": "Where?", "vars": {"context": '["a", "b"]'}, "expected": "Bonn"}
    ]
    assert any("conversational" in note for note in suite.notes)


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


@every_row(
    "table",
    [
        'id,inputs,outputs\na,"{""question"": ""2+2?""}","{""answer"": ""4""}"\n',
        "id,inputs.question,outputs.answer,latency\na,2+2?,4,1.2\n",
        "id,input_question,output_answer\na,2+2?,4\n",
        'id,input,expected,tags\na,2+2?,4,"[""maths""]"\n',
        "id,question,answer\na,2+2?,4\n",
        'id,input,expected,tags\na,"{""q"": ""2+2?""}","""4""",[]\n',
    ],
)
def test_tables_of_langsmith_braintrust_and_others_are_cases(tmp_path, table):
    suite = read_import(write(tmp_path, "export.csv", table))

    (case,) = suite.cases
    assert (case["id"], case["input"], case["expected"]) == ("a", "2+2?", "4")
    assert suite.score == "contains"


def test_tags_that_are_json_in_a_table_are_the_texts_in_it(tmp_path):
    table = 'id,input,expected,tags\na,2+2?,4,"[""maths"",""easy one""]"\nb,x,y,[]\n'

    suite = read_import(write(tmp_path, "export.csv", table))

    assert [case.get("tags", []) for case in suite.cases] == [["maths", "easy one"], []]


def test_a_file_that_git_lfs_has_not_downloaded_says_how_to_get_it(tmp_path):
    write(tmp_path, "s.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    registry = 'a: {class: "evals.elsuite.basic.match:Match", args: {samples_jsonl: s.jsonl}}\n'

    with pytest.raises(ConfigurationError, match="git lfs pull gets the file"):
        read_import(write(tmp_path, "e.yaml", registry))


def test_long_answers_are_compared_by_their_words(tmp_path):
    path = write(tmp_path, "x.csv", "input,expected\nWhy?,one two three four five six seven\n")

    assert read_import(path).score == {"similarity": {"by": "tfidf"}}


@every_row(
    ("name", "content", "message"),
    [
        ("x.toml", "", "a suite is made from a folder, or from .yaml"),
        ("x.yaml", "a: 1\n", "neither a configuration of promptfoo"),
        ("x.yaml", "a: [\n", "x.yaml:2: not YAML"),
        ("x.json", "{", "x.json: it cannot be read"),
        ("x.csv", "input,expected\n", "no case was found"),
        ("x.yaml", "a: {class: 'evals.x:Match', args: {samples_jsonl: no.jsonl}}\n", "no.jsonl"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_with_the_reason(
    tmp_path, name, content, message
):
    with pytest.raises(ConfigurationError, match=message):
        read_import(write(tmp_path, name, content))
