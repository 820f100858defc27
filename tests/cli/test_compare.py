"""The verb compare: its screen, its exit codes, and the files that it writes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from ftgate_testing.agent_files import benchmark, harbor_job, harbor_trial, write_document
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.tables import every_row

from pytest_ftgate.cli.main import main

SCREEN = """\
base.jsonl → same.jsonl   150 cases paired by id, scored by "exact"
PASSED  accuracy 100.0 % → 99.3 %, down 0.7 points (95 % CI 3.7 down to 1.8 up),
  limit 10 (what 150 cases can show)
  1 of 150 cases regressed, 0 fixed

note: read id, question (input), expected, answer (reply)
keep it as a gate: add --write NAME.ftgate.yaml
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A base, and candidates that pass, fail and are inconclusive, in the working folder."""
    monkeypatch.chdir(tmp_path)
    sides = {"base": (), "same": [3], "worse": range(60), "unsure": range(6), "zero": range(150)}
    rows = {name: answer_rows(150, wrong) for name, wrong in sides.items()}
    for name in sides:
        write_rows(tmp_path / f"{name}.jsonl", rows[name])
    others = {
        "few": rows["base"][:20],
        "few_unsure": answer_rows(20, [3]),
        "few_worse": answer_rows(20, range(15)),
        "shuffled": rows["worse"][::-1],
        "doubled": rows["worse"] * 2,
        "cut": rows["same"][:100],
        "cut_short": rows["same"][:40],
        "renumbered": [{**row, "id": f"q{n}"} for n, row in enumerate(rows["worse"][::-1])],
        "scored": [{**row, "score": 1} for row in rows["base"]],
        "gold": only(rows["base"], "id", "expected")[::-1],
        "batch": only(rows["base"], "id", "answer"),
        "batch_same": only(rows["same"], "id", "answer"),
        "nothing": rows["zero"],
        "batch_worse": only(rows["worse"], "id", "answer"),
        "labels": [{"label": "word", "predict": row["answer"]} for row in rows["base"][1:]],
        "labels_2": [{"label": "word", "predict": row["answer"]} for row in rows["worse"][:0:-1]],
        "models": [{**r, "model": m} for m in ("base", "worse") for r in rows[m]],
        "wide": [{**r, "tuned": w["answer"]} for r, w in zip(rows["base"], rows["worse"])],  # noqa: B905
    }
    for name, given in others.items():
        write_rows(tmp_path / f"{name}.jsonl", given)
    cells = [";".join(row.values()) for row in rows["worse"][::-1]]
    table = "\r\n".join(["sep=;", ";".join(rows["worse"][0]), *cells])
    (tmp_path / "excel.csv").write_text(table, "utf-16")
    return tmp_path


def only(rows, *keys):
    return [{key: row[key] for key in keys} for row in rows]


@every_row("code, arguments", [
    (0, "base.jsonl same.jsonl"),
    (0, "base.jsonl cut.jsonl --paired-only"),
    (0, "worse.jsonl excel.csv"),
    (0, "batch.jsonl batch_same.jsonl --cases gold.jsonl"),
    (1, "base.jsonl worse.jsonl"),
    (1, "base.jsonl same.jsonl worse.jsonl"),
    (1, "base.jsonl shuffled.jsonl"),
    (1, "base.jsonl renumbered.jsonl"),
    (1, "base.jsonl doubled.jsonl"),
    (1, "base.jsonl excel.csv"),
    (1, "few.jsonl few_worse.jsonl"),
    (1, "batch.jsonl batch_worse.jsonl --cases gold.jsonl"),
    (1, "models.jsonl::model=base models.jsonl::model=worse"),
    (1, "wide.jsonl::answer wide.jsonl::tuned"),
    (1, "labels.jsonl labels_2.jsonl --by-line --scorer contains"),
    (2, "base.jsonl absent.jsonl"),
    (2, "base.jsonl same.jsonl --scorer '{numeric: ['"),
    (2, "base.jsonl same.jsonl --max-drop 5"),
    (2, "base.jsonl cut_short.jsonl"),
    (2, "base.jsonl scored.jsonl"),
    (2, "base.jsonl base.jsonl::answer"),
    (2, "base.jsonl models.jsonl"),
    (2, "batch.jsonl batch_worse.jsonl"),
    (2, "base.jsonl"),
    (2, "batch.jsonl batch_worse.jsonl --cases labels.jsonl"),
    (2, "labels.jsonl labels_2.jsonl"),
    (3, "base.jsonl unsure.jsonl --max-drop 0.05"),
    (3, "few.jsonl few_unsure.jsonl"),
    (3, "base.jsonl cut.jsonl"),
    (3, "zero.jsonl nothing.jsonl"),
    (3, "base.jsonl same.jsonl cut.jsonl"),
])  # fmt: skip
def test_the_exit_code_says_how_it_ended(files, capsys, code, arguments):
    assert main(["compare", *shlex.split(arguments)]) == code


def test_the_screen_says_what_was_compared_and_how_to_keep_it(files, capsys):
    main(["compare", "base.jsonl", "same.jsonl"])

    assert capsys.readouterr().out == SCREEN


def test_reports_and_a_suite_are_written(files, capsys):
    reports = ["--markdown", "c.md", "--json", "c.json", "--write", "kept/qa.ftgate.yaml"]

    assert main(["compare", "base.jsonl", "worse.jsonl", *reports]) == 1

    assert "BLOCKED" in (files / "c.md").read_text("utf-8")
    assert json.loads((files / "c.json").read_bytes())["verdicts"][0]["outcome"] == "failed"
    assert sorted(path.name for path in (files / "kept").iterdir()) == [
        *("qa.base.jsonl", "qa.cases.jsonl", "qa.ftgate.yaml", "qa.worse.jsonl")
    ]
    assert "the same verdict: pytest --ftgate kept/qa.ftgate.yaml" in capsys.readouterr().out


def test_a_comparison_that_ends_with_an_error_leaves_no_report_of_an_earlier_one(files, capsys):
    reports = ["--json", "run.json", "--html", "page.html"]
    assert main(["compare", "base.jsonl", "same.jsonl", *reports]) == 0

    assert main(["compare", "base.jsonl", "absent.jsonl", *reports]) == 2

    assert not any((files / name).exists() for name in ("run.json", "page.html"))


def test_a_hostile_reply_cannot_speak_to_the_terminal(files, capsys):
    rows = [{**row, "answer": "\x1b[2J::error::x"} for row in answer_rows(150)]
    write_rows(files / "hostile.jsonl", rows)

    main(["compare", "base.jsonl", "hostile.jsonl"])

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert not any(line.startswith("::") for line in printed.splitlines())


def test_help_shows_examples_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])

    printed = capsys.readouterr().out
    assert "  pytest-ftgate compare base.jsonl tuned.jsonl\n" in printed
    assert "exit codes: 0 passed, 1 failed, 2 a file or an option cannot be used" in printed


@pytest.mark.parametrize(("lost", "said", "may_be_chance"), [
    (2, "worst tags: long 100 % → 96 % (down 4 points, 50 cases)", True),
    (5, "worst tags: long 100 % → 90 % (down 10 points, 50 cases)", False),
])  # fmt: skip
def test_the_tag_that_fell_most_is_told_and_whether_it_may_be_chance(
    files, capsys, lost, said, may_be_chance
):
    for name, wrong in (("tagged", 0), ("lost", lost)):
        rows = answer_rows(150, range(wrong), tags=lambda n: ["long" if n < 50 else "short"])
        write_rows(files / f"{name}.jsonl", rows)

    main(["compare", "tagged.jsonl", "lost.jsonl"])

    text = " ".join(capsys.readouterr().out.split())
    assert said in text
    assert (f"{said}, which may be chance" in text) is may_be_chance


# Results of agents -------------------------------------------------------------------------------

JOBS = """\
old → new   12 tasks, 5 runs each, paired by id, scored by the files' "reward"
"""
ARMS = """\
benchmark.json::without_skill → benchmark.json::with_skill
  12 tasks, 3 runs each, paired by id, scored by the files' "pass_rate"
"""


def test_two_jobs_of_agents_are_compared_task_by_task(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    harbor_job(tmp_path / "old", {f"task-{n}": [1.0] * 5 for n in range(12)})
    harbor_job(tmp_path / "new", {f"task-{n}": [float(n > 7)] * 5 for n in range(12)})

    assert main(["compare", "old", "new"]) == 1

    printed = capsys.readouterr().out
    assert printed.startswith(JOBS)
    assert "8 of 12 tasks, 5 runs each, went worse, 0 better" in printed
    # The files have no texts to show.
    assert "  went worse (5 of 8, -v shows more)\n    task-0  5 of 5 → 0 of 5\n" in printed
    assert "(empty)" not in printed


def test_every_run_of_a_task_counts_and_missing_ones_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lost = ["EnvironmentStartTimeoutError"] * 4
    harbor_job(tmp_path / "old", {f"task-{n}": [1.0] * 5 for n in range(40)})
    others = {f"task-{n}": [1.0] * 5 for n in range(39)}
    harbor_job(tmp_path / "new", {**others, "task-39": [1.0, *lost]})

    assert main(["compare", "old", "new"]) == 0

    text = " ".join(capsys.readouterr().out.split())
    assert "40 tasks, 1 to 5 runs each, paired by id" in text
    runs = "runs of a task: 5 in old, 1 to 5 in new; each task counts once, by their mean"
    missing = "new: 4 of 200 runs count as missing, not as wrong: EnvironmentStartTimeoutError (4)"
    assert f"note: {runs}" in text
    assert f"note: {missing}" in text


@pytest.mark.parametrize("claim", ["these_tasks", "tasks_like_these"])
@pytest.mark.parametrize(("last", "outcome"), [(1.0, 0), (0.0, 1)])
def test_every_line_on_results_of_agents_says_tasks_and_runs(
    tmp_path, monkeypatch, capsys, claim, last, outcome
):
    monkeypatch.chdir(tmp_path)
    tasks = [f"t{n}" for n in range(40)]
    harbor_job(tmp_path / "old", {task: [1.0, 0.0, 1.0, 1.0] for task in tasks})
    # Of the last two tasks a run, or all of them, left no row.
    kept = {task: [last, last, last, 0.0] for task in tasks[:-2]} | {"t38": [1.0, 0.0, 1.0]}
    harbor_job(tmp_path / "new", kept)

    code = main(["compare", "old", "new", "--claim", claim, "--max-drop", "0.3", "-vv"])

    printed = capsys.readouterr().out
    assert code == outcome
    assert "40 tasks, 3 to 4 runs each, paired by id" in printed
    assert "1 of 40 tasks of old are not in new, counted as tasks without a run" in printed
    assert not re.findall(r".*\b(?:cases?|repl(?:y|ies))\b.*", printed)


@every_row("count, runs, code, said", [
    (1, 2, 3, "1 of 1 tasks can be compared; so few show nothing: add tasks"),
    (2, 5, 3, "0 of 2 tasks went worse, 0 better"),
    (12, 1, 3, "12 tasks cannot rule out a drop of any size"),
])  # fmt: skip
def test_few_tasks_have_a_verdict_in_words_of_tasks(  # noqa: PLR0917 - rows and fixtures
    tmp_path, monkeypatch, capsys, count, runs, code, said
):
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        harbor_job(tmp_path / name, {f"t{n}": [float(n > 2)] * runs for n in range(count)})

    assert main(["compare", "old", "new"]) == code
    assert said in " ".join(capsys.readouterr().out.split())


def test_runs_that_weigh_a_part_of_one_are_counted_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before, after = [0.0, 0.25, 0.25, 0.5, 0.5] * 8, [1.0, 1.0, 1.0, 0.75, 1.0] * 8
    arms = {"without_skill": before, "with_skill": after}
    write_document(tmp_path / "benchmark.json", benchmark(arms, runs=5))
    main(["compare", "benchmark.json"])

    assert "0 of 8 tasks, 5 runs each, went worse" in capsys.readouterr().out


def test_a_benchmark_alone_compares_its_arms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arms = {"with_skill": [1.0] * 36, "without_skill": [0.5] * 36}
    write_document(tmp_path / "benchmark.json", benchmark(arms))

    assert main(["compare", "benchmark.json"]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith(ARMS)
    assert "accuracy 50.0 % → 100.0 %, up 50.0 points" in printed


def test_names_in_results_of_agents_cannot_speak_to_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    act = "\x1b[2J\n::error::x"
    for name, outcomes in (("old", [1.0] * 5), ("new", [0.0] * 4 + [act])):
        for number, outcome in enumerate(outcomes):
            trial = harbor_trial(f"{act}{number}", outcome)
            write_document(tmp_path / name / f"t__{number}" / "result.json", trial)

    assert main(["compare", "old", "new"]) in (1, 2, 3)

    captured = capsys.readouterr()
    printed = captured.out + captured.err
    assert "error::x" in printed
    assert "\x1b" not in printed
    assert not any(line.startswith("::") for line in printed.splitlines())


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Twelve tasks with five runs each, of an agent and of itself."""
    monkeypatch.chdir(tmp_path)
    for name, rewards in (("old", [1, 1, 1, 1, 0]), ("new", [0, 1, 1, 1, 1])):
        rows = [
            {"id": f"t{task}", "input": f"task {task}", "reply": f"{name} {run}", "score": reward}
            for task in range(12)
            for run, reward in enumerate(rewards)
        ]
        write_rows(tmp_path / f"{name}.jsonl", rows)


def test_few_cases_with_several_replies_have_a_verdict_about_themselves(runs, capsys):
    assert main(["compare", "old.jsonl", "new.jsonl"]) == 0
    screen = capsys.readouterr().out
    assert "about these 12 tasks alone: it says nothing of others like them" in screen

    # So few tasks stand for no others at the limit of 15 points, however they go.
    assert main(["compare", "old.jsonl", "new.jsonl", "--claim", "tasks_like_these"]) == 3
    screen = " ".join(capsys.readouterr().out.split())
    assert "limit 15 (the largest default; 12 cases are too few to show it)" in screen
    assert "tasks alone" not in screen


def test_an_open_comparison_prices_runs_against_tasks(runs, capsys):
    assert main(["compare", "old.jsonl", "new.jsonl", "--max-drop", "0.1"]) == 3
    screen = " ".join(capsys.readouterr().out.split())
    assert "12 tasks × 5 runs can show a drop of" in screen
    assert "12 × 10 would show" in screen
    assert "cases can rule out" not in screen


def test_one_agent_is_compared_with_itself_without_a_red_exit_code(runs, capsys):
    assert main(["compare", "--self", "old.jsonl", "--max-drop", "0.3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("old.jsonl against itself   12 tasks, 5 runs each, in halves of 2")
    assert "this gate, limit 30" in printed
    assert "PASSED" not in printed

    for more in (["new.jsonl"], ["--html", "page.html"], ["--write", "a.ftgate.yaml"]):
        assert main(["compare", "old.jsonl", *more, "--self"]) == 2
        assert "--self takes one file or folder of results" in capsys.readouterr().err


def test_an_unknown_claim_is_refused_with_the_known_ones(runs, capsys):
    assert main(["compare", "old.jsonl", "new.jsonl", "--claim", "all"]) == 2
    assert "write these_tasks or tasks_like_these" in capsys.readouterr().err


def test_a_few_missing_runs_leave_the_claim_about_these_tasks(runs, capsys):
    path = Path("new.jsonl")
    path.write_text("\n".join(path.read_text("utf-8").splitlines()[:-3]), "utf-8")

    main(["compare", "old.jsonl", "new.jsonl"])

    assert "about these 12 tasks alone" in capsys.readouterr().out


def test_a_comparison_of_few_tasks_is_kept_with_its_claim(runs, capsys):
    main(["compare", "old.jsonl", "new.jsonl", "--write", "kept.ftgate.yaml"])
    assert '"claim": "these_tasks"' in Path("kept.ftgate.yaml").read_text("utf-8")


def test_many_lost_runs_leave_a_comparison_open_although_each_task_has_some(runs, capsys):
    lines = Path("new.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    kept = [row if number % 5 else {**row, "score": None} for number, row in enumerate(rows)]
    write_rows(Path("new.jsonl"), kept)

    assert main(["compare", "old.jsonl", "new.jsonl"]) == 3
    screen = " ".join(capsys.readouterr().out.split())
    assert "12 of 60 runs of new are missing, and what got lost may have been" in screen
