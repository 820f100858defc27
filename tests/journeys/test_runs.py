"""No file of an agent's runs turns green falsely: each way of breaking a job, on every face."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ftgate_testing.agent_files import harbor_job, write_document
from ftgate_testing.faces import FACES, Seen, faces_that_say_passed

from pytest_ftgate.cli.main import main

#: Twelve tasks of which the runs vary, five runs each.
RUNS = {f"task-{n:02}": [1.0] * (5 - n % 3) + [0.0] * (n % 3) for n in range(12)}
LOST = "EnvironmentStartTimeoutError"
REPORTS = {"record": "run.json", "markdown": "report.md", "page": "report.html"}


def job(change):
    """Return what writes the new job, each task as *change* makes it of its runs and number."""

    def write(folder: Path) -> None:
        changed = {task: change(runs, n) for n, (task, runs) in enumerate(RUNS.items())}
        harbor_job(folder, {task: runs for task, runs in changed.items() if runs})

    return write


def without_verdicts(folder: Path) -> None:
    harbor_job(folder, RUNS)
    for trial in folder.glob("*/result.json"):
        write_document(trial, {"task_name": trial.parent.name.partition("__")[0]})


def empty(folder: Path) -> None:
    harbor_job(folder, RUNS)
    for trial in folder.glob("task-*"):
        shutil.rmtree(trial)


#: What breaks the new job.
BROKEN = {
    "every task fails": job(lambda runs, n: [0.0] * 5),
    "a third of the tasks fails": job(lambda runs, n: [0.0] * 5 if n < 4 else runs),
    "every task fails more often": job(lambda runs, n: runs[:2] + [0.0] * 3),
    "no environment starts": job(lambda runs, n: [LOST] * 5),
    "most environments do not start": job(lambda runs, n: runs[:1] + [LOST] * 4),
    "half of the environments do not start": job(lambda runs, n: [*runs[:1], LOST]),
    "runs that failed are lost": job(lambda runs, n: [run or LOST for run in runs]),
    "tasks that fail are lost": job(lambda runs, n: [LOST] * 5 if n % 3 == 2 else runs),
    "tasks that fail are absent": job(lambda runs, n: [] if n % 3 == 2 else runs),
    "only two tasks are left": job(lambda runs, n: runs if n < 2 else []),
    "no trial is verified": without_verdicts,
    "no trial is left": empty,
}


def seen(folder: Path, capsys, write) -> Seen:
    """Return what a comparison shows of the job that *write* makes with one that is well."""
    harbor_job(folder / "old", RUNS)
    write(folder / "new")
    reports = ("--json", "run.json", "--markdown", "report.md", "--html", "report.html")
    code = main(["compare", "old", "new", "--max-drop", "0.2", *reports])
    printed = "".join(capsys.readouterr())
    texts = {
        face: path.read_text("utf-8") if (path := folder / name).exists() else ""
        for face, name in REPORTS.items()
    }
    return Seen(
        gate="accuracy", variant="new", code=code, closing=printed, printed=printed, **texts
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BROKEN)
def test_no_face_of_a_broken_job_says_passed(name, folder, capsys):
    shown = seen(folder, capsys, BROKEN[name])

    assert faces_that_say_passed(shown) == [], shown.printed


def test_every_face_says_passed_of_a_job_that_is_as_good(folder, capsys):
    shown = seen(folder, capsys, job(lambda runs, n: [*reversed(runs)]))

    assert {*FACES} - {*faces_that_say_passed(shown)} == {"JUnit"}, shown.printed
    # What the runs took stands on each of them as well.
    for face in (shown.printed, shown.markdown, shown.page):
        assert "cost per success" in face
    assert "| runs of new" in shown.markdown
    assert json.loads(shown.record)["verdicts"][0]["runs"][0]["name"] == "pass@1"
