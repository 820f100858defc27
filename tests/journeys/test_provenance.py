"""What decides shows in a diff: no cache of a commit counts, and reports name what has changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.repositories import Repository

from pytest_ftgate import evaluate
from pytest_ftgate.cli.main import main
from pytest_ftgate.reporting.text import cell_count

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


MODES = ("auto", "recorded", "fresh")


@pytest.mark.parametrize("safe", [(), ("--ftgate-safe",)], ids=["", "safe"])
@pytest.mark.parametrize("mode", MODES)
def test_a_cache_that_git_tracks_passes_no_gate_and_names_the_command(forged, mode, safe):
    result = forged.run(f"--ftgate-replies={mode}", *safe)

    assert result.ret == 1
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates not evaluated", f"    {UNTRACK}"])


def test_processes_of_a_run_refuse_the_cache_as_one_does(forged):
    result = forged.run("-n", "2")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines([f"    {UNTRACK}"])


def test_a_plan_ends_with_the_error_of_the_run(forged):
    result = forged.run("--ftgate-plan")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"    {UNTRACK}"])


def test_once_it_is_untracked_the_replies_are_those_of_its_owner(forged):
    Repository(forged.path("")).git(*UNTRACK.split()[1:])

    forged.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "verb", [("power", SUITE), ("cache", "export", SUITE), ("selftest", SUITE)], ids=" ".join
)
def test_a_verb_that_reads_replies_refuses_the_cache(forged, run_verb, verb):
    code, _, errors = run_verb(*verb)

    assert code == 1
    assert UNTRACK in errors


def test_explain_refuses_verdicts_that_a_commit_brings(forged, run_verb):
    gate = f"{SUITE}::accuracy[draft]"
    assert run_verb("explain", gate)[0] == 0
    Repository(forged.path("")).commit(".ftgate/verdicts.jsonl")

    code, _, errors = run_verb("explain", gate)

    assert code == 1
    assert "git rm --cached .ftgate/verdicts.jsonl" in errors


@pytest.mark.parametrize("action", [("show",), ("check",), ("prune", "--older-than", "1h")])
def test_a_verb_that_looks_after_the_file_goes_on_with_a_word(forged, run_verb, action):
    code, printed, errors = run_verb("cache", *action)

    assert code == 0
    assert "replies" in printed
    assert UNTRACK in errors


def test_doctor_names_the_command(forged, run_verb):
    code, printed, _ = run_verb("doctor")

    assert code == 1
    assert UNTRACK in printed


def test_gates_evaluated_from_python_refuse_the_cache(forged, monkeypatch):
    monkeypatch.chdir(forged.path(""))

    result = evaluate(SUITE)

    assert not result.passed
    assert [row.reason.count(UNTRACK) for row in result.not_evaluated] == [1, 1]


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


@pytest.mark.parametrize("options", [(), ("-q",), ("-v",), ("-n", "2")], ids=" ".join)
def test_the_closing_section_names_what_differs_in_a_line(topic, options):
    topic.run(*options).stdout.fnmatch_lines(["PASSED*", LINE])


def test_every_report_names_what_differs(topic, run_verb, monkeypatch):
    paths = {name: topic.path(f"run.{name}") for name in ("json", "html", "markdown")}
    topic.run(*(f"--ftgate-{name}={path}" for name, path in paths.items()))

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


def test_files_are_named_from_the_folder_of_the_run(topic, monkeypatch):
    topic.pytester.makeini("[pytest]\n")
    monkeypatch.chdir(topic.pytester.mkdir("sub"))

    result = topic.run("..")

    result.stdout.fnmatch_lines(
        ["changed since main: ../tickets.accepted.json (deleted), ../draft.jsonl"]
    )


def test_nothing_is_said_where_nothing_differs(topic):
    Repository(topic.path("")).git("checkout", "-q", "main")

    topic.run().stdout.no_fnmatch_line("*changed since*")
    topic.run("-v").stdout.fnmatch_lines(["  changed since main: none of the files that decide"])


def test_outside_of_a_repository_only_a_reader_of_details_hears_of_it(desk):
    desk.suite(current=0)

    desk.run().stdout.no_fnmatch_line("*base branch*")
    desk.run("-v").stdout.fnmatch_lines(
        ["  not compared with a base branch: the root directory is in no git repository"]
    )


def test_the_module_of_a_marked_function_decides(topic):
    topic.marked("def test_it(case, reply):\n    return reply.text == case.expected\n")
    repository = Repository(topic.path(""))
    repository.commit()
    repository.git("branch", "-f", "main")
    topic.marked("def test_it(case, reply):\n    return True\n")

    for options in ((), ("-n", "2")):
        result = topic.run("test_marked.py", *options)
        result.stdout.fnmatch_lines(["changed since main: test_marked.py"])


def test_a_suite_that_names_no_file_of_cases_is_named_itself(topic):
    repository = Repository(topic.path(""))
    repository.commit()
    repository.git("branch", "-f", "main")
    path = topic.path(SUITE)
    path.write_text(path.read_text().replace("0.85", "0.5"))

    topic.run().stdout.fnmatch_lines([f"changed since main: {SUITE}"])


def test_a_long_list_of_files_takes_one_line(topic):
    names = [f"{number}-{'x' * 50}" for number in range(5)]
    for name in names:
        topic.replies(name)
    topic.asking_suite(
        **{f"v{name[0]}": f"{{provider: recorded, replies: {name}.jsonl}}" for name in names}
    )

    result = topic.run()

    lines = [line for line in result.outlines if line.startswith("changed since")]
    assert len(lines) == 1
    assert cell_count(lines[0]) <= 80
    assert lines[0].endswith("(deleted) and 6 more")


def test_a_cache_that_cannot_be_used_ends_no_run_that_may_stop_early(desk):
    desk.asking_suite(
        gates="{accuracy: {min: 0.5, max_drop: 0.2, stop_early: true}}", worse="{like: current}"
    )
    desk.path("notes.txt").write_text("no database")

    result = desk.run("--ftgate-cache=notes.txt")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["BLOCKED  2 of 2 gates not evaluated"])
