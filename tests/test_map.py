"""The table "to add X, change Y" in CONTRIBUTING.md holds: a toy of each kind works by its row."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.toys import ROOT, TOYS, add_toy, package_files, rows_of

CASES = 40
WORDS = [f"word{number:02}" for number in range(CASES)]
MIRRORED = [word[::-1] for word in WORDS]
VERB = "import sys; from pytest_ftgate.cli.main import main; sys.exit(main())"
GATE = ("-m", "pytest", "-p", "pytest_ftgate.plugin.hooks", "--ftgate", "-v")
MOST_FILES = {
    "add a kind of gate": 3,
    "add a provider": 2,
    "add a scorer": 2,
    "read the files of another tool": 2,
    "add a column to the table of verdicts": 1,
    "reword a part of a verdict, in all reports": 1,
    "add a verb to the command line": 2,
    "change a default limit": 1,
    "add a report format": 3,
}

MIRRORS = """\
cases: words.cases.jsonl
reply: {score: mirrored}
variants:
  current: {provider: recorded, replies: current.jsonl}
  worse: {provider: recorded, replies: worse.jsonl}
  toy: {provider: mirror}
gates:
  accuracy: {max_drop: 0.25}
  toxicity: {max_rate: 0.08, words: ["1drow"]}
"""
SHOUTS = """\
cases: words.cases.jsonl
reply: {score: shouted}
variants:
  quiet: {provider: recorded, replies: quiet.jsonl}
  loud:
    provider: recorded
    replies: loud.jsonl
    base_replies: quiet.jsonl
    training_data: rows.jsonl
gates: {accuracy: {}, data: {}}
"""


def write_replies(path, texts):
    rows = zip(WORDS, texts, strict=True)
    write_rows(path, ({"id": word, "text": text} for word, text in rows))


def write_suites(folder):
    """Write two suites: of mirrored words, of which *worse* has half, and of shouted words."""
    cases = ({"id": word, "input": word, "expected": word} for word in WORDS)
    write_rows(folder / "words.cases.jsonl", cases)
    write_replies(folder / "current.jsonl", MIRRORED)
    write_replies(folder / "worse.jsonl", [*WORDS[:20], *MIRRORED[20:]])
    write_replies(folder / "quiet.jsonl", WORDS)
    write_replies(folder / "loud.jsonl", [word.upper() for word in WORDS])
    write_rows(folder / "rows.jsonl", ({"prompt": f"say {n}", "completion": "x"} for n in "abc"))
    (folder / "mirrors.ftgate.yaml").write_text(MIRRORS, "utf-8")
    (folder / "shouts.ftgate.yaml").write_text(SHOUTS, "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def start(folder, tmp_path_factory):
    """Return a function that starts Python with a copy of the package that has every toy."""
    package = tmp_path_factory.mktemp("library") / "pytest_ftgate"
    ignored = shutil.ignore_patterns("__pycache__", ".ftgate")
    shutil.copytree(ROOT / "pytest_ftgate", package, ignore=ignored)
    for toy in TOYS.values():
        add_toy(toy, package)
    more = {"PYTHONPATH": str(package.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    kept = {"cwd": folder, "env": os.environ | more | {"COLUMNS": "160"}}

    def start(*command):
        words = [sys.executable, *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, **kept)

    return start


@pytest.fixture(scope="module")
def faces(folder, start):
    """Evaluate the suites once, and return what a user reads: the output and each report."""
    write_suites(folder)
    files = {name: f"run.{name}" for name in ("markdown", "html", "json", "tally")}
    done = start(*GATE, *(f"--ftgate-{name}={file}" for name, file in files.items()))
    assert done.returncode == 1, done.stdout + done.stderr
    texts = {name: (folder / file).read_text("utf-8") for name, file in files.items()}
    page = unescape(texts["html"]).replace("\N{NO-BREAK SPACE}", " ")
    return {"terminal": done.stdout, **texts, "html": page}


def recorded(faces, gate, variant):
    """Return a verdict as the run record has it."""
    verdicts = json.loads(faces["json"])["verdicts"]
    return next(v for v in verdicts if (v["gate"], v["variant"]) == (gate, variant))


def test_a_provider_answers_the_cases(faces):
    assert recorded(faces, "accuracy", "toy")["outcome"] == "passed"
    assert "toy 100 %" in faces["terminal"]
    assert "40 requested" in faces["terminal"]


def test_a_scorer_of_texts_and_one_of_replies_tell_right_replies_from_wrong_ones(faces):
    assert "current 100 % → worse 50 %" in faces["terminal"]
    assert "quiet 100 %, loud 100 %" in faces["terminal"]


def test_a_column_is_in_the_table_of_every_medium(faces):
    for name in ("terminal", "markdown"):
        lines = faces[name].splitlines()
        assert any({"worse", "accuracy", "lost=20"} <= {*line.split()} for line in lines), name
    assert re.search(r"<span[^>]*>\s*lost=20\s*</span>", faces["html"])


def test_a_kind_of_gate_has_verdicts_in_every_medium(faces):
    current, worse = (recorded(faces, "toxicity", name) for name in ("current", "worse"))

    assert (current["outcome"], worse["outcome"]) == ("failed", "passed")
    assert current["headline"] == "clean replies 75 % (95 % CI 59 to 87 %), min 92 %"
    for name in ("terminal", "markdown", "html"):
        assert current["headline"] in faces[name], name


def test_a_reworded_part_has_the_same_words_in_every_medium(faces):
    said = "down 50 points (95 % CI 35 to 65), ceiling 25"

    assert said in recorded(faces, "accuracy", "worse")["headline"]
    for name in ("terminal", "markdown", "html"):
        assert said in faces[name], name


def test_a_default_limit_of_a_drop_is_that_of_its_module(faces):
    assert "default 37" in faces["terminal"]


def test_a_default_limit_of_training_data_is_that_of_its_module(faces, start):
    said = "size: 3 rows to learn from, and 77 are wanted"

    assert said in faces["terminal"]
    assert said in start("-c", VERB, "data", "rows.jsonl").stdout


def test_a_verb_runs_and_is_listed(start):
    assert start("-c", VERB, "greet", "Ada").stdout == "Hello Ada\n"
    assert re.search("greet +greet someone", start("-c", VERB, "--help").stdout)


def test_the_files_of_another_tool_are_compared(folder, start):
    for name, paid in (("before", "due"), ("after", "late")):
        entries = [{"no": word, "due": "due", "paid": paid} for word in WORDS]
        (folder / f"{name}.json").write_text(json.dumps({"ledger": entries}), "utf-8")

    done = start("-c", VERB, "compare", "before.json", "after.json", "--tally", "tally.txt")

    assert "toy ledger" in done.stdout
    assert done.returncode == 1, done.stdout + done.stderr
    assert (folder / "tally.txt").read_text("utf-8") == "1 verdicts"


def test_a_report_format_is_written_by_a_run_and_by_the_verb_report(folder, faces, start):
    start("-c", VERB, "report", "run.json", "--tally", "later.txt")

    assert faces["tally"] == "9 verdicts"
    assert (folder / "later.txt").read_text("utf-8") == "9 verdicts"


# The rows ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    return rows_of((ROOT / "CONTRIBUTING.md").read_text("utf-8"))


@pytest.mark.parametrize(("row", "most"), MOST_FILES.items())
def test_the_toys_of_a_row_change_exactly_the_few_files_that_it_names(row, most, rows):
    own = {name: toy for name, toy in TOYS.items() if toy.row == row}
    changed = {file.replace(name, "NAME") for name, toy in own.items() for file in toy.files}

    assert changed == package_files(rows[row])
    assert max(len(toy.files) for toy in own.values()) <= most


def test_the_kind_of_every_toy_has_a_largest_number_of_files():
    assert {toy.row for toy in TOYS.values()} == MOST_FILES.keys()


def test_every_file_that_the_table_names_exists(rows):
    paths = {path for paths in rows.values() for path in paths if "NAME" not in path}
    places = (ROOT, ROOT / "pytest_ftgate")

    assert len(paths) > 40
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []
