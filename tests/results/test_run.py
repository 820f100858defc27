"""The run record: versioned, described by a schema, and enough for every report."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema_rs
import pytest
from ftgate_testing.reports import (
    FORGETTING,
    HOSTILE,
    failed_test,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    report,
)
from ftgate_testing.score_columns import case, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.notes import (
    Finding,
    FindingKind,
    Remedy,
    ReplyNote,
    Severity,
    note,
    text_note,
)
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Drift
from pytest_ftgate.recommend.advice import Advice, Condition, Reason, ReasonKind, Recommendation
from pytest_ftgate.reporting.next_steps import step_command
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.writers import write_run
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.collect import collect_suite_run, merge_suite_runs
from pytest_ftgate.results.run import (
    RUN_FORMAT,
    as_typed,
    load_verdicts,
    node_id,
    overall_verdict,
    read_run,
    store_verdicts,
)
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores

VALIDATOR = jsonschema_rs.validator_for(json.loads(schema_text("run")))
NOTHING = Statement(StatementKind.NO_REPLIES)
NO_KEY = text_note("no key")
ROWS = note(ReasonKind.ENOUGH_ROWS, rows=50)
ADVICE = Advice(
    suite="s.ftgate.yaml", recommendation=Recommendation.FINE_TUNE, subject="t", variant="t",
    reasons=(Reason(note=ROWS, variant="t", figure="examples"),), below="b", rungs=(),
    conditions=(Condition(name="examples", note=ROWS, holds=True, needed=True),),
    unmeasured={"strong": NO_KEY},
    notes=(note(ReasonKind.UNMEASURED, variant="strong", reason=NO_KEY),),
)  # fmt: skip


@every_row("nasty", HOSTILE)
def test_a_record_survives_the_disk_and_fits_its_schema(tmp_path, nasty):
    made = failing_run([HOSTILE[nasty]])
    write_run(tmp_path / "run.json", made)

    assert read_run(tmp_path / "run.json") == made
    told = json.loads((tmp_path / "run.json").read_text("utf-8"))
    VALIDATOR.validate(told)
    assert told["format"] == RUN_FORMAT


def test_a_reply_of_a_megabyte_is_cut_with_a_count(tmp_path):
    write_run(tmp_path / "run.json", failing_run([HOSTILE["huge"]]))

    text = (tmp_path / "run.json").read_text("utf-8")
    assert "… 980,000 more characters" in text
    assert len(text) < 500_000


@every_row("text, told", [
    ("", "is no run record"), ("[]", "is no run record"), ("{}", "is no run record"),
    ('{"format": 5}', r"is no run record \(verdict: Field required\)"),
    ('{"format": 2, "verdicts": []}', "has format 2, older than this version reads; write one"),
    ('{"format": 999}', "has format 999, newer than this version reads; upgrade"),
])  # fmt: skip
def test_a_file_that_is_no_record_of_this_version_is_rejected(tmp_path, text, told):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(ConfigurationError, match=told):
        read_run(tmp_path / "run.json")


def test_a_missing_record_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigurationError, match=r"No such file.*--ftgate-json PATH"):
        read_run(tmp_path / "run.json")


GOOD = failing_run().verdicts[3]


@every_row("made, verdict", [
    (report(), "blocked"),
    (report(inconclusive_verdict()), "blocked"),
    (report(inconclusive_verdict(), lenient=True), "passed"),
    (report(replace(inconclusive_verdict(), statement=NOTHING), lenient=True), "blocked"),
    (report(GOOD, not_evaluated=(gate_not_evaluated(),)), "blocked"),
    (report(GOOD, failed_tests=(failed_test(),)), "blocked"),
    (report(GOOD), "passed"),
    (report(failing_run().verdicts[0]), "blocked"),
])  # fmt: skip
def test_a_run_passes_only_if_its_gates_were_evaluated_and_none_blocks(made, verdict):
    assert overall_verdict(made) == verdict


def test_the_suite_runs_of_two_processes_are_merged():
    (whole,) = failing_run().suites

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

    together = merge_suite_runs(halves)

    assert {one.id: set(one.answers) for one in together.cases} == {
        one.id: set(one.answers) for one in whole.cases
    }
    assert {one.name for one in together.variants} == {"current", "new"}


def test_a_variant_has_its_figures_and_confusions_only_of_labels():
    (told,) = failing_run(wrong=40).suites
    new = next(one for one in told.variants if one.name == "new")

    values = {name: figure.value for name, figure in new.figures.items()}
    assert (values["accuracy"], values["tokens"], values["p50"]) == (0.6, 55, 400)
    assert {figure.n for figure in new.figures.values()} == {100}
    assert "usd_per_1k" not in values
    assert told.confusions == ()  # the cases expect "right", which is no label of the suite


@every_row(
    ("text", "expected", "correct"),
    [("refund", None, 1.0), ("no idea", None, 0.0), ("no idea", "no idea", 0.0)],
)
def test_a_skills_case_is_correct_as_in_its_gate(text, expected, correct):
    asked = replace(case("a"), skill="output_formats", expected=expected)
    broken = None if text == "refund" else FormatError("not in enumeration")
    mark = None if expected is None else 1.0
    row = CaseResult(asked, (Reply(text=text),), (Score(mark, broken),), ("call",))

    (told,) = collect_suite_run(
        suite(FORGETTING), [("skills", VariantScores("new", {"a": row}))]
    ).cases

    assert told.answers["new"].correct == correct


def test_an_advice_in_a_record_fits_its_schema_and_has_its_sentences(tmp_path):
    write_run(tmp_path / "run.json", report(advice=(ADVICE,)))

    document = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert read_run(tmp_path / "run.json").advice == (ADVICE,)
    assert VALIDATOR.is_valid(document)
    (written,) = document["advice"]
    (told,) = written["notes"]
    assert told["text"] == "strong could not be measured: no key"
    assert told["values"]["reason"]["text"] == "no key"
    assert written["unmeasured"]["strong"]["text"] == "no key"
    assert [row["note"]["text"] for row in written["conditions"]] == ["50 labelled rows"]


def test_findings_drifts_and_notes_in_a_record_have_their_sentences_and_are_read_again(tmp_path):
    names, counts = ("a password", "an AWS key"), (2, 1)
    sensitive = note(FindingKind.SENSITIVE, rows=2, names=names, counts=counts)
    length = note(ReplyNote.LENGTH, what="replies", before=1.0, after=9.0, unit="words")
    finding = Finding(
        kind="size", severity=Severity.ERROR, message=sensitive, next=note(Remedy.REVOKE)
    )
    drift = Drift(what="length", unit="words", before=1.0, after=9.0, n=40, message=length)
    told = replace(
        GOOD, findings=(finding,), drifts=(drift, replace(drift, message=None)),
        notes=(text_note("of a server"),),
    )  # fmt: skip
    record = report(told)
    write_run(tmp_path / "run.json", record)

    (verdict,) = json.loads((tmp_path / "run.json").read_text("utf-8"))["verdicts"]

    (found,), (longer, steady) = verdict["findings"], verdict["drifts"]
    texts = [one["text"] for one in (found["message"], found["next"], longer["message"])]
    assert texts == [*map(note_text, (sensitive, finding.next, length))]
    assert steady["message"] is None
    values = {"text": "of a server"}
    assert verdict["notes"] == [{"text": "of a server", "kind": "text", "values": values}]
    assert read_run(tmp_path / "run.json").verdicts == record.verdicts


# Verdicts that are stored for the verb explain ---------------------------------------------------


def stored(folder, change):
    """Store a verdict, then *change* it in the file."""
    verdict = failing_run(["a wrong reply"]).verdicts[0]
    store_verdicts(folder, [verdict])
    path = folder / "verdicts.jsonl"
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))) + "\n", "utf-8")
    return verdict


def test_a_stored_verdict_is_loaded_as_it_was_and_not_with_fields_of_an_older_version(tmp_path):
    verdict = stored(tmp_path, lambda values: values)

    assert load_verdicts(tmp_path) == (verdict,)

    # Its count of regressed cases stands under an older name, and would be read as none.
    def older(values):
        return {**{k: v for k, v in values.items() if k != "regressed"}, "lost": 83}

    stored(tmp_path, older)

    assert load_verdicts(tmp_path) == ()


def test_a_command_of_a_verdict_names_the_gate_as_the_user_types_it():
    verdict = failing_run(["a wrong reply"]).verdicts[0]
    step = NextStep(StepKind.SHOW_REGRESSED, {"node": node_id(verdict)})

    typed = as_typed(replace(verdict, next=(step,)), lambda name: f"../{name}")

    assert node_id(typed) == f"../{node_id(verdict)}"
    assert step_command(typed.next[0]) == f'pytest --ftgate -vv "../{node_id(verdict)}"'
