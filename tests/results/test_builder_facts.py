"""The facts of a record."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from ftgate_testing.reports import failing_run
from ftgate_testing.repositories import Repository

from pytest_ftgate.results.builder import RunPart, run_facts
from pytest_ftgate.settings import Settings

OF_EVERY_RUN = {"pytest-ftgate", "Python", "replies", "duration"}


@pytest.fixture
def settings(tmp_path):
    Repository.made(tmp_path).commit()
    return replace(Settings.of_evaluation(tmp_path), run_by="ada", run_url="", source_url="")


def test_a_run_without_pytest_has_neither_a_command_nor_a_version_of_pytest(settings):
    assert {*run_facts(settings, (), 61.0)} == {*OF_EVERY_RUN, "commit", "run by"}


def test_a_run_without_reports_does_not_wait_for_git(settings):
    command = ("pytest", "--ftgate", "a b.ftgate.yaml")

    facts = run_facts(settings, (), 61.0, pytest_version="9", command=command, calls_git=False)

    assert {*facts} == {*OF_EVERY_RUN, "command", "pytest"}
    assert facts["command"] == "pytest --ftgate 'a b.ftgate.yaml'"
    assert facts["duration"] == "1:01"


def test_a_suite_that_is_a_file_has_its_digest(settings):
    (run,) = failing_run().suites
    part = RunPart(suites=(replace(run, name="a.ftgate.yaml"), replace(run, name="gone")))
    (settings.root / "a.ftgate.yaml").write_bytes(b"cases: x")

    facts = run_facts(settings, [part], 0.0)

    assert facts["suites"] == f"a.ftgate.yaml (sha256 {sha256(b'cases: x').hexdigest()[:12]})"
