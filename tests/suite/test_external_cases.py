"""A suite reads cases, recorded replies and skills from the files of any tool."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest
from ftgate_testing.agent_files import harbor_job, harbor_trial, write_document
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.suite_files import Like, errors_of, load_text, load_variants
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import RequestRejected
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.preflight import find_skill_contamination
from pytest_ftgate.requests.request_groups import base_variant, skill_requests, task_requests
from pytest_ftgate.scoring.scores import score_replies
from pytest_ftgate.suite.external_cases import reply_columns
from pytest_ftgate.suite.gate_kinds import skills_gate

DATA = Path(__file__).parents[1] / "readers" / "data"
PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")


def suite(folder, cases, replies, columns="{}", more=""):
    """Load a suite of cases in line 2 and recorded replies, with *columns* in line 1."""
    variant = f"a: {{provider: recorded, replies: {replies}}}"
    head, gates = f"columns: {columns}\n", "{accuracy: {max_drop: 0.5}}"
    return load_variants(folder, variant, head=head, cases=cases, gates=gates, more=more)


def replies(suite, variant="a"):
    """Return the recorded reply to each case."""
    with RecordedReplies() as recorded:
        return [
            recorded.reply_or_error(case_request.request)
            for case_request in task_requests(suite, suite.variants[variant], {})
        ]


def test_one_table_holds_cases_and_replies(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3, [1], topic="words"))

    read = suite(tmp_path, "a.jsonl", "a.jsonl", "{tags: topic}")

    assert [(case.id, case.expected, case.tags) for case in read.cases] == [
        (f"q{n}", f"word {n}", ("words",)) for n in range(3)
    ]
    assert [reply.text for reply in replies(read)] == ["word 0", "none", "word 2"]


def test_rows_without_ids_are_paired_by_input(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "id"} for row in answer_rows(3, [1])]
    write_rows(tmp_path / "a.jsonl", rows)
    write_rows(tmp_path / "b.jsonl", rows[::-1])

    read = suite(tmp_path, "a.jsonl", "b.jsonl")

    assert [reply.text for reply in replies(read)] == ["word 0", "none", "word 2"]


def test_a_text_beside_an_id_is_a_reply_and_a_case_without_one_has_none(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3))
    (tmp_path / "r.csv").write_text("id,text\nq0,word 0\nq1,none\n", "utf-8")

    *found, missing = replies(suite(tmp_path, "a.jsonl", "r.csv"))

    assert [reply.text for reply in found] == ["word 0", "none"]
    assert isinstance(missing, RequestRejected)


def test_lines_of_recorded_replies_have_no_columns():
    assert reply_columns(Path("replies.jsonl"), {}) is None


def test_the_example_of_the_page_runs(tmp_path):
    for name in ("base", "tuned"):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["ticket", "question", "label", "answer", "channel"])
            writer.writerows([n, f"q {n}", "a", "a", "mail"] for n in range(60))
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    read = load_text(tmp_path, example)

    assert read.cases[7].tags == ("mail",)
    assert replies(read, "tuned")[7].text == "a"


def test_a_log_of_a_tool_is_a_file_of_cases_replies_and_scores(tmp_path):
    copy(DATA / "inspect_words.json", tmp_path / "log.json")

    read = suite(tmp_path, "log.json", "log.json", more="reply: {score: recorded}\n")

    assert [case.id for case in read.cases] == ["w0", "w1", "w2", "w3"]
    found = [(reply.text, reply.score) for reply in replies(read)]
    assert found[1:3] == [("word 1", 1.0), ("none", 0.0)]


def test_repeated_replies_are_counted_and_cases_are_not_repeated(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3) * 2)

    read = suite(tmp_path, "a.jsonl", "a.jsonl", more="repeats: 2\n")

    assert len(read.cases) == 3
    assert len(task_requests(read, read.variants["a"], {}, repeats=2)) == 6


def test_a_case_without_the_named_input_is_told_the_key_that_is_like_it(tmp_path):
    rows = answer_rows(3)
    rows[1]["questoin"] = rows[1].pop("question")
    write_rows(tmp_path / "a.jsonl", rows)
    told = 'a.jsonl:2: no "question" (columns: input); did you mean "questoin"?'

    assert errors_of(suite, tmp_path, "a.jsonl", "a.jsonl", "{input: question}") == [told]
    # A line that cannot be read hides none behind it.
    write_rows(tmp_path / "b.jsonl", rows[1:])
    text = (tmp_path / "b.jsonl").read_text("utf-8")
    (tmp_path / "b.jsonl").write_text(f"no JSON\n{text}", "utf-8")
    found = errors_of(suite, tmp_path, "b.jsonl", "a.jsonl", "{input: question}")
    assert found == [Like("b.jsonl:1: not JSON: ..."), told.replace("a.", "b.")]


def test_other_columns_are_other_requests(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3, other="x"))
    suites = [suite(tmp_path, "a.jsonl", "a.jsonl", text) for text in ("{}", "{reply: other}")]

    prints = {
        case_request.fingerprint
        for read in suites
        for case_request in task_requests(read, read.variants["a"], {})
    }

    assert len(prints) == 6


@every_row(
    ("columns", "message"),
    [
        ("{input: ask}", '2: cases: ...input: no row has a "ask"...'),
        ("{inptu: x}", '1: unknown key "inptu"; did you mean "input"...'),
    ],
)
def test_a_wrong_column_is_an_error_of_the_suite(tmp_path, columns, message):
    write_rows(tmp_path / "a.jsonl", answer_rows(3))

    assert errors_of(suite, tmp_path, "a.jsonl", "a.jsonl", columns) == [Like(message)]


# Logs of other harnesses as skills ------------------------------------------------------------

#: Names that Inspect gives to its logs.
NAMED = [f"2026-11-28T23-06-2{n}+00-00_words_in_rows_CaJTHcCSdtRS4RC8PpZ2P{n}.json" for n in (1, 2)]


@pytest.fixture
def logs(tmp_path):
    """Return a suite whose base and variant are logs of other harnesses."""
    for name in ("base", "new"):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        for task in ("picks", "words"):
            log = folder / f"samples_{task}_2026-11-26T10-00-00.jsonl"
            copy(DATA / f"lm_eval_{task}.jsonl", log)
    for name in ("base.json", "new.json", *NAMED):
        copy(DATA / "inspect_words.json", tmp_path / name)

    def load(skills, base="base", new="new"):
        variant = f"new: {{provider: recorded, replies: {new}, base_replies: {base}}}"
        gates = f"{{forgetting: {{skills: {skills}, max_drop: 0.9}}}}"
        return load_variants(tmp_path, variant, gates=gates)

    return load


def scores(suite, variant):
    requests = skill_requests(suite, variant, skills_gate(suite).cases, {})
    with RecordedReplies() as recorded:
        return {request.case.id: recorded.reply(request.request).score for request in requests}


def test_tasks_of_lm_eval_are_skills_with_the_questions_and_scores_of_the_log(logs):
    suite = logs("{lm-eval: base}")
    cases = {case.id: case for case in skills_gate(suite).cases}
    variant = suite.variants["new"]

    assert {case.skill for case in cases.values()} == {"picks", "words"}
    assert cases["picks/0"].input == "Say word 0."
    assert cases["picks/0"].choices == 2
    assert cases["words/0"].choices is None
    for side in (variant, base_variant(variant)):
        found = scores(suite, side)
        assert found.keys() == cases.keys()
        assert found["picks/0"] == 1.0


def test_one_file_of_a_task_needs_no_prefix_in_its_ids(logs):
    file = "base/model/samples_picks_2026-11-26T10-00-00.jsonl"
    suite = logs(f"[{{lm-eval: {file}}}]", base=file, new=file)

    assert scores(suite, suite.variants["new"])["picks/0"] == 1.0


@every_row(("files", "task"), [(("base.json", "new.json"), "base"), (NAMED, "words_in_rows")])
def test_a_log_of_inspect_is_the_skill_of_its_task(logs, files, task):
    base, new = files
    suite = logs(f"{{inspect: {base}}}", base=base, new=new)
    samples = json.loads((DATA / "inspect_words.json").read_text("utf-8"))["samples"]

    found = scores(suite, suite.variants["new"])

    assert {f"{task}/{sample['id']}" for sample in samples} == {*found}
    assert {*found.values()} <= {0.0, 1.0}
    assert found == scores(suite, base_variant(suite.variants["new"]))


@every_row(
    ("skills", "base", "prefix"),
    [("{lm-eval: base}", "base", "words/"), ("{inspect: base.json}", "base.json", "base/")],
)
def test_a_sample_that_the_variant_was_trained_on_leaves_the_verdict(logs, skills, base, prefix):
    suite = logs(skills, base=base, new=base)
    gate = skills_gate(suite)
    case = next(case for case in gate.cases if case.id.startswith(prefix))
    turns = [{"role": "user", "content": case.input}, {"role": "assistant", "content": "word"}]
    file = suite.path.parent / "train.jsonl"
    file.write_text(json.dumps({"messages": turns}) + "\n", "utf-8")
    variant = replace(suite.variants["new"], training_data=file)
    contamination = find_skill_contamination(gate.cases, variant)
    sides = tuple(
        score_replies(side.name, requests, recorded_replies(requests), file.parent)
        for side in (variant, base_variant(variant))
        if (requests := skill_requests(suite, side, gate.cases, {}))
    )

    compared = SkillComparison({"": sides}, contamination=contamination)
    verdict = evaluate_forgetting(suite, gate, compared)

    same = {other.id for other in gate.cases if other.input == case.input}
    assert case.id in same
    assert contamination.case_ids == same
    assert verdict.checks[0].n == len(gate.cases) - len(same)


def recorded_replies(requests):
    with RecordedReplies() as recorded:
        return {request.fingerprint: recorded.reply(request.request) for request in requests}


@every_row(
    ("skills", "message"),
    [
        ("{lm_eval: base}", "name a log as {lm-eval: FOLDER} or {inspect: FILE}"),
        ("[general-small, {}]", "name a log as {lm-eval: FOLDER} or {inspect: FILE}"),
        ("{lm-eval: base.json}", "base.json: Inspect log, not lm-eval"),
        ("{lm-eval: nowhere}", "nowhere does not exist"),
    ],
)
def test_a_log_that_cannot_be_used_is_an_error_with_a_remedy(logs, skills, message):
    (error,) = errors_of(logs, skills)

    assert message in error


def test_a_job_of_agents_is_read_as_recorded_replies_and_each_result_in_it_counts(tmp_path):
    job = harbor_job(tmp_path / "job", {f"t{n}": [1.0, 0.0] for n in range(30)})
    write_document(tmp_path / "cases.json", [{"id": f"t{n}", "input": "x"} for n in range(30)])

    def requests():
        loaded = suite(tmp_path, "cases.json", "job", more="repeats: 2\nreply: {score: recorded}\n")
        return task_requests(loaded, loaded.variants["a"], {}, 2)

    before = requests()
    write_document(job / "t0__0000000" / "result.json", harbor_trial("t0", 0.0))

    assert len(before) == 60
    assert {one.fingerprint for one in before}.isdisjoint(one.fingerprint for one in requests())
