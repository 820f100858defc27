"""A folder with a suite that names what plugins contribute."""

from __future__ import annotations

import pytest
from ftgate_testing.answer_files import write_rows

from pytest_ftgate.cli.main import main

CONFTEST = """\
def words(case, reply):
    return case.expected in reply.text.split()

def pytest_ftgate_scorers():
    return {"words": words}

def pytest_ftgate_formats():
    return {"short": lambda case, reply: len(reply.text) < 20}
"""
ANSWERS = """\
def answer(case):
    return f"it is {case.expected}"
"""
SUITE = """\
cases: s.cases.jsonl
reply: {score: words, format: short}
variants:
  current: {provider: python, function: "answers:answer"}
gates: {accuracy: {max_drop: 0.2}, format: {max_drop: 0.2}}
"""


@pytest.fixture
def plugin_suite(pytester):
    """The path of a suite with a scorer and a format of a conftest.py."""
    pytester.makeconftest(CONFTEST)
    folder = pytester.mkdir("prompts")
    rows = [{"id": f"c{n}", "input": f"Ticket {n}", "expected": "refund"} for n in range(40)]
    trained = [{"input": f"Old {n}", "expected": "it is " + n * "re" + "fund"} for n in range(9)]
    write_rows(folder / "s.cases.jsonl", rows)
    write_rows(folder / "train.jsonl", trained)
    (folder / "answers.py").write_text(ANSWERS, "utf-8")
    (folder / "s.ftgate.yaml").write_text(SUITE, "utf-8")
    return folder / "s.ftgate.yaml"


@pytest.fixture
def run_verb(pytester, monkeypatch, capsys):
    """Run a verb in a folder; return its exit code and its output."""
    monkeypatch.setattr("pytest_ftgate.cli.suite.PAIRS", 20)  # fewer take less time

    def run(*args, folder="."):
        monkeypatch.chdir(pytester.path / folder)
        code = main([*map(str, args)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run
