"""The run record is built from the parts of its processes, and from the settings of the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.reports import failing_run, inconclusive_verdict

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.results.builder import RunPart, build_report
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
