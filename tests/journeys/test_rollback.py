"""What was accepted is read from git: who, when, what was to serve, and the way back."""

from __future__ import annotations

import re
import subprocess
from datetime import date

import pytest
from ftgate_testing.recorded_advice import advice_of
from ftgate_testing.repositories import Repository

from pytest_ftgate.cli import main
from pytest_ftgate.recommend.advice import ReasonKind
from pytest_ftgate.runner.recommend import git_facts
from pytest_ftgate.suite.loader import load_suite

GATES = "{accuracy: {min: 0.7, max_drop: 0.05}}"


def recorded(name, more=""):
    return f"{{provider: recorded, replies: {name}.jsonl{more}}}"


@pytest.fixture
def repository(desk):
    return Repository.made(desk.path(""))


@pytest.fixture
def served(desk):
    """Write a suite in which *name* is to serve; the fine-tunes get so many replies wrong."""

    def written(name, **wrong):
        for variant, count in {"current": 9, **wrong}.items():
            desk.replies(variant, wrong=count)
        variants = {"current": recorded("current")}
        variants |= {one: recorded(one, ", rung: fine-tuned") for one in wrong}
        desk.suite_of(variants, GATES)
        path = desk.path("tickets.ftgate.yaml")
        path.write_text(f"{path.read_text()}serves: {name}\n")

    return written


def test_a_failing_run_names_the_last_accepted_variant_that_still_passes(desk, repository, served):
    served("v7", v7=2)
    desk.run("--ftgate-accept").assert_outcomes(passed=2)
    repository.commit()
    served("v8", v7=2, v8=40)

    result = desk.run("--ftgate-ladder")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "  ROLL BACK: from v8 to v7, accepted 20??-??-?? in *",
            "    - v8 is meant to serve, is right in 60 % and fails accuracy",
            "    - v7 is right in 98 % *",
            "ladder: roll back: from v8 to v7, accepted 20??-??-?? in *",
        ]
    )
    back = advice_of(desk).rollback
    assert (back.failing, back.variant, back.by, back.in_suite) == ("v8", "v7", "Ada", True)


def test_a_variant_that_has_left_is_shown_by_a_command_for_the_folder_of_the_run(
    desk, repository, served, monkeypatch
):
    desk.pytester.makeini("[pytest]\n")
    desk.pytester.mkdir("sub")
    served("v7", v7=2)
    desk.run("--ftgate-accept")
    repository.commit()
    served("v8", v8=80)
    desk.replies("current", wrong=40)
    monkeypatch.chdir(desk.path("sub"))

    printed = " ".join(desk.run("--ftgate-ladder", "../tickets.ftgate.yaml").stdout.str().split())

    command = re.search(r"has left the suite: (git show \S+)", printed)[1]
    shown = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    assert "serves: v7" in shown


def test_history_says_who_accepted_what_verdict_by_verdict(
    desk, repository, served, monkeypatch, capsys
):
    served("v7", v7=2)
    desk.run("--ftgate-accept")
    repository.commit()
    monkeypatch.chdir(desk.path(""))
    capsys.readouterr()

    assert main.main(["history"]) == 0

    told = capsys.readouterr().out.splitlines()
    assert told[0] == "tickets.ftgate.yaml"
    assert told[1].endswith("Ada: serves v7")
    assert told[2:] == [
        "      current: accuracy 91 % passed", "      v7: accuracy 98 % passed",
    ]  # fmt: skip
    assert main.main(["history", "tickets.ftgate.yaml"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(desk.path("").parent)
    assert main.main(["history", desk.path("").name]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == told[1:]


def test_without_git_history_says_so_and_the_run_goes_on(desk, served, monkeypatch, capsys):
    served("v7", v7=2)
    monkeypatch.chdir(desk.path(""))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(desk.path("").parent))

    desk.run().assert_outcomes(passed=2)

    reasons = {note.kind: note.values.get("reason") for note in advice_of(desk).notes}
    assert "is not in a git repository" in reasons[ReasonKind.CHANGES_UNKNOWN]
    assert main.main(["history"]) == 1
    assert "history is read from git" in capsys.readouterr().err


def test_a_shallow_clone_says_that_it_does_not_know(desk, repository, served, tmp_path_factory):
    served("v7", v7=2)
    repository.commit()
    repository.commit()
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    Repository.cloned(repository, clone, "--depth=1")

    suite = load_suite(clone / "tickets.ftgate.yaml", clone)

    assert "shallow" in git_facts(suite, date(2026, 11, 25)).unknown_reason
