"""Replies that a tool writes one by one are read in the shape that its documentation gives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers


def read(tmp_path, rows, name="a.jsonl", **columns):
    path = tmp_path / name
    lines = json.dumps(rows) if path.suffix == ".json" else "\n".join(map(json.dumps, rows))
    path.write_text(lines, "utf-8")
    return read_answers(path, Columns(**columns))


def stat(name, mean):
    return {"name": {"name": name, "split": "test"}, "count": 1, "sum": mean, "mean": mean}


def helm(case, *stats, **more):
    return {"instance_id": case, "train_trial_index": 0, "stats": [*stats], **more}


def test_helm_instances_have_the_score_of_an_exact_match_before_other_figures(tmp_path):
    rows = [
        helm("id1", stat("num_prompt_tokens", 31.0), stat("exact_match", 1.0)),
        helm("id2", stat("num_prompt_tokens", 29.0), stat("exact_match", 0.0)),
        helm("id2", stat("exact_match", 1.0), perturbation={"name": "typos"}),
    ]

    file = read(tmp_path, rows, "per_instance_stats.json")

    assert [(row.id, row.score) for row in file.rows] == [("id1", 1.0), ("id2", 0.0)]
    assert file.columns == {"id": "instance_id", "score": "exact_match"}
    assert file.notes == (
        "not read: 1 of 3 instances, which have a perturbation",
        "scores not read: num_prompt_tokens (--score names one)",
    )


def test_a_helm_instance_whose_figures_are_damaged_is_an_error_and_not_left_out(tmp_path):
    rows = [helm("id1", stat("exact_match", 1.0)), {**helm("id2"), "stats": None}]

    with pytest.raises(ConfigurationError, match="a value is not what its tool writes there"):
        read(tmp_path, rows, "per_instance_stats.json")


def test_samples_of_every_eval_ever_are_read_with_their_choices(tmp_path):
    row = {
        "schema_version": "0.3.0",
        "sample_id": "s7",
        "input": {"raw": "2 + 2?", "reference": ["4"], "choices": ["3", "4"]},
        "output": {"raw": ["4"], "reasoning_trace": []},
        "evaluation": {"score": 1.0, "is_correct": True},
        "error": None,
    }
    failed = {**row, "sample_id": "s8", "output": {"raw": [""]}, "error": "timeout"}

    read_rows = read(tmp_path, [row, failed], "m_samples.jsonl").rows
    first, second = (replace(one, run=None) for one in read_rows)

    assert first == AnswerRow(
        line=1, id="s7", input="2 + 2?", expected=["4"], reply="4", score=1.0, choices=2
    )
    assert (second.reply, second.score) == (None, None)


def test_a_sample_of_an_agent_has_messages_in_place_of_an_output(tmp_path):
    call = {"id": "1", "name": "skill", "arguments": {"skill": "pdf"}}
    row = {
        "schema_version": "instance_level_eval_0.2.1",
        "sample_id": "s7",
        "model_id": "m",
        "interaction_type": "agentic",
        "input": {"raw": "Fill the form.", "reference": []},
        "output": None,
        "messages": [
            {"turn_idx": 0, "role": "assistant", "content": "", "tool_calls": [call]},
            {"turn_idx": 1, "role": "assistant", "content": "Done."},
        ],
        "evaluation": {"score": 0.5, "is_correct": False, "tool_calls_count": 1},
        "token_usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        "performance": {"latency_ms": 1500},
    }

    (read_row,) = read(tmp_path, [row], "m_samples.jsonl").rows

    tokens = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    used = {"seconds": 1.5, "tool_calls": 1, "uses": ("pdf",)}
    assert (read_row.reply, read_row.score) == ("Done.", 0.5)
    assert read_row.run == RunFacts(model="m", status="completed", **tokens, **used)


OPENAI = {"status_code": 200, "body": {"choices": [{"message": {"content": "refund"}}]}}
RESPONSES = {
    "body": {
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": "refund"}]},
        ]
    }
}
ANTHROPIC = {"type": "succeeded", "message": {"content": [{"type": "text", "text": "refund"}]}}


@every_row(
    "brought",
    [{"response": OPENAI, "error": None}, {"response": RESPONSES}, {"result": ANTHROPIC}],
)
def test_a_batch_is_read_by_its_own_ids_and_what_failed_is_counted(tmp_path, brought):
    failed = {"custom_id": "r-2", "response": None, "error": {"code": "batch_expired"}}

    file = read(tmp_path, [{"id": "b1", "custom_id": "r-1", **brought}, failed])

    assert [(row.id, row.reply) for row in file.rows] == [("r-1", "refund"), ("r-2", None)]
    assert file.notes == ("1 of 2 rows ended with an error: they have no reply",)


# Tables of other names ----------------------------------------------------------------------------


@every_row("row, read_as", [
    ({"prompt": "q", "predict": "a", "label": "b"}, ("q", "b", "a", None)),
    ({"Frage": "q", "Antwort": "a", "erwartet": "b"}, ("q", "b", "a", None)),
    ({"pregunta": "q", "respuesta": "b", "prediction": "a"}, ("q", "b", "a", None)),
    ({"id": 1, "answer": "b", "response": "b: so", "pred": "a"}, ("", "b", "a", None)),
    ({"query": "q", "gold": "b", "raw": "so: a", "extracted_answer": "a"}, ("q", "b", "a", None)),
    ({"question": "q", "gold_answers": "b", "final_answer": "a"}, ("q", "b", "a", None)),
    ({"question": "q", "final_answer": "b", "response": "a"}, ("q", "b", "a", None)),
    ({"text": "q", "true_label": "b", "base_pred_label": "a"}, ("q", "b", "a", None)),
    ({"user_query": "q", "pred_option": "a", "expected_tools": "b"}, ("q", "b", "a", None)),
    ({"no": 1, "prompt_text": "q", "gold_label": "b", "model_output": "a"}, ("q", "b", "a", None)),
    ({"inputs": {"question": "q"}, "outputs": {"answer": "a"}, "reference_outputs": {"answer": "b"},
      "feedback": {"correctness": 0}}, ("q", "b", "a", 0.0)),
    ({"inputs.question": "q", "outputs.answer": "a", "reference_outputs.answer": "b"},
     ("q", "b", "a", None)),
    ({"user_input": "q", "response": "a", "reference": "b", "faithfulness": 0.4},
     ("q", "b", "a", None)),
    ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
      "true_label": "b"}, ("q", "b", "a", None)),
])  # fmt: skip
def test_columns_are_known_by_the_names_that_tools_give_them(tmp_path, row, read_as):
    (found,) = read(tmp_path, [row]).rows

    assert (found.input, found.expected, found.reply, found.score) == read_as


@pytest.mark.parametrize("column", [
    "input_tokens", "prompt_hash", "question_id", "system_prompt", "target_lang", "expected_tokens",
    "correct_count", "is_answer", "rag_answer", "gold_score", "pred_ms",
])  # fmt: skip
def test_a_figure_and_what_describes_a_text_are_no_text(tmp_path, column):
    file = read(tmp_path, [{"id": 1, column: 3, "reply": "a"}])

    assert file.columns == {"id": "id", "reply": "reply"}
    assert file.unread == (column,)


def test_of_two_columns_that_may_be_the_answer_none_is_guessed(tmp_path):
    rows = [{"id": 1, "gold_label": "a", "gold_text": "b", "output": "a"}]

    assert read(tmp_path, rows).rows[0].expected is None


def test_a_column_of_a_table_is_named_behind_its_path(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("id,gold,gpt,llama\n1,a,a,b\n", "utf-8")

    replies = [
        read_answers(f"{path}::{name}", Columns()).rows[0].reply for name in ("gpt", "llama")
    ]

    assert replies == ["a", "b"]
    with pytest.raises(
        ConfigurationError, match='reply: no row has a "lama"; did you mean "llama"'
    ):
        read_answers(f"{path}::lama", Columns())


def test_the_rows_of_one_model_are_named_behind_the_path(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("id,gold,arm,output\n1,a,small,b\n1,a,large,a\n", "utf-8")

    (row,) = read_answers(f"{path}::arm=large", Columns()).rows

    assert (row.line, row.reply) == (3, "a")
    with pytest.raises(ConfigurationError, match=r'arm: no row has "larg"; did you mean "large"'):
        read_answers(f"{path}::arm=larg", Columns())
    with pytest.raises(
        ConfigurationError, match=r'long.csv has no column "am"; did you mean "arm"'
    ):
        read_answers(f"{path}::am=large", Columns())


def test_a_value_in_a_list_is_named_by_its_index(tmp_path):
    rows = [{"id": 1, "raw": {"choices": [{"text": "a"}, {"text": "b"}]}}]

    assert read(tmp_path, rows, reply="raw.choices.1.text").rows[0].reply == "b"


def test_scores_are_left_unread_where_replies_are_scored_by_a_rule(tmp_path):
    rows = [{"id": 1, "reply": "a", "expected": "a", "score": "n/a"}]

    assert read(tmp_path, rows, scores=False).rows[0].score is None
    assert read(tmp_path, rows, scores=False, score="score").rows[0].score is None
    with pytest.raises(ConfigurationError, match=r'a\.jsonl:1: the score is "n/a"'):
        read(tmp_path, rows)


def test_a_metric_of_all_samples_is_no_score_of_one(tmp_path):
    sample = {"doc_id": 0, "doc": {"text": "q"}, "filtered_resps": ["a"], "target": "a"}
    rows = [{**sample, "metrics": ["f1"], "f1": ["a", "a"], "filter": "none"}]

    file = read(tmp_path, rows)

    assert file.rows[0].score is None
    assert file.notes == ("not read: f1, a figure of all samples together",)
