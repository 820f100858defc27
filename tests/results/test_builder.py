"""The run record is built from the parts of its processes, and from the settings of the run."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from ftgate_testing.reports import failing_run, inconclusive_verdict
from ftgate_testing.repositories import Repository

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.results.builder import RunPart, build_report, run_facts
from pytest_ftgate.results.run import NotEvaluated, RequestCounts
from pytest_ftgate.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings.of_evaluation(tmp_path)


def test_processes_share_replies_and_send_their_own_requests(settings):
    parts = [
        RunPart(
            requests=RequestCounts(replies=300, sent=sent, seconds=seconds),
            cost=CostReport(asked=0.25, variants={"current": 1.0}),
        )
        for sent, seconds in ((100, 4.0), (50, 9.0))
    ]

    made = build_report(settings, parts, (), facts={})

    assert made.requests == RequestCounts(replies=300, sent=150, seconds=9.0)
    assert (made.cost.asked, made.cost.variants) == (0.5, {"current": 1.0})


def test_processes_that_send_what_no_other_one_reads_have_as_many_replies_as_they_sent(
    settings,
):
    counts = [RequestCounts(replies=120, sent=sent) for sent in (110, 40)]

    made = build_report(settings, [RunPart(requests=one) for one in counts], (), facts={})

    assert made.requests == RequestCounts(replies=150, sent=150)


def test_a_run_has_the_verdict_that_its_parts_and_settings_decide(settings):
    errors = (NotEvaluated(node="a", reason="b"),)

    made = build_report(settings, (), (), facts={}, not_evaluated=errors)

    assert (made.verdict, made.requests, made.suites) == ("blocked", RequestCounts(), ())

    lenient = replace(settings, inconclusive="warn", max_usd=2.5)
    verdict = inconclusive_verdict()

    made = build_report(lenient, (), [verdict], facts={})

    assert (made.lenient, made.max_usd, made.verdict) == (True, 2.5, "passed")
    assert build_report(settings, (), [verdict], facts={}).verdict == "blocked"


def test_each_note_stands_once_and_those_of_processes_come_first(settings):
    parts = [RunPart(messages=("the cache is full", f"only in {n}")) for n in (1, 2)]

    made = build_report(settings, parts, (), notes=["at the end \udcff", "only in 1"], facts={})

    assert made.notes == ("the cache is full", "only in 1", "only in 2", "at the end \ufffd")


def test_the_cases_of_a_suite_come_from_all_processes(settings):
    (whole,) = failing_run().suites
    halves = [
        RunPart(suites=(replace(whole, cases=cases),))
        for cases in (whole.cases[:50], whole.cases[50:])
    ]

    (suite,) = build_report(settings, halves, (), facts={}).suites

    assert {case.id for case in suite.cases} == {case.id for case in whole.cases}


# Facts ------------------------------------------------------------------------------------------

OF_EVERY_RUN = {"pytest-ftgate", "Python", "replies", "duration"}


@pytest.fixture
def in_git(tmp_path):
    Repository.made(tmp_path).commit()
    return replace(Settings.of_evaluation(tmp_path), run_by="ada", run_url="", source_url="")


def test_a_run_without_pytest_has_neither_a_command_nor_a_version_of_pytest(in_git):
    assert {*run_facts(in_git, (), 61.0)} == {*OF_EVERY_RUN, "commit", "run by"}


def test_a_run_without_reports_does_not_wait_for_git(in_git):
    command = ("pytest", "--ftgate", "a b.ftgate.yaml")

    facts = run_facts(in_git, (), 61.0, pytest_version="9", command=command, calls_git=False)

    assert {*facts} == {*OF_EVERY_RUN, "command", "pytest"}
    assert facts["command"] == "pytest --ftgate 'a b.ftgate.yaml'"
    assert facts["duration"] == "1:01"


def test_a_suite_that_is_a_file_has_its_digest(in_git):
    (run,) = failing_run().suites
    part = RunPart(suites=(replace(run, name="a.ftgate.yaml"), replace(run, name="gone")))
    (in_git.root / "a.ftgate.yaml").write_bytes(b"cases: x")

    facts = run_facts(in_git, [part], 0.0)

    assert facts["suites"] == f"a.ftgate.yaml (sha256 {sha256(b'cases: x').hexdigest()[:12]})"
