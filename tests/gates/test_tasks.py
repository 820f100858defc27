"""Gates on these tasks alone: their runs are the sample, and not the tasks."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.tasks import check_task_minimum, task_notes, task_runs
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome

pytest_plugins = ["pytester"]
SUITE = """
cases: tasks.jsonl
reply: {{score: {{recorded: {{partial: true}}}}}}
repeats: {repeats}
variants:
  old: {{provider: recorded, replies: old.jsonl}}
  new: {{provider: recorded, replies: new.jsonl}}
gates:
  accuracy: {{{gate}}}
"""


def rows(rewards):
    lines = [
        {"id": f"t{task}", "text": f"run {run}", "score": reward}
        for task, runs in enumerate(rewards)
        for run, reward in enumerate(runs)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def run(pytester):
    def run(old, new, gate="claim: these_tasks, max_drop: 0.2", repeats=None):
        tasks = [json.dumps({"id": f"t{n}", "input": f"task {n}"}) for n in range(len(old))]
        pytester.path.joinpath("tasks.jsonl").write_text("\n".join(tasks))
        for name, rewards in (("old", old), ("new", new)):
            pytester.path.joinpath(f"{name}.jsonl").write_text(rows(rewards))
        text = SUITE.format(repeats=repeats or len(old[0]), gate=gate)
        pytester.path.joinpath("s.ftgate.yaml").write_text(text)
        return pytester.runpytest("--ftgate", "-vv")

    return run


#: Twelve tasks that go well four times in five.
STEADY = [[1, 1, 1, 1, 0]] * 12
OTHER_ORDER = [[0, 1, 1, 1, 1]] * 12


def test_runs_of_few_tasks_pass_a_limit_that_the_tasks_themselves_cannot_show(run):
    result = run(STEADY, OTHER_ORDER)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*old 80 %, new 80 % (0, limit 20, on these 12 tasks)"])
    refused = run(STEADY, OTHER_ORDER, "max_drop: 0.2")
    refused.stdout.fnmatch_lines(["*or write claim: these_tasks*about these 12 alone*"])


def test_a_drop_on_these_tasks_fails_and_the_words_say_which_tasks(run):
    result = run(STEADY, [[1, 0, 0, 1, 0]] * 12)

    result.stdout.fnmatch_lines(["*success on these 12 tasks down 40 points*limit 20*"])
    assert result.ret == 1


def test_an_open_check_names_the_runs_of_each_task_that_settle_it(run):
    result = run(STEADY, [[1, 1, 1, 0, 0], *OTHER_ORDER[1:]], "claim: these_tasks, max_drop: 0.12")

    result.stdout.fnmatch_lines(
        ["?*1 of 12 tasks, 5 runs each, went worse*", "*record 19 runs of each task*"]
    )
    assert "add cases" not in result.stdout.str()


def test_the_plan_counts_runs_of_tasks_and_takes_the_noise_of_each_side_alone(run, pytester):
    # Half of the tasks are lost, and no task varies: nothing of that is noise.
    steady = [[1] * 5] * 6
    run([*steady, *steady], [*steady, *[[0] * 5] * 6], "claim: these_tasks, max_drop: 0.2")

    plan = pytester.runpytest("--ftgate", "--ftgate-plan")

    plan.stdout.fnmatch_lines(
        ["*accuracy[[]new]  12 × 5 *20 *1 % differ*100 %*", "*tasks × the runs of each"]
    )


def test_graded_runs_are_compared_as_they_are(run):
    graded = [[0.9, 0.8, 0.7]] * 20
    run(graded, [[0.7, 0.9, 0.8]] * 20, "claim: these_tasks, max_drop: 0.25").assert_outcomes(
        passed=2
    )


def test_runs_that_are_copies_of_one_show_no_more_than_it(run, pytester):
    run(STEADY, OTHER_ORDER)
    lines = pytester.path.joinpath("new.jsonl").read_text("utf-8").splitlines()
    copied = [{**json.loads(line), "text": "the same", "score": 1} for line in lines]
    pytester.path.joinpath("new.jsonl").write_text("\n".join(map(json.dumps, copied)))
    result = pytester.runpytest("--ftgate", "-vv")

    result.stdout.fnmatch_lines(["*INCONCLUSIVE*", "*The runs of new are copies*"])


def test_a_minimum_holds_on_these_tasks(run):
    gate = "claim: these_tasks, max_drop: none, min: 0.6"
    assert run(STEADY, OTHER_ORDER, gate).ret == 0
    result = run(STEADY, [[0, 0, 1, 0, 0]] * 12, gate)

    result.stdout.fnmatch_lines(["*success on these 12 tasks*20 %*min 60 %*"])


@every_row(
    ("gate", "message"),
    [
        ("claim: these_tasks, max_drop: 0.04", "with 12 tasks and 5 runs each*write repeats: 7*"),
        ("claim: these_tasks, min: 0.99", "min: 0.99 cannot be proven with 12 tasks*"),
        ("claim: these, max_drop: 0.2", "claim*"),
        ("claim: these_tasks, evidence: point, max_drop: 0.2", "does not go with evidence: point*"),
        ("claim: these_tasks, stop_early: true, max_drop: 0.2", "asks every case*"),
        ("claim: these_tasks, slices: [tag], max_drop: 0.2", "is about these cases*"),
    ],
)
def test_a_claim_that_cannot_hold_is_refused_with_what_to_write(run, gate, message):
    result = run(STEADY, OTHER_ORDER, gate)

    result.stdout.fnmatch_lines([f"*{message}"])
    assert result.ret != 0


def test_two_tasks_are_too_few_and_equal_runs_are_a_plain_count(run):
    few = run(STEADY[:2], OTHER_ORDER[:2])
    few.stdout.fnmatch_lines(["*needs 3 tasks or more, and there are 2*"])
    once = run([[1]] * 12, [[1]] * 12)
    once.stdout.fnmatch_lines(["*the replies do not vary*a plain count*"])


def test_an_accepted_record_says_how_many_runs_of_a_task_were_right():
    samples = samples_from_cases(
        {
            "a": CaseSample(0.8, 5, "digest"),
            "b": CaseSample(0.55, 1, "digest"),
            "c": CaseSample(0.0, 2, "digest"),
        }
    )

    runs = task_runs(samples)
    assert runs.sums.tolist() == [4.0, 0.55, 0.0]
    assert runs.runs.tolist() == [5.0, 1.0, 2.0]


def test_two_tasks_with_a_reply_show_no_minimum():
    check = check_task_minimum(case_samples([1.0, 1.0, None]), minimum=0.5, levels=Levels())

    assert (check.outcome, check.missing) == (Outcome.INCONCLUSIVE, 1)
    assert check.notes == (note(NoteKind.TOO_FEW_REPLIES, n=2, of=3),)


@every_row(
    ("before", "told"),
    [
        ([0.5, 0.5, 0.5], [NoteKind.ONLY_THESE, NoteKind.RUNS_SHOW]),
        ([0.5, 0.5, None], [NoteKind.ONLY_THESE]),
        ([1.0, 1.0, 1.0], [NoteKind.ONLY_THESE]),
    ],
)
def test_what_more_runs_show_is_known_of_three_tasks_whose_runs_differ(before, told):
    sides = [case_samples(values, repeats=2) for values in (before, [1.0, 0.0, 1.0])]
    known = {"kind": CheckKind.BASELINE, "outcome": Outcome.INCONCLUSIVE, "limit": 0.2}
    check = Check(**known, n=6, after=0.6, before=0.5, tasks=3)

    assert [one.kind for one in task_notes(*sides, check)] == told
