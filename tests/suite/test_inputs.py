"""The inputs of a suite: what is read, and what is refused with a remedy."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.inputs import compared, every, label_lines, labelled
from ftgate_testing.suite_files import Like, errors_of, load_text
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError

SUITE = """\
cases: [{{input: Where is it, expected: late}}]
inputs: {inputs}
reply: {{format: {{choice: [late, lost]}}{score}}}
variants: {{a: {{provider: recorded, replies: a.jsonl}}, b: {{like: a, replies: b.jsonl}}}}
gates: {gates}
"""
DROP = "{accuracy: {max_drop: 0.03}}"
FILES = {"a.jsonl": "", "b.jsonl": "", "p.jsonl": '{"id": "p1", "input": "Where is mine?"}\n'}


def load(folder, inputs="p.jsonl", gates=DROP, score="", **files):
    text = SUITE.format(inputs=inputs, gates=gates, score=score)
    return load_text(folder, text, {**FILES, **{f"{k}.jsonl": v for k, v in files.items()}})


def test_inputs_expect_nothing_and_keep_what_people_are_asked(tmp_path):
    suite = load(tmp_path, "{from: p.jsonl, labels: 40, instruction: Is it right?}")

    (case,) = suite.inputs.cases
    assert (case.id, case.is_scorable) == ("p1", False)
    assert (suite.inputs.most_labels, suite.inputs.instruction) == (40, "Is it right?")
    assert suite.inputs.labels_path == tmp_path / "s.pairs.jsonl"


def test_the_version_of_labels_says_whether_instruction_or_score_changed(tmp_path):
    versions = [
        load(tmp_path, inputs, score=score).inputs.version.split("-")
        for inputs, score in [
            ("p.jsonl", ""),
            ("{from: p.jsonl, instruction: Is it polite?}", ""),
            ("p.jsonl", ", score: contains"),
        ]
    ]

    plain, asked, scored = versions
    assert (plain[0] != asked[0], plain[1] == asked[1]) == (True, True)
    assert (plain[0] == scored[0], plain[1] != scored[1]) == (True, True)


def test_an_input_that_is_a_case_counts_once(tmp_path):
    both = FILES["p.jsonl"] + '{"id": "p2", "input": "Where is it"}\n'

    assert [case.id for case in load(tmp_path, p=both).inputs.cases] == ["p1"]


@every_row(
    "changed, errors",
    [
        ({"inputs": "q.jsonl"}, [Like("2: ...q.jsonl...")]),
        ({"p": ""}, ["2: inputs: p.jsonl holds no input; write what production was asked"]),
        ({"p": '{"input": "Where is it"}\n'},
         ["2: inputs: all of them are cases too; write what production was asked"]),
        ({"p": '{"input": "x", "expected": "late"}\n'},
         ['p.jsonl:1: an input has no "expected": it belongs into cases']),
        ({"gates": "{accuracy: {max_drop: 0.03, stop_early: true}}"},
         [Like("5: accuracy: stop_early does not go with inputs...; remove it")]),
        ({"gates": "{accuracy: {max_drop: 0.03, evidence: point}}"},
         ["5: accuracy: evidence: point does not go with inputs, whose labels are a sample"]),
        ({"gates": "{accuracy: {max_drop: 0.03, settle: 5}}"},
         [Like("5: accuracy: settle does not go with inputs...")]),
        ({"gates": "{format: {min: 0.9}}"}, [Like("2: inputs: no gate reads them; write ...")]),
        ({"gates": "{accuracy: {min: 0.5, max_drop: none}}"},
         [Like("5: accuracy: inputs compare with the baseline, and max_drop: none does not")]),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_compared_are_refused_with_their_line(tmp_path, changed, errors):
    assert errors_of(load, tmp_path, **changed) == errors


def test_balanced_accuracy_and_inputs_do_not_go_together(tmp_path):
    found = errors_of(
        load, tmp_path, gates="{accuracy: {max_drop: 0.03, metric: balanced_accuracy}}"
    )

    assert (
        "5: accuracy: balanced_accuracy needs expected answers, which inputs lack; remove inputs"
        in found
    )


def test_labels_are_read_with_their_lines_and_survive_being_written(tmp_path):
    labels = labelled(compared(20, differ=3), 3, every("both")).inputs.labels
    (tmp_path / "s.pairs.jsonl").write_text(label_lines(labels), "utf-8")
    read = load(tmp_path).inputs.labels

    assert [label.location for label in read] == [f"s.pairs.jsonl:{n}" for n in (1, 2, 3)]
    assert label_lines(read) == label_lines(labels)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"variant": "new"}, 'a label has the key "variant"; labels are given without knowing'),
        ({"answer": "maybe"}, "answer"),
        ({"place": 0}, "place"),
    ],
)
def test_a_label_that_tells_who_answered_or_says_nothing_is_refused(tmp_path, changed, error):
    (label,) = labelled(compared(20, differ=1), 1, every("both")).inputs.labels
    row = {**json.loads(label.line), **changed}
    (tmp_path / "s.pairs.jsonl").write_text(json.dumps(row) + "\n", "utf-8")

    with pytest.raises(SuiteError) as caught:
        load(tmp_path)
    (found,) = caught.value.errors
    assert "s.pairs.jsonl:1" in str(found)
    assert error in str(found)
