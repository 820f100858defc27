"""The run record: versioned, described by a schema, and enough for every face."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
from columns import case, suite
from reports import FORGETTING, HOSTILE, judged, open_verdict, report, unjudged

import pytest_ftgate
from pytest_ftgate.errors import Unavailable
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.collect import joined, tell
from pytest_ftgate.results.run import FORMAT, read_run, run_schema, verdict_of, write_run
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Score

SHIPPED = Path(pytest_ftgate.__file__).parent / "results" / "run.schema.json"


def test_the_shipped_schema_is_the_one_that_the_classes_make():
    # After a change: pytest-ftgate schema run > pytest_ftgate/results/run.schema.json
    assert SHIPPED.read_text("utf-8") == run_schema()


@pytest.mark.parametrize("nasty", HOSTILE)
def test_a_record_survives_the_disk_and_fits_its_schema(tmp_path, nasty):
    made = judged([HOSTILE[nasty]])
    write_run(tmp_path / "run.json", made)

    assert read_run(tmp_path / "run.json") == made
    told = json.loads((tmp_path / "run.json").read_text("utf-8"))
    jsonschema_rs.validator_for(json.loads(run_schema())).validate(told)
    assert told["format"] == FORMAT


def test_a_reply_of_a_megabyte_is_cut_with_a_count(tmp_path):
    write_run(tmp_path / "run.json", judged([HOSTILE["huge"]]))

    text = (tmp_path / "run.json").read_text("utf-8")
    assert "… 980,000 more characters" in text
    assert len(text) < 500_000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no run record"),
        ("[]", "is no run record"),
        ("{}", "is no run record"),
        ('{"format": 1}', r"is no run record \(verdict: Field required\)"),
        ('{"format": 999}', "has format 999, newer than this version reads; upgrade"),
    ],
)
def test_what_is_no_record_of_this_version_is_refused(tmp_path, text, told):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(Unavailable, match=told):
        read_run(tmp_path / "run.json")


def test_a_missing_record_says_how_to_make_one(tmp_path):
    with pytest.raises(Unavailable, match=r"No such file.*--ftgate-json PATH"):
        read_run(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (report(), "blocked"),
        (report(open_verdict()), "blocked"),
        (report(open_verdict(), lenient=True), "passed"),
        (report(judged().verdicts[3], unjudged=(unjudged(),)), "blocked"),
        (report(judged().verdicts[3]), "passed"),
        (report(judged().verdicts[0]), "blocked"),
    ],
    ids=["nothing judged", "open", "open and lenient", "error", "passed", "failed"],
)
def test_only_what_was_judged_and_found_good_passes(made, verdict):
    assert verdict_of(made) == verdict


def test_what_two_processes_know_of_a_suite_is_joined():
    (whole,) = judged().suites

    halves = [
        replace(
            whole,
            variants=tuple(v for v in whole.variants if v.name == name),
            cases=tuple(
                replace(one, answers={k: a for k, a in one.answers.items() if name in k})
                for one in whole.cases
            ),
        )
        for name in ("current", "new")
    ]

    together = joined(halves)

    assert {one.id: set(one.answers) for one in together.cases} == {
        one.id: set(one.answers) for one in whole.cases
    }
    assert {one.name for one in together.variants} == {"current", "new"}


def test_a_variant_is_told_with_its_rates_and_what_its_replies_take():
    (told,) = judged(wrong=40).suites
    new = next(one for one in told.variants if one.name == "new")

    assert new.accuracy is not None
    assert (new.accuracy.value, new.accuracy.n, new.tokens, new.p50_ms) == (0.6, 100, 55, 400)
    assert new.usd_per_1k is None


@pytest.mark.parametrize(
    ("text", "expected", "correct"),
    [("refund", None, 1.0), ("no idea", None, 0.0), ("no idea", "no idea", 0.0)],
)
def test_a_skill_is_as_correct_as_its_gate_counts_it(text, expected, correct):
    asked = replace(case("a"), skill="output_formats", expected=expected)
    broken = None if text == "refund" else Broken("not in enumeration")
    mark = None if expected is None else 1.0
    row = Row(asked, (Reply(text=text),), (Score(mark, broken),), ("call",))

    (told,) = tell(suite(FORGETTING), [("skills", Column("new", {"a": row}))]).cases

    assert told.answers["new"].correct == correct


def test_confusions_are_counted_where_replies_are_labels():
    (told,) = judged(wrong=0).suites

    assert told.confusions == ()  # the cases expect "right", which is no label of the suite
