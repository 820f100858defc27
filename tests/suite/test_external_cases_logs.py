"""The logs of other harnesses are skills: their questions, their scores as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copy

import pytest
from ftgate_testing.notes import texts
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.preflight import find_skill_contamination
from pytest_ftgate.requests.request_groups import base_variant, skill_requests
from pytest_ftgate.scoring.scores import score_replies
from pytest_ftgate.suite.gate_kinds import skills_gate
from pytest_ftgate.suite.loader import load_suite

DATA = Path(__file__).parents[1] / "readers" / "data"
SUITE = """\
cases: [{id: one, input: a, expected: b}]
variants:
  new: {provider: recorded, replies: NEW, base_replies: BASE}
gates: {forgetting: {skills: SKILLS, max_drop: 0.9}}
"""


@pytest.fixture
def logs(tmp_path):
    """Return a suite whose base and variant are logs of other harnesses."""
    for name in ("base", "new"):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        for task in ("picks", "words"):
            log = folder / f"samples_{task}_2026-11-26T10-00-00.jsonl"
            copy(DATA / f"lm_eval_{task}.jsonl", log)
        copy(DATA / "inspect_words.json", tmp_path / f"{name}.json")

    def load(skills, base="base", new="new"):
        text = SUITE.replace("SKILLS", skills).replace("BASE", base).replace("NEW", new)
        (tmp_path / "s.ftgate.yaml").write_text(text, "utf-8")
        return load_suite(tmp_path / "s.ftgate.yaml", tmp_path)

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


def test_a_log_of_inspect_is_a_skill(logs):
    suite = logs("{inspect: base.json}", base="base.json", new="new.json")
    samples = json.loads((DATA / "inspect_words.json").read_text("utf-8"))["samples"]
    found = scores(suite, suite.variants["new"])

    assert {f"base/{sample['id']}" for sample in samples} == {*found}
    assert {*found.values()} <= {0.0, 1.0}


def test_a_log_that_inspect_has_named_is_the_skill_of_its_task(logs, tmp_path):
    names = [f"2026-11-28T23-06-2{n}+00-00_words_in_rows_CaJTHcCSdtRS4RC8PpZ2P{n}" for n in (1, 2)]
    for name in names:
        copy(DATA / "inspect_words.json", tmp_path / f"{name}.json")
    base, new = (f"{name}.json" for name in names)
    suite = logs(f"{{inspect: {base}}}", base=base, new=new)

    found = scores(suite, suite.variants["new"])

    assert {key.partition("/")[0] for key in found} == {"words_in_rows"}
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

    verdict = evaluate_forgetting(
        suite, gate, SkillComparison({"": sides}, contamination=contamination)
    )

    same = [other.id for other in gate.cases if other.input == case.input]
    assert contamination is not None
    assert case.id in contamination.case_ids
    assert contamination.case_ids == {*same}
    assert verdict.checks[0].n == len(gate.cases) - len(same)
    assert any(
        note.endswith("what was trained on shows no forgetting") for note in texts(verdict.notes)
    )


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
    with pytest.raises(SuiteError) as caught:
        logs(skills)

    (error,) = caught.value.errors
    assert message in str(error)
