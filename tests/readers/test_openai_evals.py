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


def read(tmp_path, content, name="a.json", **columns):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return read_answers(path, Columns(**columns))


@every_row(
    ("name", "content"),
    [
        ("items.json", {"object": "list", "data": [ITEM], "has_more": False}),
        ("items.jsonl", ITEM),
        ("items.json", [ITEM]),
        # An item of a stored data set holds its columns in "item".
        ("items.json", [{**ITEM, "datasource_item": {"item": ITEM["datasource_item"]}}]),
    ],
)
def test_output_items_are_read_from_a_page_a_list_or_lines(tmp_path, name, content):
    file = read(tmp_path, content, name, by=("topic",))

    assert (file.tool, file.rows) == ("OpenAI Evals output items", (ROW,))


def test_of_several_graders_all_must_pass_unless_one_is_named(tmp_path):
    graders = [*ITEM["results"], {"name": "tone", "passed": False, "score": 0.25}]
    item = {**ITEM, "status": "fail", "results": graders}

    both, tone = (read(tmp_path, [item], score=score) for score in ("", "tone"))

    assert (both.rows[0].score, tone.rows[0].score) == (0, 0.25)
    assert both.notes == ("scores not read: match-1, tone (--score names one)",)


OVERLOADED = {**ITEM["sample"], "error": {"code": "x", "message": "overloaded"}}
#: Azure holds the reply among the columns, and may rate harm.
AZURE = {
    "object": ITEM["object"],
    "id": "1",
    "status": "completed",
    "datasource_item": {"query": "2 + 2", "sample.output_text": "four"},
    "results": [{"name": "Violence", "score": 0.0, "threshold": 3, "passed": True}],
}


@every_row(
    ("item", "reply", "score"),
    [(AZURE, "four", 1.0), ({**ITEM, "status": "error", "sample": OVERLOADED}, None, None)],
)
def test_an_item_of_azure_has_its_reply_and_one_that_ended_with_an_error_has_none(
    tmp_path, item, reply, score
):
    row = read(tmp_path, [item]).rows[0]

    assert (row.input, row.reply, row.score) == ("2 + 2", reply, score)


def test_a_grader_with_a_scale_of_its_own_is_read_by_what_passed_in_every_item(tmp_path):
    scores = [(0.5, False), (4.0, True), (1.0, False)]
    items = [
        {**ITEM, "datasource_item_id": n, "results": [{"name": "s", "score": score, "passed": ok}]}
        for n, (score, ok) in enumerate(scores)
    ]

    assert [row.score for row in read(tmp_path, items).rows] == [0.0, 1.0, 0.0]


def test_a_page_of_several_says_that_more_follow(tmp_path):
    notes = read(tmp_path, {"object": "list", "data": [ITEM], "has_more": True}).notes

    assert "a.json is one page of several: has_more is true" in notes[0]


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


def test_an_event_log_has_one_row_for_each_sample_and_any_metric_can_be_its_score(tmp_path):
    content = log(
        {"type": "metrics", "data": {"f1_score": 0.5, "words": 12}},
        {"type": "raw_sample", "data": {}},
    )

    default, f1 = (read(tmp_path, content, "log.jsonl", score=s) for s in ("", "f1_score"))

    row = AnswerRow(line=1, id="s.0", input="2 + 2", expected="4", reply="four", score=1.0)
    assert (default.rows, f1.rows[0].score) == ((row,), 0.5)
    assert default.notes == (
        "not read: events of type raw_sample",
        "scores not read: f1_score (--score names one)",
    )
