"""What decides shows in a diff: no cache of a commit counts, and reports name what has changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.repositories import Repository
from ftgate_testing.tables import heavy

from pytest_ftgate import evaluate
from pytest_ftgate.cli.main import main

CACHE = ".ftgate/cache.sqlite"
UNTRACK = "git rm --cached .ftgate/cache.sqlite"
SUITE = "tickets.ftgate.yaml"


@pytest.fixture
def run_verb(desk, monkeypatch, capsys):
    """Run a verb in the folder of the suite; return its exit code and its output."""
    monkeypatch.chdir(desk.path(""))

    def run(*args):
        capsys.readouterr()
        code = main(args)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


# A cache that a commit brings ---------------------------------------------------------------------


@pytest.fixture
def forged(desk):
    """A suite whose model is always wrong, and a commit of a cache in which it is right."""
    desk.expected = dict.fromkeys(range(desk.cases), "billing")
    with chat_server(lambda _: Said("refund")) as server:
        model = f'{{provider: openai-compatible, model: NAME, base_url: "{server.url}"}}'
        variants = {name: model.replace("NAME", name) for name in ("current", "draft")}
        desk.suite_of(variants)
        desk.run().assert_outcomes(failed=2)
        with closing(sqlite3.connect(desk.path(CACHE))) as database, database:
            database.execute("UPDATE replies SET body = replace(body, '\"refund\"', '\"billing\"')")
        repository = Repository.made(desk.path(""))
        repository.commit()
        repository.commit(CACHE)
        yield desk


@pytest.mark.parametrize("processes", [(), heavy(("-n", "2"))])
def test_a_cache_that_git_tracks_passes_no_gate_and_names_the_command(forged, processes):
    for options in (
        *((f"--ftgate-replies={mode}",) for mode in ("auto", "recorded", "fresh")),
        ("--ftgate-safe", "--ftgate-replies=recorded"),
    ):
        result = forged.run(*options, *processes)

        assert result.ret == 1, options
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates not evaluated", f"    {UNTRACK}"])


def test_a_plan_and_gates_evaluated_from_python_refuse_the_cache_until_it_is_untracked(
    forged, monkeypatch
):
    planned = forged.run("--ftgate-plan")
    assert planned.ret == pytest.ExitCode.USAGE_ERROR
    planned.stderr.fnmatch_lines([f"    {UNTRACK}"])

    monkeypatch.chdir(forged.path(""))
    evaluated = evaluate(SUITE)
    assert not evaluated.passed
    assert [row.reason.count(UNTRACK) for row in evaluated.not_evaluated] == [1, 1]

    Repository(forged.path("")).git(*UNTRACK.split()[1:])
    forged.run().assert_outcomes(passed=2)


def test_verbs_that_read_replies_refuse_the_cache_and_those_that_look_after_it_say_so(
    forged, run_verb
):
    for verb in (("power", SUITE), ("cache", "export", SUITE), ("selftest", SUITE)):
        code, _, errors = run_verb(*verb)
        assert (code, UNTRACK in errors) == (1, True), verb
    for action in (("show",), ("check",), ("prune", "--older-than", "1h")):
        code, printed, errors = run_verb("cache", *action)
        assert (code, "replies" in printed, UNTRACK in errors) == (0, True, True), action
    code, printed, _ = run_verb("doctor")
    assert (code, UNTRACK in printed) == (1, True)

    # Verdicts are in a file of their own.
    gate = f"{SUITE}::accuracy[draft]"
    assert run_verb("explain", gate)[0] == 0
    Repository(forged.path("")).commit(".ftgate/verdicts.jsonl")
    code, _, errors = run_verb("explain", gate)
    assert (code, "git rm --cached .ftgate/verdicts.jsonl" in errors) == (1, True)


# What has changed since the base branch -----------------------------------------------------------


def change(path):
    """Change a file so that it means the same."""
    path.write_text(path.read_text() + "\n")


@pytest.fixture
def topic(desk):
    """A branch on which the replies of a variant have changed and the accepted record is gone."""
    desk.replies("draft")
    desk.asking_suite(draft="{provider: recorded, replies: draft.jsonl}")
    desk.run("--ftgate-accept").assert_outcomes(passed=2)
    repository = Repository.made(desk.path(""))
    desk.path(".gitignore").write_text("junit.xml\nasked.txt\n__pycache__\ntox.ini\n")
    repository.commit()
    repository.git("checkout", "-q", "-b", "topic")
    change(desk.path("draft.jsonl"))
    repository.git("rm", "-q", "tickets.accepted.json")
    repository.commit()
    return desk


LINE = "changed since main: tickets.accepted.json (deleted), draft.jsonl"


def test_every_report_names_what_differs_in_a_line(topic, run_verb):
    paths = {name: topic.path(f"run.{name}") for name in ("json", "html", "markdown")}
    result = topic.run(*(f"--ftgate-{name}={path}" for name, path in paths.items()))

    record = json.loads(paths["json"].read_text())["file_changes"]
    assert (record["branch"], record["unknown"]) == ("main", "")
    assert record["files"] == [
        {"name": "draft.jsonl", "change": "changed"},
        {"name": "tickets.accepted.json", "change": "deleted"},
    ]
    assert f">{LINE}</p>" in paths["html"].read_text()
    assert f"\n{LINE}\n" in paths["markdown"].read_text()
    assert LINE in run_verb("report", str(paths["json"]))[1]
    assert LINE in str(evaluate(SUITE)).split("\n")
    for run in (result, topic.run("-q"), topic.run("-v")):
        run.stdout.fnmatch_lines(["PASSED*", LINE])


def test_files_are_named_from_the_folder_of_the_run(topic, monkeypatch):
    topic.pytester.makeini("[pytest]\n")
    monkeypatch.chdir(topic.pytester.mkdir("sub"))

    result = topic.run("..")

    result.stdout.fnmatch_lines(
        ["changed since main: ../tickets.accepted.json (deleted), ../draft.jsonl"]
    )


@pytest.mark.parametrize("options", [(), heavy(("-n", "2"))])
def test_the_module_of_a_marked_function_decides(topic, options):
    topic.marked("def test_it(case, reply):\n    return reply.text == case.expected\n")
    repository = Repository(topic.path(""))
    repository.commit()
    repository.git("branch", "-f", "main")
    topic.marked("def test_it(case, reply):\n    return True\n")

    result = topic.run("test_marked.py", *options)

    result.stdout.fnmatch_lines(["changed since main: test_marked.py"])


def test_a_cache_that_cannot_be_used_ends_no_run_that_may_stop_early(desk):
    desk.asking_suite(
        gates="{accuracy: {min: 0.5, max_drop: 0.2, stop_early: true}}", worse="{like: current}"
    )
    desk.path("notes.txt").write_text("no database")

    result = desk.run("--ftgate-cache=notes.txt")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates not evaluated"])
