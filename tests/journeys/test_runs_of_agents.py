"""Recorded runs of agents are gated as their runner wrote them, and by the skill that they used."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.agent_files import (
    benchmark,
    harbor_job,
    harbor_trial,
    trajectory,
    write_document,
)
from ftgate_testing.tables import every_row

from pytest_ftgate import evaluate, headline, step_line
from pytest_ftgate.cli.main import main
from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.verdict import Outcome

#: Twelve tasks with five runs each, two of which fail.
SAME = {f"task-{n:02}": [1.0] * 4 + [float(n > 1)] for n in range(12)}
WORSE = {task: [0.0] * 5 for task in SAME}
SUITE = """\
cases: {old}
reply: {{score: recorded}}
{repeats}variants:
  old: {{provider: recorded, replies: {old}}}
  new: {{provider: recorded, replies: {new}{more}}}
gates: {{accuracy: {{claim: these_tasks, max_drop: 0.3}}}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the runs of an old and of a new agent."""
    monkeypatch.chdir(tmp_path)
    harbor_job(tmp_path / "runs" / "main", SAME)
    harbor_job(tmp_path / "runs" / "new", SAME, "pdf")
    return tmp_path


def verdict(folder, more="", repeats="", old="runs/main", new="runs/new"):
    """Return the verdict on the new agent, with *more* keys of its variant."""
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(more=more, repeats=repeats, old=old, new=new), "utf-8")
    return evaluate(path).verdicts[-1]


def runs_of(folder, task):
    return len(evaluate(folder / "s.ftgate.yaml").scores["new"].results[task].scores)


def notes(found):
    from pytest_ftgate.reporting.notes import note_text

    return [note_text(note) for note in found.notes]


def test_folders_of_runs_are_gated_as_they_are_with_all_their_runs(folder):
    found = verdict(folder, ", format: harbor")

    assert (found.outcome, found.check.tasks, found.check.n) == (Outcome.PASSED, 12, 60)
    harbor_job(folder / "runs" / "new", WORSE)
    # Changed runs are new replies.
    assert verdict(folder).outcome is Outcome.FAILED


def test_two_new_runs_count_beside_the_others_and_a_number_that_leaves_some_out_is_told(folder):
    for task in ("task-02", "task-03"):
        trial = folder / "runs" / "new" / f"{task}__added"
        write_document(trial / "result.json", harbor_trial(task, 1.0))

    found = verdict(folder)
    assert (found.check.n, found.outcome) == (60, Outcome.PASSED)
    assert runs_of(folder, "task-02") == 6
    verdict(folder, repeats="repeats: 5\n")
    assert runs_of(folder, "task-02") == 5
    warnings = [str(one) for one in evaluate(folder / "s.ftgate.yaml").suite.warnings]
    assert "s.ftgate.yaml:3: repeats: 5 leaves out runs: a task has up to 6" in warnings[0]


def test_runs_that_their_runner_lost_are_missing_and_say_why(folder):
    harbor_job(folder / "runs" / "new", {**SAME, "task-05": ["VerifierTimeoutError"] * 5})

    assert verdict(folder).check.missing == 1


def test_a_skill_that_some_runs_used_is_told_in_how_many(folder):
    trace = folder / "runs" / "new" / "task-00__0000000" / "agent" / "trajectory.json"
    write_document(trace, trajectory(""))
    # A plugin stands before the names of its skills.
    write_document(trace.parents[2] / "task-00__0000001/agent/trajectory.json", trajectory("a:pdf"))

    found = verdict(folder, ", uses: pdf")

    assert found.outcome is Outcome.PASSED
    assert "skill pdf was used in 59 of 60 runs" in notes(found)


@every_row("used, told", [
    ("", "their traces name no skill"),
    ("pdfs", 'their traces name pdfs (60); did you mean "pdfs"?'),
])  # fmt: skip
def test_a_skill_that_no_run_used_makes_the_gates_of_its_variant_invalid(folder, used, told):
    harbor_job(folder / "runs" / "new", SAME, used)

    found = verdict(folder, ", uses: pdf")

    assert found.outcome is Outcome.INVALID
    assert headline(found).endswith(f": skill pdf was used in 0 of 60 runs: {told}")
    assert "correct uses:, in s.ftgate.yaml:5" in step_line(found.next[0])
    # What its step says leads out of it.
    harbor_job(folder / "runs" / "new", SAME, "pdf")
    assert verdict(folder, ", uses: pdf").outcome is Outcome.PASSED


def test_without_a_trace_the_use_of_a_skill_is_open_until_it_is_recorded(folder):
    harbor_job(folder / "runs" / "untraced", SAME)

    found = verdict(folder, ", uses: pdf", new="runs/untraced")

    told = "no trace says which skills 60 runs read: the use of pdf is not checked"
    assert (found.outcome, told in notes(found)) == (Outcome.PASSED, True)
    assert "agent/trajectory.json" in step_line(found.next[-1])
    for trial in (folder / "runs" / "untraced").glob("*__*"):
        write_document(trial / "agent" / "trajectory.json", trajectory("pdf"))
    assert "skill pdf was used in 60 of 60 runs" in notes(
        verdict(folder, ", uses: pdf", new="runs/untraced")
    )


def test_the_skill_of_recorded_lines_is_read_from_their_runs(folder):
    rows = [
        {"id": task, "text": "", "score": score, "run": {"uses": ["docx"]}}
        for task, scores in SAME.items()
        for score in scores
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "new.jsonl").write_text(lines, "utf-8")

    found = verdict(folder, ", uses: pdf", repeats="repeats: 5\n", new="new.jsonl")

    assert (found.outcome, "docx (60)" in headline(found)) == (Outcome.INVALID, True)


def test_the_arms_of_a_benchmark_are_variants(folder):
    arms = {"without_skill": [1.0, 0.0, 1.0] * 12, "with_skill": [1.0] * 36}
    write_document(folder / "benchmark.json", benchmark(arms))

    found = verdict(folder, old="benchmark.json::without", new="benchmark.json::with_skill")

    assert (found.outcome, found.check.after) == (Outcome.PASSED, 1.0)


@every_row("keys, told", [
    ({"more": ", format: harbour"}, 'there is no format "harbour"; did you mean "harbor"?'),
    ({"more": ", format: swe-bench"},
     'read as "Harbor job", not as swe-bench; write format: harbor'),
    ({"new": "runs/new::gpt"}, 'runs/new: none of its agents alone is called "gpt"'),
    ({"new": "runs"}, 'variant "new": replies: runs holds jobs of Harbor; name one of runs/main'),
    ({"old": "runs"}, "cases: runs holds jobs of Harbor; name one of runs/main, runs/new"),
])  # fmt: skip
def test_what_cannot_be_read_of_runs_is_an_error_with_its_line(folder, keys, told):
    with pytest.raises(SuiteError) as raised:
        verdict(folder, **keys)
    assert told in str(raised.value)


def test_init_writes_a_suite_of_runs_that_passes(folder, capsys):
    assert main(["init", "runs/main", "runs/new"]) == 0

    text = (folder / "runs.ftgate.yaml").read_text("utf-8")
    assert "wrote runs.ftgate.yaml: 12 tasks, 5 runs each, of runs/main and runs/new" in (
        capsys.readouterr().out
    )
    assert "new: {provider: recorded, replies: runs/new}" in text
    assert "{claim: these_tasks, max_drop: 0." in text
    assert evaluate(folder / "runs.ftgate.yaml").passed
    assert main(["init", "runs/main"]) == 1
    assert "nothing was overwritten" in capsys.readouterr().err


def test_init_writes_both_arms_of_a_benchmark_and_their_graded_score(folder):
    arms = {"without_skill": [1.0, 0.75, 1.0] * 12, "with_skill": [1.0] * 36}
    write_document(folder / "benchmark.json", benchmark(arms))

    assert main(["init", "benchmark.json"]) == 0

    run = evaluate(folder / "runs.ftgate.yaml")
    assert [one.variant for one in run.verdicts] == ["without_skill", "with_skill"]


def test_a_suite_that_compare_writes_of_runs_has_their_facts_and_the_same_verdict(folder, capsys):
    harbor_job(folder / "runs" / "worse", WORSE, "pdf")

    assert main(["compare", "runs/main", "runs/worse", "--write", "w.ftgate.yaml"]) == 1

    first = json.loads((folder / "w.worse.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["run"]["uses"], first["run"]["cost_usd"]) == (["pdf"], 0.25)
    assert evaluate(folder / "w.ftgate.yaml").verdicts[0].outcome is Outcome.FAILED


def test_runs_without_a_score_that_is_read_say_how_to_read_theirs(folder):
    verdict(folder)
    path = folder / "s.ftgate.yaml"
    path.write_text(path.read_text("utf-8").replace("reply: {score: recorded}\n", ""), "utf-8")

    with pytest.raises(SuiteError, match=r"of the files write reply: \{score: recorded\}"):
        evaluate(path)


def test_doctor_says_what_was_read_of_runs_and_what_is_missing(folder, capsys):
    harbor_job(folder / "runs" / "new", {**SAME, "task-05": ["VerifierTimeoutError"] * 5}, "pdf")
    verdict(folder)

    main(["doctor"])

    told = " ".join(capsys.readouterr().out.split())
    assert "new: read as Harbor job: 60 runs of 12 tasks, 60 with a trace" in told
    assert "5 of 60 runs count as missing, not as wrong: VerifierTimeoutError (5)" in told


def test_what_a_runner_does_not_state_is_left_to_the_runner(folder):
    verdict(folder)
    path = folder / "s.ftgate.yaml"
    usage = "usage: {max_tool_calls_per_task: 5}"
    path.write_text(path.read_text("utf-8").replace("gates: {", f"gates: {{{usage}, "), "utf-8")
    found = next(one for one in evaluate(path).verdicts if one.gate == "usage")

    assert "the runner of the agent has to write it into its results" in step_line(found.next[0])


def test_a_plan_counts_the_runs_of_these_tasks_and_says_so(desk, folder, monkeypatch):
    verdict(folder)
    # Elsewhere the cache would lie in the folder that all tests share.
    monkeypatch.chdir(folder)
    screen = desk.run("--ftgate-plan", "--rootdir=.", "s.ftgate.yaml").stdout.str()

    assert "accuracy[new]  12 × 5     30" in screen
    assert "cases:      of a gate with claim: these_tasks its tasks × the runs of each" in screen
    assert "60 cases can rule out" not in screen
