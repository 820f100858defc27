"""A pull request from a fork, which has no key: committed replies are judged instead."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ftgate_testing.chat_server import Said, chat_server

from pytest_ftgate.cli.main import main

FILE = "tickets.replies.jsonl"
RECORDED = "--ftgate-replies=recorded"
KEY = "sk-of-the-team"
#: A tuned model, so that skills, and what proves its identity, are asked as well.
SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}}
variants:
  current: {provider: openai-compatible, base_url: URL, api_key_env: KEY, model: small}
  tuned: {like: current, model: tuned, base: small}
  beside: {like: current, model: other, gated: false}
gates:
  accuracy: {min: 0.6, max_drop: 0.2}
  format: {min: 0.6, max_drop: 0.2}
  forgetting: {skills: logic, max_drop: 0.3}
"""


def answer(request):
    """Answer tickets rightly, and everything else at some length, each model in its own words."""
    asked = request["messages"][-1]["content"]
    if not asked.startswith("Ticket"):
        return Said(f"{request['model']} says of {asked!r}: seven")
    return Said("refund" if "money" in asked else "billing")


@pytest.fixture
def server():
    with chat_server(answer) as running:
        yield running


@pytest.fixture
def told(desk, monkeypatch, capsys):
    """Run a verb in a folder; return its exit code and what it printed."""

    def run(*args, folder="."):
        monkeypatch.chdir(desk.path(folder))
        capsys.readouterr()
        code = main(args)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def exported(desk, told, server, monkeypatch):
    """A folder with a suite that was judged with a key, whose replies were then exported."""
    monkeypatch.setenv("KEY", KEY)
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}: {('bill', 'money')[n % 2]}", "expected": label}
        for n in range(20)
        for label in [("billing", "refund")[n % 2]]
    ]
    desk.write_rows("tickets.cases.jsonl", rows)
    desk.path("tickets.ftgate.yaml").write_text(SUITE.replace("URL", server.url), "utf-8")
    allowed = f"{os.environ['PYTEST_ADDOPTS']} -o ftgate_keys=KEY@127.0.0.1"
    monkeypatch.setenv("PYTEST_ADDOPTS", allowed)
    desk.run()
    code, printed = told("cache", "export", "tickets.ftgate.yaml", "-o", FILE)
    assert (code, "missing" in printed) == (0, False)
    monkeypatch.delenv("KEY")
    return desk


@pytest.fixture
def clone(exported, monkeypatch):
    """The folder as someone else would have it: what is committed, and no cache."""
    (exported.path("clone")).mkdir()
    for name in ("tickets.cases.jsonl", "tickets.ftgate.yaml", FILE):
        shutil.copy(exported.path(name), exported.path("clone") / name)
    monkeypatch.chdir(exported.path("clone"))
    return exported


def judged(desk):
    """Return what each gate came to, with the numbers it rests on."""
    kept = ("outcome", "headline", "checks", "notes")
    return {name: {key: one[key] for key in kept} for name, one in desk.verdicts().items()}


def add_case(path):
    with path.open("a") as cases:
        cases.write(json.dumps({"id": "new", "input": "Ticket: bill", "expected": "billing"}))


def test_a_fork_without_a_key_and_a_cache_reaches_the_same_verdicts_and_asks_nothing(clone, server):
    before, asked = judged(clone), len(server.requests)
    assert len(before) == 5

    result = clone.run(RECORDED, "--rootdir=.", ".")
    result.stdout.fnmatch_lines(["* 0 requested*"])
    assert judged(clone) == before
    assert len(server.requests) == asked

    # A folder that cannot be made is no obstacle.
    clone.path("clone/blocked").write_text("a file where a folder is wanted")
    result = clone.run(RECORDED, "--rootdir=.", "--ftgate-cache=blocked/cache.sqlite", ".")
    result.stdout.fnmatch_lines(["* 0 requested*", "the verdicts could not be kept *"])

    # A broken line is a fault before anything is judged.
    path = clone.path("clone") / FILE
    path.write_text(path.read_text().replace('"text": "', '"text": 7, "x": "', 1))
    result = clone.run(RECORDED, "--rootdir=.", ".")
    result.stdout.fnmatch_lines([f"*{FILE}:*: no reply: text cannot be 7; *"])
    result.assert_outcomes(errors=1)


def test_a_missing_reply_is_counted_and_recorded_by_the_command_that_brings_it(
    clone, told, server, monkeypatch
):
    asked = len(server.requests)
    add_case(clone.path("clone/tickets.cases.jsonl"))

    result = clone.run(RECORDED, "--rootdir=.", ".")

    assert result.ret == 1
    assert "1 of 21 replies are not recorded" in result.stdout.str()
    remedy = "pytest --ftgate tickets.ftgate.yaml && pytest-ftgate cache export"
    assert f"{remedy} tickets.ftgate.yaml" in result.stdout.str()

    with monkeypatch.context() as keys:
        keys.setenv("KEY", KEY)
        clone.run("--rootdir=.", "tickets.ftgate.yaml")
        code, _ = told("cache", "export", "tickets.ftgate.yaml", folder="clone")

    # It asks what neither the cache nor the file has.
    assert (code, len(server.requests)) == (0, asked + 3)
    result = clone.run(RECORDED, "--rootdir=.", "-k", "not forgetting", ".")
    result.assert_outcomes(passed=4)


def test_a_second_export_changes_nothing_holds_no_key_and_counts_what_was_never_asked(
    exported, told
):
    before = exported.path(FILE).read_bytes()
    told("cache", "export", "tickets.ftgate.yaml")
    assert exported.path(FILE).read_bytes() == before
    assert KEY not in before.decode()

    add_case(exported.path("tickets.cases.jsonl"))
    code, printed = told("cache", "export", "tickets.ftgate.yaml")

    assert code == 0
    assert "3 are missing: run pytest --ftgate tickets.ftgate.yaml, then export" in printed


def test_an_export_from_the_file_alone_is_the_same_file_and_its_import_is_not_asked_again(
    clone, told, server
):
    path, asked = clone.path("clone") / FILE, len(server.requests)
    before = path.read_bytes()
    code, _ = told("cache", "export", "tickets.ftgate.yaml", folder="clone")
    assert (code, path.read_bytes()) == (0, before)

    code, printed = told("cache", "import", FILE, folder="clone")
    path.unlink()
    clone.run(RECORDED, "--rootdir=.", ".")

    assert (code, len(server.requests)) == (0, asked)
    assert len(judged(clone)) == 5
    assert "0 of 239 replies are new in " in printed


def test_a_file_that_a_variant_has_taken_the_name_for_is_its_own(desk, told):
    desk.suite(current=0)
    desk.path("current.jsonl").rename(desk.path(FILE))
    desk.suite_of({"current": f"{{provider: recorded, replies: {FILE}}}"})
    before = desk.path(FILE).read_bytes()

    desk.run().assert_outcomes(passed=1)
    code, printed = told("cache", "export", "tickets.ftgate.yaml")

    assert code == 1
    assert "is a variant's own file; name another with -o, or rename that" in printed
    assert desk.path(FILE).read_bytes() == before


def test_replies_of_a_second_run_in_the_same_file_are_an_error(desk):
    desk.suite(current=0)
    path = desk.path("current.jsonl")
    path.write_text(path.read_text("utf-8") * 2, "utf-8")

    result = desk.run()

    told = " ".join(result.stdout.str().split())
    assert "current.jsonl has 2 replies to case" in told
    assert "the suite reads 1: write repeats: 2, or remove replies of other runs" in told
