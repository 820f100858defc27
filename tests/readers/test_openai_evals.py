"""Exports of OpenAI Evals are read, in the form of its reference."""

from __future__ import annotations

import json

from ftgate_testing.tables import every_row

from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

ITEM = {
    "object": "eval.run.output_item",
    "id": "outputitem_1",
    "datasource_item_id": 5,
    "datasource_item": {"question": "2 + 2", "ground_truth": "4", "topic": "sums"},
    "status": "pass",
    "results": [{"name": "match-1", "passed": True, "score": 1.0}],
    "sample": {
        "input": [{"role": "user", "content": "What is 2 + 2?"}],
        "output": [{"role": "assistant", "content": "four"}],
    },
}
ROW = AnswerRow(
    line=1, id="5", input="2 + 2", expected="4", reply="four", score=1.0, tags=("sums",)
)


def read(tmp_path, name, content, **columns):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    return read_answers(path, Columns(**columns))


@every_row(
    ("name", "content"),
    [
        ("items.json", json.dumps({"object": "list", "data": [ITEM], "has_more": False})),
        ("items.jsonl", json.dumps(ITEM)),
        ("items.json", json.dumps([ITEM])),
    ],
)
def test_output_items_are_read_from_a_page_a_list_or_lines(tmp_path, name, content):
    file = read(tmp_path, name, content, by=("topic",))

    assert file.tool == "OpenAI Evals output items"
    assert file.rows == (ROW,)


def test_an_item_of_a_stored_data_set_holds_its_columns_in_item(tmp_path):
    item = {**ITEM, "datasource_item": {"item": ITEM["datasource_item"]}}

    assert read(tmp_path, "a.jsonl", json.dumps(item), by=("topic",)).rows == (ROW,)


def test_of_several_graders_all_must_pass_unless_one_is_named(tmp_path):
    graders = [*ITEM["results"], {"name": "tone", "passed": False, "score": 0.25}]
    content = json.dumps({**ITEM, "status": "fail", "results": graders})

    both, tone = (read(tmp_path, "a.jsonl", content, score=score) for score in ("", "tone"))

    assert (both.rows[0].score, tone.rows[0].score) == (0, 0.25)
    assert both.notes == ("scores not read: match-1, tone (--score names one)",)


def test_an_item_of_azure_holds_its_reply_among_its_columns_and_may_rate_harm(tmp_path):
    source = {"query": "2 + 2", "sample.output_text": "four"}
    results = [{"name": "Violence", "score": 0.0, "threshold": 3, "passed": True}]
    item = {"object": ITEM["object"], "datasource_item": source, "results": results}

    row = read(tmp_path, "a.jsonl", json.dumps({**item, "id": "1", "status": "completed"})).rows[0]

    assert (row.input, row.reply, row.score) == ("2 + 2", "four", 1.0)


def test_a_grader_with_a_scale_of_its_own_is_read_by_what_passed_in_every_item(tmp_path):
    scores = [(0.5, False), (4.0, True), (1.0, False)]
    items = [
        {**ITEM, "datasource_item_id": n, "results": [{"name": "s", "score": score, "passed": ok}]}
        for n, (score, ok) in enumerate(scores)
    ]

    rows = read(tmp_path, "a.json", json.dumps(items)).rows

    assert [row.score for row in rows] == [0.0, 1.0, 0.0]


def test_a_page_of_several_says_that_more_follow(tmp_path):
    page = {"object": "list", "data": [ITEM], "has_more": True}

    notes = read(tmp_path, "a.json", json.dumps(page)).notes

    assert "a.json is one page of several: has_more is true" in notes[0]


def test_an_item_that_ended_with_an_error_has_no_reply(tmp_path):
    sample = {**ITEM["sample"], "error": {"code": "x", "message": "overloaded"}}
    item = {**ITEM, "status": "error", "sample": sample}

    row = read(tmp_path, "a.jsonl", json.dumps(item)).rows[0]

    assert (row.reply, row.score) == (None, None)


def log(*more):
    """Return an event log of one sample, as `oaieval` writes it, with *more* events."""
    prompt = [{"role": "system", "content": "Add."}, {"role": "user", "content": "2 + 2"}]
    events = [
        {"spec": {"run_id": "r"}},
        {"final_report": {"accuracy": 1.0}, "run_id": "r"},
        {"type": "sampling", "data": {"prompt": prompt, "sampled": ["four"], "model": "m"}},
        {"type": "match", "data": {"correct": True, "expected": "4", "picked": ["4"]}},
        *more,
    ]
    common = {"run_id": "r", "event_id": 0, "sample_id": "s.0"}
    return "\n".join(json.dumps({**common, **e} if "type" in e else e) for e in events)


def test_any_metric_of_an_event_log_can_be_the_score(tmp_path):
    content = log({"type": "metrics", "data": {"f1_score": 0.5, "words": 12}})

    default, f1 = (read(tmp_path, "log.jsonl", content, score=s) for s in ("", "f1_score"))

    assert (default.rows[0].score, f1.rows[0].score) == (1.0, 0.5)
    assert default.notes == ("scores not read: f1_score (--score names one)",)


def test_an_event_log_has_one_row_for_each_sample(tmp_path):
    file = read(tmp_path, "log.jsonl", log({"type": "raw_sample", "data": {}}))

    expected = AnswerRow(line=1, id="s.0", input="2 + 2", expected="4", reply="four", score=1.0)
    assert file.rows == (expected,)
    assert file.notes == ("not read: events of type raw_sample",)
