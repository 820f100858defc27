"""`pytest-ftgate cache` shows, prunes and checks the cached replies."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing

import pytest

from pytest_ftgate.cli.main import main

CACHE = ".ftgate/cache.sqlite"
DAY = 86_400


@pytest.fixture
def evaluated(desk, monkeypatch, capsys):
    """A desk whose suite was evaluated once."""
    monkeypatch.chdir(desk.pytester.path)
    desk.asking_suite()
    desk.run()
    capsys.readouterr()
    return desk


@pytest.fixture
def run_cache(evaluated, capsys):
    """Run `pytest-ftgate cache`; return its exit code and its output."""

    def run(*args):
        code = main(["cache", *args])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def in_cache(desk, sql):
    with closing(sqlite3.connect(desk.path(CACHE))) as db:
        db.execute(sql)
        db.commit()


def damage(desk):
    """Overwrite a page that holds replies."""
    path = desk.path(CACHE)
    content = path.read_bytes()
    start = content.rindex(b'{"text"') // 4096 * 4096
    path.write_bytes(content[:start] + os.urandom(4096) + content[start + 4096 :])


def test_show_counts_cached_replies_by_provider_and_model_and_requests_in_flight(
    run_cache, evaluated
):
    code, printed = run_cache("show")

    head, columns, row = printed.splitlines()
    assert code == 0
    assert head.startswith(f"{CACHE}: ")
    assert head.endswith(" kB, 100 replies")
    assert columns.split() == ["model", "provider", "replies", "size", "oldest", "newest"]
    assert row.split()[:3] == ["answers:answer", "python", "100"]
    in_cache(evaluated, "INSERT INTO claims VALUES ('f', 'elsewhere', 0)")
    assert ", 1 in flight or left by a killed run\n" in run_cache("show")[1]


def test_pruned_replies_are_asked_again_and_the_others_are_not(run_cache, evaluated):
    in_cache(evaluated, f"UPDATE replies SET at = at - {100 * DAY} WHERE rowid <= 30")

    code, printed = run_cache("prune", "--older-than", "90d")

    assert code == 0
    assert printed.startswith(f"30 replies forgotten; {CACHE} takes ")
    evaluated.run()
    assert len(evaluated.asked()) == 130


def test_an_accepted_record_needs_no_replies(run_cache, evaluated):
    evaluated.run("--ftgate-accept")
    assert "100 replies forgotten; " in run_cache("prune", "--max-mb", "0")[1]

    result = evaluated.run()

    result.assert_outcomes(passed=1)
    assert "accepted" in str(evaluated.verdicts())


def test_a_prune_without_a_limit_deletes_nothing(run_cache):
    none = "say what to forget: --older-than 90d, --max-mb 200, or both"
    bare = "--older-than: 90 is no length of time; write 12h, 90d or 2w"

    assert run_cache("prune") == (1, f"{none}\n")
    assert run_cache("prune", "--older-than", "90") == (1, f"{bare}\n")
    assert ", 100 replies\n" in run_cache("show")[1]


def test_check_says_whether_a_file_is_whole_and_what_will_be_done(run_cache, evaluated):
    whole = f"{CACHE} is whole: all of its 100 replies can be read\n"
    assert run_cache("check") == (0, whole)
    damage(evaluated)

    code, printed = run_cache("check")

    assert code == 1
    assert printed.startswith(f"{CACHE} is damaged:\n  ")
    assert "the next run that meets the damage saves what can be read" in printed


def test_without_a_cache_none_is_made(run_cache, evaluated):
    missing = "there is no cache none.sqlite; pytest --ftgate writes it"
    for what in (["show"], ["check"], ["prune", "--max-mb=1"]):
        code, printed = run_cache(*what, "--cache", "none.sqlite")
        assert (code, missing in printed) == (1, True), what
    assert not evaluated.path("none.sqlite").exists()


def test_a_run_goes_on_with_what_a_damaged_cache_still_has(evaluated):
    damage(evaluated)

    result = evaluated.run()

    result.assert_outcomes(passed=1)
    told = " ".join(result.stdout.str().split())
    assert re.search(r"the cache \S+ was damaged \(.+\): .+ the old file is \S+\.damaged-1", told)
    again = len(evaluated.asked()) - 100
    assert 0 < again < 50
    result.stdout.fnmatch_lines(["PASSED  1 gate*", f"100 replies: * cached, {again} requested*"])


@pytest.mark.heavy
def test_a_run_of_several_processes_reports_the_damage_once(evaluated):
    evaluated.asking_suite(gates="{accuracy: {min: 0.8}, format: {min: 0.8}}")
    damage(evaluated)

    result = evaluated.run("-n", "2")

    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("was damaged") == 1


def test_a_plan_reports_the_damage(evaluated):
    damage(evaluated)

    evaluated.run("--ftgate-plan").stdout.fnmatch_lines(["the cache * was damaged *"])


def test_a_cache_of_the_command_line_wins_over_the_configuration(evaluated, run_cache):
    evaluated.pytester.makeini("[pytest]\nftgate_cache = elsewhere/replies.sqlite\n")

    assert "100 replies" not in run_cache("show")[1]
    assert "100 replies" in run_cache("show", "--cache", CACHE)[1]
