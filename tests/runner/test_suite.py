"""The limits of an accepted record: those that acceptance writes are read again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ftgate_testing.suite_files import load_text
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.feasibility import with_default_limits
from pytest_ftgate.results.accepted import AcceptedCase, AcceptedRecord, case_digest
from pytest_ftgate.results.exam import exam_of
from pytest_ftgate.runner.suite import check_accepted_limits

EXACT, GRADED = "exact", "{recorded: {partial: true}}"


def load(folder, cases, score=EXACT, gate="{}"):
    """Load a suite of so many cases, after which come 40 that expect nothing."""
    rows = [{"id": f"c{n}", "input": f"q{n}", "expected": "a"} for n in range(cases)]
    rows += [{"id": f"n{n}", "input": f"q{n}?"} for n in range(40 if score == EXACT else 0)]
    text = (
        f"cases: c.jsonl\nreply: {{score: {score}}}\ngates: {{accuracy: {gate}}}\n"
        "variants: {one: {provider: recorded, replies: r.jsonl}}\n"
    )
    files = {"c.jsonl": "\n".join(map(json.dumps, rows)), "r.jsonl": ""}
    return load_text(folder, text, files)


def accepted(suite, missing=()):
    """Return the record of *suite*, with a right reply to each case but the *missing* ones."""
    suite = with_default_limits(suite, {})
    suite.accepted_path.write_text("{}", "utf-8")
    rows = {
        case.id: AcceptedCase(1.0 if case.id[0] == "c" else None, None, 1, digest, "")
        for case in suite.cases
        for digest in [case_digest(case, suite.path.parent)]
        if case.id not in missing
    }
    limits = {gate.name: gate.max_drop for gate in suite.gates.values()}
    exam = exam_of(suite)
    return AcceptedRecord(suite=suite.name, at="", variants={"one": rows}, limits=limits, exam=exam)


def check(suite, record):
    records = SimpleNamespace(of=lambda _: record, limits=lambda _: record.limits)
    check_accepted_limits(SimpleNamespace(records=records), with_default_limits(suite, {}))


EARLY = "{stop_early: true}"


@every_row(
    ("score", "gate", "later", "missing"),
    [
        (EXACT, EARLY, (EXACT, EARLY), ()),
        (EXACT, EARLY, (EXACT, "{}"), ()),
        (GRADED, "{}", ("recorded", "{}"), ()),
        (EXACT, "{}", (EXACT, "{}"), ("c3",)),
        (EXACT, "{}", (EXACT, "{}"), ("c3", "n3", "n4")),
        (GRADED, EARLY, ("recorded", "{}"), ("c3", "c4")),
    ],
    ids=["early", "no longer early", "no longer graded", "missing", "two kinds", "all at once"],
)
def test_what_acceptance_writes_is_read_again(tmp_path, score, gate, later, missing):
    # These differed most, or by the saw of what the next case shows.
    for cases in (51, 73, 120, 400):
        record = accepted(load(tmp_path, cases, score, gate), missing)

        check(load(tmp_path, cases, *later), record)


def test_a_limit_that_no_such_cases_show_is_refused(tmp_path):
    suite = load(tmp_path, 100)
    record = accepted(suite)
    record.limits["accuracy"] = 0.14

    with pytest.raises(SuiteError) as caught:
        check(suite, record)

    said = "0.14 lets 14 points go, and the accepted cases can show 13; restore the line"
    assert said in str(caught.value)
