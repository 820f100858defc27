"""What docs/compare.md shows is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ftgate_testing.agent_files import harbor_job
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.pages import page

from pytest_ftgate.cli.main import main
from pytest_ftgate.readers.answer_rows import Columns

ROOT = Path(__file__).parents[2]
PAGE = page("compare")


def test_the_example_prints_what_the_page_shows(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    command, shown = re.findall(r"^```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[:2]

    code = main(shlex.split(command)[1:])

    assert code == 1
    assert capsys.readouterr().out == shown


def test_two_jobs_of_agents_end_as_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    all_right = {f"task-{n:02}": [1.0] * 5 for n in range(40)}
    one_lost = {"task-39": [1.0] * 4 + ["VerifierTimeoutError"]}
    wrong = {f"task-{n:02}": [0.0] * 5 for n in range(12)}
    harbor_job(tmp_path / "jobs" / "old", {**all_right, **one_lost})
    harbor_job(tmp_path / "jobs" / "new", {**all_right, **wrong})
    (shown,) = re.findall(r"^```\n(old → new\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    main(["compare", "jobs/old", "jobs/new"])

    assert capsys.readouterr().out == shown


def test_every_column_that_can_be_named_is_in_the_table():
    table = PAGE.partition("## Columns")[2].partition("##")[0]
    named = re.findall(r"^\| `--(\w+)` \|", table, re.MULTILINE)

    assert sorted([*named, "scores"]) == sorted(Columns.__dataclass_fields__)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("base", "tuned"):
        rows = answer_rows(200, topic=lambda n: f"t{n % 2}")
        write_rows(tmp_path / f"{name}.jsonl", rows)
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    exec(compile(example, "docs/compare.md", "exec"), {})

    assert "PASSED" in capsys.readouterr().out
    assert (tmp_path / "qa.ftgate.yaml").is_file()
