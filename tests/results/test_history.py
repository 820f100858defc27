"""The history of accepted records, whatever somebody has committed in their place."""

from __future__ import annotations

import json
import subprocess

import pytest
from ftgate_testing.repositories import Repository
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.recommend.advice import AcceptedVerdict
from pytest_ftgate.results.history import (
    RECORD_FORMAT,
    GitError,
    accepted_history,
    accepted_runs,
    anchor_dates,
    file_commits,
)

CHECKS = [{"after": 0.5, "unit": "share"}, {"after": 0.9, "unit": "share"}]
VERDICT = {
    "gate": "accuracy", "variant": "new", "outcome": "passed", "gated": True, "deciding": 1,
    "checks": CHECKS,
}  # fmt: skip
RECORD = {
    "format": RECORD_FORMAT,
    "serves": "new",
    "verdicts": [VERDICT, {**VERDICT, "gate": "shown", "gated": False}],
    "variants": {"new": {"a": [1.0, None], "b": [0.5, None]}},
}
#: What may stand in the place of a record, in git or on the disk.
NO_RECORDS = [
    *("[", "[]", "null", '{"format": []}'),
    json.dumps({"format": RECORD_FORMAT, "serves": "", "verdicts": 3, "variants": 3}),
]


@pytest.fixture
def committed(tmp_path):
    """Commit texts as the record of a suite, one after the other, and return its path."""
    repository, path = Repository.made(tmp_path / "project"), tmp_path / "project/s.accepted.json"

    def commit(*texts):
        for text in texts:
            path.write_text(text, "utf-8")
            repository.commit()
        return path

    return commit


def test_a_run_has_the_gates_that_could_fail_and_the_chart_the_means_of_the_cases(committed):
    (run,) = accepted_runs(committed(json.dumps(RECORD)))

    assert (run.by, run.serves) == ("Ada", "new")
    assert run.gates == (AcceptedVerdict("accuracy", "new", "passed", 0.9, "share"),)

    (point,) = accepted_history(committed(json.dumps(RECORD)))

    assert (point.accuracy, point.format) == ({"new": 0.75}, {})


def test_what_is_no_record_is_left_out_of_the_history(committed):
    older = json.dumps({**RECORD, "format": RECORD_FORMAT - 1})
    path = committed(older, json.dumps(RECORD), *NO_RECORDS)

    assert len(accepted_runs(path)) == 1
    assert len(accepted_history(path)) == 1


def test_a_file_in_no_repository_has_no_history(tmp_path):
    assert accepted_runs(tmp_path / "s.accepted.json") == ()


def test_a_repository_without_a_commit_says_so(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    with pytest.raises(GitError, match="the git repository has no commit yet"):
        file_commits(tmp_path / "s.accepted.json", 1)


def test_the_day_of_each_anchor_is_that_of_a_record_that_this_version_reads(tmp_path):
    path = tmp_path / "s.accepted.json"
    anchors = {"new": {"at": "2026-10-02T08:00:00+00:00", "cases": {}}}
    path.write_text(json.dumps({**RECORD, "anchors": anchors}), "utf-8")

    assert anchor_dates(path) == {"new": "2026-10-02"}
    assert anchor_dates(tmp_path / "none.json") == {}


NEWER = json.dumps({**RECORD, "format": RECORD_FORMAT + 1})


@every_row("text, told", [
    *((text, "no accepted record; restore it or delete it")
      for text in ("[", "[]", '{"anchors": {"new": 3}}', '{"anchors": 3}')),
    (NEWER, "is newer than this version reads; upgrade"),
])  # fmt: skip
def test_a_file_that_is_no_record_of_this_version_is_an_error(tmp_path, text, told):
    path = tmp_path / "s.accepted.json"
    path.write_text(text, "utf-8")

    with pytest.raises(SuiteError, match=told):
        anchor_dates(path)
