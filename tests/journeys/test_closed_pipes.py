"""The exit code is that of the work, whoever reads the output; so are reports and records."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from ftgate_testing.foreign_plugins import only_ours

from pytest_ftgate.cli.main import main

PYTEST = (sys.executable, "-m", "pytest")
VERB = (
    sys.executable,
    "-c",
    "import sys; from pytest_ftgate.cli.main import main; sys.exit(main())",
)


@contextmanager
def without_reader():
    """Yield the writing end of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def run(command, cwd, *, closed="", broken=""):
    """Return the exit code of *command* with outputs that are closed, or have lost their reader."""
    numbers = {"stdout": 1, "stderr": 2}

    def close():
        for name in filter(None, closed.split()):
            os.close(numbers[name])

    with without_reader() as writer:
        outputs = {name: writer if name in broken else subprocess.PIPE for name in numbers}
        return subprocess.run(
            [*map(str, command)], cwd=cwd, preexec_fn=close, check=False, **outputs
        ).returncode


WAYS = {
    "stdout has no reader": {"broken": "stdout"},
    "stderr has no reader": {"broken": "stderr"},
    "neither has a reader": {"broken": "stdout stderr"},
    "stdout is closed": {"closed": "stdout"},
    "stderr is closed": {"closed": "stderr"},
    "both are closed": {"closed": "stdout stderr"},
}
#: All in a run of every test, the commonest on each push.
COMMONEST = "stdout has no reader"
ALL_WAYS = [
    pytest.param(way, marks=() if name == COMMONEST else pytest.mark.heavy, id=name)
    for name, way in WAYS.items()
]
REPORTS = ("--ftgate-json=run.json", "--ftgate-markdown=run.md")


@pytest.fixture
def green(desk, monkeypatch):
    only_ours(monkeypatch)
    desk.suite(current=0, draft=0)
    return desk


@pytest.fixture
def red(green):
    green.replies("draft", wrong=40)
    return green


# Runs of pytest -------------------------------------------------------------------------------


def reported(desk):
    return json.loads(desk.path("run.json").read_text("utf-8"))["verdict"]


@pytest.mark.parametrize("way", ALL_WAYS)
def test_a_red_run_is_red_and_has_its_reports(red, way):
    code = run([*PYTEST, "--ftgate", *REPORTS], red.pytester.path, **way)

    assert code == pytest.ExitCode.TESTS_FAILED
    assert reported(red) == "blocked"
    assert red.path("run.md").read_text("utf-8").startswith("### 🔴 BLOCKED")


@pytest.mark.parametrize("way", ALL_WAYS)
def test_a_green_run_is_green_and_accepts_what_it_should(green, way):
    command = [*PYTEST, "--ftgate", "--ftgate-accept", *REPORTS]

    code = run(command, green.pytester.path, **way)

    assert code == pytest.ExitCode.OK
    assert reported(green) == "passed"
    assert green.path("tickets.accepted.json").is_file()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("options", "reader"),
    [((), "head -1"), (("-s", "-rA", "-vv"), "grep -q platform"), (("-n", "1"), "true")],
)
def test_a_reader_that_leaves_in_the_middle_changes_no_exit_code(red, options, reader):
    command = shlex.join([*PYTEST, "--ftgate", *REPORTS, *options])

    shell = ["bash", "-c", f"{command} | {reader}; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(shell, cwd=red.pytester.path, check=False, capture_output=True)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr
    assert reported(red) == "blocked"


@pytest.mark.heavy
def test_a_plan_that_is_cut_off_is_printed_all_the_same(green):
    assert run([*PYTEST, "--ftgate", "--ftgate-plan"], green.pytester.path, broken="stdout") == 0


def test_runs_of_ordinary_tests_end_as_pytest_ends_them(desk, monkeypatch):
    only_ours(monkeypatch)
    desk.pytester.makepyfile("def test_it():\n    pass\n")

    assert run([*PYTEST], desk.pytester.path, broken="stdout") == 1


# Verbs ----------------------------------------------------------------------------------------

ROWS = 60
FULL = Path("/dev/full")


@pytest.fixture
def files(pytester):
    """Files of answers, of training and of a cache, each for a verb's exit code."""
    for name, wrong in (("base", 0), ("same", 0), ("worse", 40), ("unclear", 5)):
        rows = [
            {"id": n, "input": f"q{n}", "expected": "x", "reply": "y" if n < wrong else "x"}
            for n in range(ROWS)
        ]
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (pytester.path / f"{name}.jsonl").write_text(text, "utf-8")
    (pytester.path / "train.jsonl").write_text('{"messages": []}\nno JSON\n', "utf-8")
    (pytester.path / "broken.sqlite").write_text("no database" * 100, "utf-8")
    (pytester.path / "bad.ftgate.yaml").write_text("cases: none.jsonl\n", "utf-8")
    return pytester.path


#: The arguments of a verb, and its exit code.
VERBS = {
    "compare passes": (("compare", "base.jsonl", "same.jsonl"), 0),
    "compare fails": (("compare", "base.jsonl", "worse.jsonl"), 1),
    "compare fails at length": (("compare", "base.jsonl", "worse.jsonl", "-vv"), 1),
    "compare is inconclusive": (
        ("compare", "base.jsonl", "unclear.jsonl", "--max-drop", "0.15"),
        3,
    ),
    "compare refuses": (("compare", "base.jsonl", "none.jsonl"), 2),
    "data": (("data", "train.jsonl"), 1),
    "doctor": (("doctor", "bad.ftgate.yaml"), 1),
    "cache check": (("cache", "check", "--cache", "broken.sqlite"), 1),
    "explain": (("explain", "bad.ftgate.yaml::accuracy[a]"), 1),
    "report": (("report", "base.jsonl"), 1),
    "import": (("import", "none.yaml"), 2),
    "schema": (("schema",), 0),
}


@contextmanager
def output_without_reader(monkeypatch):
    with without_reader() as writer, os.fdopen(os.dup(writer), "w", encoding="utf-8") as stream:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, stream)
        yield


def test_every_verb_ends_with_the_code_of_its_work(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    with_reader = {verb: main(arguments) for verb, (arguments, _) in VERBS.items()}
    assert with_reader == {verb: code for verb, (_, code) in VERBS.items()}, capsys.readouterr()

    without = {}
    for verb, (arguments, _) in VERBS.items():
        with monkeypatch.context() as patch, output_without_reader(patch):
            without[verb] = main(arguments)

    assert without == with_reader


@pytest.mark.parametrize("way", ALL_WAYS)
def test_the_command_ends_with_it_too(files, way):
    arguments, code = VERBS["compare fails at length"]

    assert run([*VERB, *arguments], files, **way) == code


def test_help_ends_with_0_and_a_wrong_command_line_with_2_whoever_reads_them(files):
    assert run([*VERB, "compare", "--help"], files, broken="stdout") == 0
    assert run([*VERB, "compare"], files, broken="stderr") == 2


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is full")
def test_an_output_that_cannot_be_written_is_not_green(files):
    for verb, code in {"compare passes": 2, "schema": 1}.items():
        command = [*VERB, *VERBS[verb][0]]
        with FULL.open("w") as full:
            done = subprocess.run(
                command, cwd=files, stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == code, verb
        assert done.stderr.startswith(b"the output cannot be written: No space left")


@pytest.mark.heavy
def test_the_demo_writes_its_page_though_nobody_reads(tmp_path, monkeypatch):
    only_ours(monkeypatch)

    assert run([*VERB, "demo"], tmp_path, broken="stdout") == 0
    assert (tmp_path / "ftgate-demo" / "report.html").is_file()
