"""Answers that tools for evaluations wrote are read: excerpts of real files, and of references."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

DATA = Path(__file__).parent / "data"


def excerpt(name, **columns):
    """Return the answers in an excerpt of a file that a tool has written."""
    return read_answers(f"{DATA / name}", Columns(**columns))


def read(tmp_path, content, name="a.json", **columns):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return read_answers(path, Columns(**columns))


def row_of(case_id, expected="word 0", **more):
    """Return the first row of an excerpt."""
    usual = {"line": 1, "id": case_id, "input": "Say word 0.", "score": 1.0}
    return AnswerRow(**usual | {"expected": expected, "reply": expected, **more})


INSPECT, WORDS, PICKS = "inspect_words.json", "lm_eval_words.jsonl", "lm_eval_picks.jsonl"
DEEPEVAL, PYDANTIC, PROMPTFOO = "deepeval.json", "pydantic_evals.json", "promptfoo.json"
TOOLS = {
    INSPECT: "Inspect log",
    **dict.fromkeys((WORDS, PICKS), "lm-evaluation-harness samples"),
    DEEPEVAL: "deepeval test run",
    PYDANTIC: "pydantic-evals report",
    PROMPTFOO: "promptfoo results",
}
STRICT, FLEXIBLE = "exact_match,strict", "exact_match,flexible"
W0, IN_SUMS = row_of("w0"), row_of("w0", tags=("sums",))
PICKED, OLD = row_of("0", "yes", choices=2), row_of("0", input="0")
#: A file, the columns that are named, its first row, all scores, and the score that is not read.
EXCERPTS = [
    # A column of the metadata needs no prefix.
    (INSPECT, {"by": ("metadata.topic",)}, IN_SUMS, [1, 1, 0, 0], "includes"),
    (INSPECT, {"by": ("topic",)}, IN_SUMS, [1, 1, 0, 0], "includes"),
    # Another filter is read by its name, and a metric by its first filter.
    (WORDS, {"by": ("topic",)}, row_of("0", tags=("t0",)), [1, 0, 0], FLEXIBLE),
    (WORDS, {"score": "exact_match"}, row_of("0"), [1, 0, 0], FLEXIBLE),
    (WORDS, {"score": FLEXIBLE}, row_of("0", line=4), [1, 1, 0], STRICT),
    # The choice with the largest likelihood is the reply.
    (PICKS, {}, PICKED, [1, 0], "acc_norm,none"),
    (DEEPEVAL, {}, IN_SUMS, [1, 1, 0, 0], "Exact"),
    (PYDANTIC, {"by": ("topic",)}, IN_SUMS, [1, 0, None], "Close"),
    (PYDANTIC, {"score": "Close"}, W0, [1, 0.25, None], "EqualsExpected"),
    # One of several outputs is named after the path.
    (f"{PROMPTFOO}::old-model", {}, OLD, [1, 0, 1, 1], "score"),
    (f"{PROMPTFOO}::new", {}, OLD, [1, 0, 0, 0], "score"),
]


@every_row(("name", "columns", "row", "scores", "unread"), EXCERPTS)
def test_a_file_of_a_tool_is_read_by_its_first_score_or_the_one_that_is_named(
    name, columns, row, scores, unread
):
    file = excerpt(name, **columns)

    first = replace(file.rows[0], run=None)
    assert (file.tool, first) == (TOOLS[name.partition("::")[0]], row)
    assert [one.score for one in file.rows] == scores
    failed = ["1 of 3 cases ended with an error: they have no reply"] * (name == PYDANTIC)
    assert [*file.notes] == [*failed, f"scores not read: {unread} (--score names one)"]


def test_replies_are_those_of_the_model_and_none_where_a_case_failed():
    # The first is what a filter rejected.
    assert excerpt(WORDS).rows[1].reply == "It is word 1"
    assert [one.reply for one in excerpt(PICKS).rows] == ["yes", "no"]
    assert excerpt(PYDANTIC).rows[2].reply is None
    assert [row.reply for row in excerpt(f"{PROMPTFOO}::new").rows][2:] == ["none", "none"]


# lm-evaluation-harness -------------------------------------------------------------------------


def test_a_score_that_a_file_does_not_have_is_met_with_those_it_has():
    with pytest.raises(ConfigurationError, match='no score "acc"; it has exact_match,strict'):
        excerpt(WORDS, score="acc")


def test_rows_without_the_named_column_keep_the_question_of_their_data_set():
    assert all(row.input for row in excerpt(WORDS, input="absent").rows)


def test_a_folder_has_the_newest_samples_of_each_task(tmp_path):
    for name in ("words_2026-01-01T10-00-00.1", "words_2026-01-02T10-00-00.1", "picks"):
        task = name.partition("_")[0]
        content = (DATA / f"lm_eval_{task}.jsonl").read_text("utf-8")
        # The older run of the two has no samples.
        (tmp_path / f"samples_{name}.jsonl").write_text("" if "01T" in name else content, "utf-8")

    file = read_answers(tmp_path, Columns())

    picks, said = ["picks/0", "picks/1"], ["words/0", "words/1", "words/2"]
    assert [row.id for row in file.rows] == [*picks, *said]
    assert [row.tags for row in file.rows] == [("picks",)] * 2 + [("words",)] * 3
    assert file.columns["score"] == "acc,none, exact_match,strict"


def test_a_folder_of_several_models_says_which_to_name(tmp_path):
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        content = (DATA / WORDS).read_text("utf-8")
        (tmp_path / name / "samples_words.jsonl").write_text(content, "utf-8")

    with pytest.raises(ConfigurationError, match=r"several results; name one of .*base, .*tuned"):
        read_answers(tmp_path, Columns())
    with pytest.raises(ConfigurationError, match="is a folder; name a file"):
        read_answers(DATA, Columns())


# Inspect -----------------------------------------------------------------------------------------

LOG = json.loads((DATA / INSPECT).read_text("utf-8"))


def test_a_score_of_several_values_is_named_by_scorer_and_value(tmp_path):
    samples = [{**LOG["samples"][0], "scores": {"judge": {"value": {"tone": 0.5, "fact": "I"}}}}]

    tone, fact = (
        read(tmp_path, {**LOG, "samples": samples}, score=score)
        for score in ("judge.tone", "judge.fact")
    )

    assert (tone.rows[0].score, fact.rows[0].score) == (0.5, 0)


def test_a_failed_sample_has_no_reply_and_a_log_that_ended_early_says_so(tmp_path):
    failed = {**LOG["samples"][1], "error": {"message": "no connection"}, "scores": {}}

    file = read(tmp_path, {**LOG, "status": "error", "samples": [LOG["samples"][0], failed]})

    assert (file.rows[1].reply, file.rows[1].score) == (None, None)
    assert file.notes[0] == "1 of 2 samples ended with an error: they have no reply"
    assert file.notes[1] == "the evaluation ended with the status error: samples may be missing"


def test_a_log_without_samples_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="has no samples: did the evaluation end"):
        read(tmp_path, {key: LOG[key] for key in ("eval", "status")})


def test_an_archive_is_read_like_a_file_of_json(tmp_path):
    path = tmp_path / "log.eval"
    with ZipFile(path, "w") as archive:
        header = {key: LOG[key] for key in ("eval", "status")}
        archive.writestr("header.json", json.dumps(header))
        for sample in LOG["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))

    assert read_answers(path, Columns()).rows == read(tmp_path, LOG).rows


def test_an_archive_of_inspect_is_read_or_names_the_missing_package():
    try:
        file = excerpt("inspect_picks.eval")
    except ConfigurationError as error:
        if any(find_spec(name) for name in ("zstandard", "compression")):
            raise
        assert "pip install zstandard, or convert it" in str(error)  # noqa: PT017
        return

    assert [(row.id, row.score) for row in file.rows] == [("1", 1), ("2", 1), ("3", 0), ("4", 0)]


def test_a_damaged_archive_is_no_log(tmp_path):
    path = tmp_path / "log.eval"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigurationError, match="is no Inspect log"):
        read_answers(path, Columns())

    with ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(ConfigurationError, match=r"it has no header\.json"):
        read_answers(path, Columns())


def test_a_sample_of_an_agent_has_what_it_used(tmp_path):
    call = {"id": "1", "function": "read_file", "arguments": {"path": "skills/pdf/SKILL.md"}}
    usage = {"input_tokens": 10, "input_tokens_cache_read": 90, "output_tokens": 5}
    sample = {
        **LOG["samples"][0],
        "messages": [{"role": "assistant", "content": "", "tool_calls": [call, call]}],
        # The model that grades is another.
        "model_usage": {"mockllm/model": usage, "openai/grader": {"input_tokens": 1000}},
        "total_time": 12.5,
        "limit": {"type": "time"},
    }

    row = read(tmp_path, {**LOG, "samples": [sample, {**sample, "epoch": 2}]}).rows[1]

    tokens = {"input_tokens": 100, "output_tokens": 5, "total_tokens": 105}
    used = {"seconds": 12.5, "tool_calls": 2, "uses": ("pdf",)}
    assert (row.id, row.run) == (
        "w0", RunFacts(model="mockllm/model", status="limit: time", **tokens, **used)
    )  # fmt: skip


# promptfoo ---------------------------------------------------------------------------------------

RESULTS = json.loads((DATA / PROMPTFOO).read_text("utf-8"))["results"]["results"]


@every_row("name", ["", "::model", "::other"])
def test_a_file_with_several_outputs_says_how_to_name_one(name):
    with pytest.raises(ConfigurationError, match=r'promptfoo\.json::old-model", ".*::new-model"'):
        excerpt(f"{PROMPTFOO}{name}")


def test_prompts_name_the_outputs_of_one_provider(tmp_path):
    path = tmp_path / "results.jsonl"
    rows = [
        {**r, "provider": "p", "promptIdx": n, "prompt": {"label": f"prompt {n}"}}
        for n in (0, 1)
        for r in RESULTS[:2]
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")

    assert len(read_answers(f"{path}::prompt 1", Columns(by=("topic",))).rows) == 2


def test_an_error_of_the_provider_is_no_wrong_answer(tmp_path):
    error = {"failureReason": 2, "error": "timeout", "response": {}, "success": False}
    own = [one for one in RESULTS if one["provider"] == RESULTS[0]["provider"]]
    results = [{**RESULTS[0], **error}, *own[1:]]

    file = read(tmp_path, {"results": {"results": results}})

    assert (file.rows[0].reply, file.rows[0].score) == (None, None)
    assert file.notes[0] == "1 of 4 tests ended with an error: they have no reply"


def repeated(times, **more):
    """Return the results of one provider with ``--repeat``, as the runs end: in no order."""
    own = [one for one in RESULTS if one["provider"] == RESULTS[0]["provider"]]
    runs = [one for one in own for _ in range(times)]
    numbered = [{**run, "testIdx": number, **more} for number, run in enumerate(runs)]
    return {"results": {"results": numbered[::-1]}}


def test_runs_of_a_repeated_test_are_repeats_of_one_case(tmp_path):
    file = read(tmp_path, repeated(3))

    assert file.unit == "test"
    assert Counter(row.id for row in file.rows) == {str(n): 3 for n in range(4)}


def test_a_repeated_test_keeps_its_number_where_other_results_are_lost(tmp_path):
    document = repeated(3)
    # The whole second test, and one run of the last one.
    kept = [one for one in document["results"]["results"] if one["testIdx"] not in (3, 4, 5, 10)]

    file = read(tmp_path, {"results": {"results": kept}})

    assert Counter(row.id for row in file.rows) == {"0": 3, "2": 3, "3": 2}
    assert "1 of 9 runs without a result, left out" in file.notes


def test_of_two_repeated_tests_one_may_have_lost_a_run(tmp_path):
    kept = [one for one in repeated(3)["results"]["results"] if one["testIdx"] in (0, 2, 3, 4, 5)]

    file = read(tmp_path, {"results": {"results": kept}})

    assert Counter(row.id for row in file.rows) == {"0": 2, "1": 3}
    assert "1 of 6 runs without a result, left out" in file.notes


def test_equal_tests_among_others_are_no_repeats(tmp_path):
    document = repeated(1)
    results = document["results"]["results"]
    results.append({**results[0], "testIdx": 9})

    assert [row.id for row in read(tmp_path, document).rows] == ["0", "1", "2", "3", "9"]


def test_a_result_of_an_agent_has_what_it_used(tmp_path):
    skills = [{"name": "pdf", "path": "skills/pdf/SKILL.md"}]
    metadata = {"toolCalls": [{"name": "Read"}] * 2, "skillCalls": skills}
    more = {
        "response": {"output": "x", "metadata": metadata},
        "cost": 0.5,
        "latencyMs": 1500,
        "tokenUsage": {"prompt": 10, "completion": 5, "total": 18},
    }

    run = read(tmp_path, repeated(1, **more)).rows[0].run

    tokens = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 18}
    used = {"cost_usd": 0.5, "seconds": 1.5, "tool_calls": 2, "uses": ("pdf",)}
    assert run == RunFacts(model="openai:chat:old", status="passed", **tokens, **used)


# OpenAI Evals ------------------------------------------------------------------------------------

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


@every_row("name, content", [
    ("items.json", {"object": "list", "data": [ITEM], "has_more": False}),
    ("items.jsonl", ITEM),
    ("items.json", [ITEM]),
    # An item of a stored data set holds its columns in "item".
    ("items.json", [{**ITEM, "datasource_item": {"item": ITEM["datasource_item"]}}]),
])  # fmt: skip
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
