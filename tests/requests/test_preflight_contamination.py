"""Cases that a variant was trained on are counted, whatever the shape of the training data."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.plan import contamination_lines
from pytest_ftgate.requests.preflight import (
    Contamination,
    find_contamination,
    find_skill_contamination,
)
from pytest_ftgate.suite.cases import leveled_cases
from pytest_ftgate.suite.loader import load_suite

SUITE = """\
cases:
  - {id: a, input: Where is the parcel that I ordered?, expected: x}
  - {id: b, input: "Money back, please", expected: y}
  - {id: c, messages: [{role: user, content: "Hi"}, {role: user, content: Cancel it}], expected: z}
variants:
  current: {provider: anthropic, model: m}
  tuned: {like: current, model: n, base: m, training_data: t.jsonl}
gates: {accuracy: {min: 0.5}}
"""


@pytest.fixture
def found(tmp_path):
    """Return what a variant was trained on, given the rows of its training data."""

    def leaked(*rows, variant="tuned"):
        (tmp_path / "s.ftgate.yaml").write_text(SUITE)
        (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        suite = load_suite(tmp_path / "s.ftgate.yaml", tmp_path)
        return find_contamination(suite, suite.variants[variant])

    return leaked


OTHER = {"prompt": "Close my account", "completion": "w"}
IN = "where is the parcel, that I ordered"


@every_row(
    "row",
    [
        {"input": IN, "expected": "x"},
        {"instruction": "Sort the ticket.", "input": IN, "output": "x"},
        {"prompt": IN, "completion": "x", "label": False},
        {"text": f"<s>[INST] Sort the ticket: {IN} [/INST] x</s>"},
        {
            "conversations": [
                *({"from": "human", "value": IN}, {"from": "gpt", "value": "x"}),
                *({"from": "human", "value": "And now?"}, {"from": "gpt", "value": "y"}),
            ]
        },
    ],
)
def test_a_case_is_found_in_a_row_of_any_shape_with_its_line(found, row):
    assert found(OTHER, row) == Contamination(
        "tuned", "t.jsonl", cases=3, leaked=1, first_case="a", line=2
    )


def test_a_case_counts_once_with_the_first_line_that_holds_it(found):
    row = {"prompt": "please money back", "completion": "y"}

    assert found(row, row, {"prompt": "cancel it", "completion": "z"}) == Contamination(
        "tuned", "t.jsonl", cases=3, leaked=2, first_case="b", line=1
    )


@every_row("row", [OTHER, {"text": "He said: cancel it. Money back, please, he said."}])
def test_other_rows_and_short_texts_within_longer_ones_are_no_leak(found, row):
    assert found(row) is None


def test_a_variant_without_training_data_leaks_nothing(found):
    assert found({"input": IN, "expected": "x"}, variant="current") is None


@every_row(
    ("leaked", "told"),
    [
        (1, "1 of 1,000 cases is in t.jsonl, a (line 2)"),
        (30, "30 of 1,000 cases are in t.jsonl, as a (line 2)"),
    ],
)
def test_the_plan_counts_the_cases_and_names_the_first(leaked, told):
    one = Contamination("tuned", "t.jsonl", cases=1000, leaked=leaked, first_case="a", line=2)

    assert [*contamination_lines([one])] == [
        f"  tuned: {told}: the model may repeat them from memory"
    ]


@every_row("family", ["hard-conversation", "hard-honesty", "hard-long-context", "hard-mathematics"])
def test_a_case_of_a_level_is_found_whole_in_the_training_data(tmp_path, family):
    first, other, *_ = leveled_cases(family, 1)
    turns = first.messages or (("user", first.input),)
    messages = [{"role": role, "content": text} for role, text in turns]
    last = {"role": "user", "content": other.input_text[:20]}
    rows = [
        {"messages": [*messages, {"role": "assistant", "content": "12"}]},
        {"messages": [last, {"role": "assistant", "content": "12"}]},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    (tmp_path / "s.ftgate.yaml").write_text(SUITE, "utf-8")
    variant = load_suite(tmp_path / "s.ftgate.yaml", tmp_path).variants["tuned"]

    found = find_skill_contamination(leveled_cases(family, 1), variant)

    assert found is not None
    assert found.case_ids == {first.id}
