"""Evals of a registry of OpenAI Evals, read as suites."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.suite_files import write_files
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.datasets import read_import

SYSTEM = {"role": "system", "content": "Sort {{ these }}."}
ROWS = [
    {"input": [SYSTEM, {"role": "user", "content": "My money"}], "ideal": "a (b)"},
    {"input": [SYSTEM, {"role": "user", "content": "Hi"}], "ideal": ["other", "none "]},
]
#: A shot as the older evals write it, and as the newer ones do.
SHOTS = [
    [
        {"role": "system", "name": "example_user", "content": "x"},
        {"role": "system", "name": "example_assistant", "content": "y"},
    ],
    [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
]
SHOT = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]


def lines(*rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def eval_of(kind, **arguments):
    """Return a file of a registry with one eval, whose class has the name *kind*."""
    entry = {"class": f"evals.elsuite.some.where:{kind}", "args": arguments}
    return json.dumps({"sort": {"id": "sort.v1"}, "sort.v1": entry})


@pytest.fixture
def registry(tmp_path):
    """Writes an eval of a class, with two samples, a grader and what else is given."""

    def write(kind, files=None, **arguments):
        arguments = {"samples_jsonl": "sort/samples.jsonl", **arguments}
        graders = {f"modelgraded/{name}.yaml": json.dumps({name: g}) for name, g in GRADERS.items()}
        samples = {"data/sort/samples.jsonl": lines(*ROWS)}
        eval_file = {"evals/sort.yaml": eval_of(kind, **arguments)}
        write_files(tmp_path, {**graders, **samples, **eval_file, **(files or {})})
        return tmp_path / "evals" / "sort.yaml"

    return write


def grader(**keys):
    return {"input_outputs": {"input": "completion"}, **keys}


GRADERS = {
    "closedqa": grader(
        prompt="Task: {input}\nReply: {completion}\nIt is: {criteria}, {{as}} {ideal}.\n"
        "Is it? First, write out in a step by step manner your reasoning.\n\nReasoning:",
        choice_strings="YN",
        choice_scores={"Y": 1.0, "N": 0.0},
    ),
    "likert": grader(prompt="p", choice_strings="123", choice_scores="from_strings"),
    "fact": grader(prompt="p", choice_strings="ABCDE"),
    "rhyming": grader(prompt="p", choice_strings="AB"),
    "battle": {"prompt": "p", "input_outputs": {"input1": "completion1", "input2": "completion2"}},
}


@every_row("folder, written", [
    ("evals", "sort.yaml"), ("", "evals/sort.yaml"), ("data", "../evals/sort.yaml"),
])  # fmt: skip
def test_an_eval_is_read_with_its_samples_from_any_folder(registry, monkeypatch, folder, written):
    path = registry("Match")
    monkeypatch.chdir(path.parents[1] / folder)

    suite = read_import(type(path)(written))

    assert [case["messages"] for case in suite.cases] == [row["input"] for row in ROWS]


#: A class with further arguments, the score, and what the two cases expect.
CLASSES = [
    ("Match", {}, "regex", [[r"^a \(b\)"], ["^other", "^none"]]),
    ("Includes", {}, "regex", [[r"a \(b\)"], ["other", "none"]]),
    ("Includes", {"ignore_case": True}, "regex", [[r"(?i)a \(b\)"], ["(?i)other", "(?i)none"]]),
    ("FuzzyMatch", {}, "contains", ["a (b)", ["other", "none "]]),
    ("MatchWithSolvers", {"task_description": "Do."}, "regex",
     [[r"^a \(b\)", r"^A \(b\)"], ["^other", "^Other"]]),
]  # fmt: skip


@every_row(("kind", "arguments", "score", "expected"), CLASSES)
def test_each_class_of_rules_has_its_score(registry, kind, arguments, score, expected):
    suite = read_import(registry(kind, **arguments))

    assert suite.score == score
    assert [case["expected"] for case in suite.cases] == expected
    described = suite.cases[0]["messages"][0]["content"] == "Do."
    assert described == ("task_description" in arguments)


def test_the_ideal_of_a_json_match_is_its_fields(registry):
    rows = lines({"input": "x", "ideal": '{"a": 1}'}, {"input": "y", "ideal": ['{"a": 2}', "{}"]})

    suite = read_import(registry("JsonMatch", {"data/sort/samples.jsonl": rows}))

    assert suite.score == "fields"
    assert [case["expected"] for case in suite.cases] == [{"a": 1}, [{"a": 2}, {}]]


@every_row("shot", SHOTS)
def test_few_shot_samples_are_examples_after_the_system_prompt(registry, shot):
    shots = {"data/shots.jsonl": lines(*[{"sample": shot}] * 3)}

    suite = read_import(registry("Match", shots, few_shot_jsonl="shots.jsonl", num_few_shot=2))

    assert suite.variant_keys("sort")["examples"] == {"from": "sort.examples.jsonl", "shots": 2}
    assert suite.more_files("sort")["sort.examples.jsonl"] == lines(*[{"messages": SHOT}] * 2)
    assert suite.prompts[0].system == "{% raw %}Sort {{ these }}.{% endraw %}"
    assert [case["input"] for case in suite.cases] == ["My money", "Hi"]


def test_a_program_gets_the_examples_within_the_conversation(registry):
    shots = {"data/shots.jsonl": lines({"sample": SHOTS[1]})}
    suite = read_import(registry("Match", shots, few_shot_jsonl="shots.jsonl", num_few_shot=1))

    suite.fit(lambda key: key != "examples")

    assert suite.cases[0]["messages"] == [SYSTEM, *SHOT, {"role": "user", "content": "My money"}]
    assert suite.variant_keys("sort") == {}


def test_a_case_that_is_one_of_the_examples_is_left_out_and_counted(registry):
    shot = [{"role": "user", "content": "my MONEY."}, {"role": "assistant", "content": "a"}]
    shots = {"data/shots.jsonl": lines({"sample": shot})}

    suite = read_import(registry("Match", shots, few_shot_jsonl="shots.jsonl", num_few_shot=1))

    assert [case["input"] for case in suite.cases] == ["Hi"]
    assert suite.notes == {"a case that is one of the examples is left out": 1}


def test_a_grader_of_the_registry_is_the_rubric_with_its_choices(registry):
    criteria = {"criteria": {"correct": "true {{ x }}"}}

    suite = read_import(
        registry("ModelBasedClassify", modelgraded_spec="closedqa", modelgraded_spec_args=criteria)
    )

    assert suite.rubric == (
        "Task: (the input)\nReply: (the reply)\n"
        "It is: {% raw %}true {{ x }}{% endraw %}, {as} {{ expected }}.\nIs it?"
    )
    assert suite.grades == {"Y": 1.0, "N": 0.0}


def test_a_field_of_the_samples_that_a_grader_reads_is_a_var(registry):
    rows = {"data/sort/samples.jsonl": lines({"input": "x", "criteria": "short"})}

    suite = read_import(registry("ModelBasedClassify", rows, modelgraded_spec="closedqa"))

    assert "It is: {{ criteria }}" in suite.rubric
    assert suite.cases[0]["vars"] == {"criteria": "short"}


@every_row(("spec", "grades"), [
    ("likert", {"1": 0.0, "2": 0.5, "3": 1.0}),
    ("fact", {"A": 1.0, "B": 1.0, "C": 1.0, "D": 0.0, "E": 1.0}),
])  # fmt: skip
def test_grades_of_another_scale_are_noted(registry, spec, grades):
    suite = read_import(registry("ModelBasedClassify", modelgraded_spec=spec))

    assert suite.grades == grades
    assert any("scores" in note for note in suite.notes)


def test_one_of_several_evals_is_named_behind_the_file(registry, tmp_path):
    first, second = (json.loads(eval_of(kind, samples_jsonl="s.jsonl")) for kind in ("A", "Match"))
    both = {"a.v1": first["sort.v1"], "b": {"id": "b.v1"}, "b.v1": second["sort.v1"]}
    files = {"evals/two.yaml": json.dumps(both), "evals/s.jsonl": lines(*ROWS)}
    registry("Match", files)
    path = tmp_path / "evals" / "two.yaml"

    for name in ("b", "b.v1"):
        assert len(read_import(type(path)(f"{path}::{name}")).cases) == 2
    with pytest.raises(ConfigurationError, match=r'no eval "b.v2"; did you mean "b.v1"'):
        read_import(type(path)(f"{path}::b.v2"))


def test_only_a_file_of_evals_has_parts(tmp_path):
    write_files(tmp_path, {"x.yaml": "prompts: [p]\nproviders: [openai:gpt-4.1]\ntests: []\n"})

    with pytest.raises(ConfigurationError, match="::b: only a file of OpenAI Evals"):
        read_import(tmp_path / "x.yaml::b")


def test_further_evals_of_a_file_are_named_with_what_to_type(registry, tmp_path):
    one = json.loads(eval_of("Match", samples_jsonl="sort/samples.jsonl"))["sort.v1"]
    registry("Match", {"evals/two.yaml": json.dumps({"a.v1": one, "b.v1": one})})
    path = tmp_path / "evals" / "two.yaml"

    (note,) = read_import(path).notes

    assert note == f"the further eval b.v1 of the file: pytest-ftgate import {path}::b.v1"


GRADED = "ModelBasedClassify"
REPLIES = {"data/sort/samples.jsonl": lines({"input": "x", "completion": "y", "choice": "Y"})}
#: A class, files, arguments, and the message.
REFUSED = [
    ("MMMU", {}, {"dataset": "hf://mmmu/mmmu?name=Art&split=dev"},
     "hf download mmmu/mmmu --repo-type dataset --local-dir mmmu && pytest-ftgate import mmmu/Art"),
    ("MakeMeSay", {}, {}, r"class MakeMeSay is code \(evals/elsuite/some/where.py\)"),
    ("Match", {}, {"samples_jsonl": "no.jsonl"},
     r'sort.yaml:1: samples_jsonl "no.jsonl" is none of .*evals/no.jsonl, .*data/no.jsonl'),
    ("Match", {}, {"samples_jsonl": ""}, "samples_jsonl is missing"),
    (GRADED, {}, {"modelgraded_spec": "no"}, r'"no" is in no file of .*modelgraded'),
    (GRADED, {}, {"modelgraded_spec": "battle"}, "several replies at once; .* compare: baseline"),
    (GRADED, {}, {"modelgraded_spec": "rhyming"},
     r'write choice_scores: {"A": 1, "B": 0} into .*rhyming.yaml'),
    (GRADED, REPLIES, {"modelgraded_spec": "closedqa"}, "labels of a judge"),
]  # fmt: skip


@every_row(("kind", "files", "arguments", "message"), REFUSED)
def test_what_cannot_be_a_suite_is_refused_with_what_to_do(
    registry, kind, files, arguments, message
):
    with pytest.raises(ConfigurationError, match=message):
        read_import(registry(kind, files, **arguments))


def test_samples_without_their_eval_are_looked_for_in_the_reply(tmp_path):
    write_files(tmp_path, {"samples.jsonl": lines(*ROWS)})

    suite = read_import(tmp_path / "samples.jsonl")

    assert (suite.score, suite.cases[0]["expected"]) == ("contains", "a (b)")
