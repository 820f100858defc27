"""What `pytest-ftgate ledger` tells of the kept replies, and does with them."""

from __future__ import annotations

import os
import re
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from pytest_ftgate.cli.main import main

LEDGER = ".ftgate/ledger.sqlite"
DAY = 86_400


@pytest.fixture
def judged(desk, monkeypatch, capsys):
    """A desk whose suite was judged once."""
    monkeypatch.chdir(desk.pytester.path)
    desk.asking_suite()
    desk.run()
    capsys.readouterr()
    return desk


@pytest.fixture
def told(judged, capsys):
    """Run what the ledger's verb can do; return the exit code and what it printed."""

    def run(*args):
        code = main(["ledger", *args])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def in_ledger(desk, sql):
    with closing(sqlite3.connect(desk.path(LEDGER))) as db:
        db.execute(sql)
        db.commit()


def damage(desk):
    """Overwrite a page that holds replies."""
    path = desk.path(LEDGER)
    content = path.read_bytes()
    start = content.rindex(b'{"text"') // 4096 * 4096
    path.write_bytes(content[:start] + os.urandom(4096) + content[start + 4096 :])


def test_show_counts_what_is_kept_by_provider_and_model(told):
    code, printed = told("show")

    head, columns, row = printed.splitlines()
    assert code == 0
    assert head.startswith(f"{LEDGER}: ")
    assert head.endswith(" kB, 100 replies")
    assert columns.split() == ["provider", "model", "replies", "size", "oldest", "newest"]
    assert row.split()[:3] == ["python", "answers:answer", "100"]


def test_show_tells_of_calls_that_are_being_asked(told, judged):
    in_ledger(judged, "INSERT INTO claims VALUES ('f', 'elsewhere', 0)")

    assert ", 1 being asked or left by a killed run\n" in told("show")[1]


def test_pruned_replies_are_asked_again_and_the_others_are_not(told, judged):
    in_ledger(judged, f"UPDATE replies SET at = at - {100 * DAY} WHERE rowid <= 30")

    code, printed = told("prune", "--older-than", "90d")

    assert code == 0
    assert printed.startswith(f"30 replies forgotten; {LEDGER} takes ")
    judged.run()
    assert len(judged.asked()) == 130


def test_a_ledger_is_cut_to_a_size(told, judged):
    code, printed = told("prune", "--max-mb", "0.03")

    assert code == 0
    assert not printed.startswith("0 ")
    assert judged.path(LEDGER).stat().st_size <= 30_000


def test_an_accepted_record_needs_no_replies(told, judged):
    judged.run("--ftgate-accept")
    told("prune", "--max-mb", "0")

    result = judged.run()

    result.assert_outcomes(passed=1)
    assert "accepted" in str(judged.verdicts())


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        ([], "say what to forget: --older-than 90d, --max-mb 200, or both"),
        (["--older-than", "90"], "--older-than: 90 is no length of time; write 12h, 90d or 2w"),
    ],
)
def test_a_prune_that_says_too_little_forgets_nothing(told, judged, args, remedy):
    code, printed = told("prune", *args)

    assert (code, printed.strip()) == (1, remedy)
    judged.run()
    assert len(judged.asked()) == 100


def test_check_says_that_a_sound_file_is_whole(told):
    assert told("check") == (0, f"{LEDGER} is whole: all of its 100 replies can be read\n")


def test_check_says_what_is_wrong_and_what_will_be_done(told, judged):
    damage(judged)

    code, printed = told("check")

    assert code == 1
    assert printed.startswith(f"{LEDGER} is damaged:\n  ")
    assert "the next run that meets the damage saves what can be read" in printed


@pytest.mark.parametrize("what", ["show", "check", "prune"])
def test_without_a_ledger_none_is_made(told, judged, what):
    code, printed = told(what, "--ledger", "none.sqlite", *["--max-mb=1"] * (what == "prune"))

    assert code == 1
    assert "there is no ledger none.sqlite; pytest --ftgate writes it" in printed
    assert not judged.path("none.sqlite").exists()


def test_a_run_goes_on_with_what_a_damaged_ledger_still_has(judged):
    damage(judged)

    result = judged.run()

    result.assert_outcomes(passed=1)
    told = " ".join(result.stdout.str().split())
    assert re.search(r"the ledger \S+ was damaged \(.+\): .+ the old file is \S+\.damaged-1", told)
    again = len(judged.asked()) - 100
    assert 0 < again < 50
    result.stdout.fnmatch_lines([f"PASSED  1 gate · 100 replies, {again} asked*"])


def test_a_run_of_several_processes_tells_of_the_damage_once(judged):
    judged.asking_suite(gates="{accuracy: {min: 0.8}, format: {min: 0.8}}")
    damage(judged)

    result = judged.run("-n", "2")

    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("was damaged") == 1
    assert set(Counter(judged.asked()).values()) == {1, 2}


def test_a_plan_tells_of_the_damage(judged):
    damage(judged)

    judged.run("--ftgate-plan").stdout.fnmatch_lines(["the ledger * was damaged *"])
