from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.score_columns import case, case_result, suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.identity import LEVEL_FACT, ROOM_FACT
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.results.accepted import (
    AcceptedRecord,
    accept_run,
    accepted_cases,
    accepted_samples,
    read_record,
    record_of_suite,
    write_record,
)
from pytest_ftgate.results.exam import Exam, ExamCase, exam_of
from pytest_ftgate.results.run import Report
from pytest_ftgate.scoring.scores import CaseResult, VariantScores, digest_replies
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule

HERE = Path()
GATE = RateGate(kind="accuracy", line=7, max_drop=0.05)
RECORD = AcceptedRecord(suite="a/s.ftgate.yaml", at="now")


def recorded(made: VariantScores, folder: Path = HERE) -> AcceptedRecord:
    """Return the record of a run with the scores *made* of the variant "new"."""
    return replace(RECORD, variants={"new": accepted_cases(made, folder)})


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    record = recorded(variant_scores("new", [1.0, 0.0]))
    write_record(tmp_path / "s.accepted.json", record)

    assert read_record(tmp_path / "s.accepted.json", record.suite) == record


def test_a_record_has_one_case_in_a_line_and_no_reply(tmp_path: Path) -> None:
    path = tmp_path / "s.accepted.json"
    write_record(path, recorded(variant_scores("new", [1.0], text="late_delivery")))

    (line,) = [line for line in path.read_text("utf-8").splitlines() if '"c000"' in line]
    assert "late_delivery" not in path.read_text("utf-8")
    assert line.strip().startswith('"c000": [1.0, 1.0, 1, "')


def test_without_a_record_nothing_was_accepted(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none.json", "s") is None
    assert accepted_samples(None, suite(GATE), "new", "accuracy") == (None, None)


@every_row("text", ["", "{}", '{"suite": 1}', "<<<<<<< HEAD"])
def test_a_broken_record_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.accepted.json"
    path.write_text(text)

    with pytest.raises(SuiteError, match=r"s\.accepted\.json: .*restore it or delete it"):
        read_record(path, "s.ftgate.yaml")


@every_row("values, told", [
    ({"format": 99}, "record format 99 is newer"),
    ({"format": 1},
     "record format 1 is older than this version reads; delete it, and accept a run again"),
    ({"suite": "a/other.ftgate.yaml"},
     r"s\.accepted\.json:2: this is the record of a/other\.ftgate\.yaml; restore"),
])  # fmt: skip
def test_a_record_of_another_format_or_suite_says_what_to_do(tmp_path, values, told) -> None:
    path = tmp_path / "s.accepted.json"
    write_record(path, replace(RECORD, **values))

    with pytest.raises(SuiteError, match=told):
        record_of_suite(path, "a/s.ftgate.yaml")


@every_row("suite", ["a/s.ftgate.yaml", "b/s.ftgate.yaml", "a/s.ftgate.yaml::test_it"])
def test_a_record_may_move_with_its_suite(tmp_path: Path, suite: str) -> None:
    path = tmp_path / "s.accepted.json"
    write_record(path, RECORD)

    assert record_of_suite(path, suite) == RECORD


def test_a_case_whose_digest_changed_is_left_out() -> None:
    made = variant_scores("new", [1.0, 1.0])
    cases = [row.case for row in made.results.values()]
    now = replace(suite(GATE), cases=(cases[0], replace(cases[1], expected="other")))

    accepted, anchor = accepted_samples(recorded(made), now, "new", "accuracy")

    assert accepted.case_ids == ("c000",)
    assert anchor is None


def test_digests_tell_replies_and_tool_calls_apart() -> None:
    once, again = (
        accepted_cases(VariantScores("new", {"a": case_result("a", 1.0, "refund")}), HERE)
        for _ in range(2)
    )
    other = accepted_cases(VariantScores("new", {"a": case_result("a", 1.0, "Refund.")}), HERE)

    assert once["a"].replies_digest == again["a"].replies_digest != other["a"].replies_digest

    def after(name: str) -> CaseResult:
        steps = (Step("", (ToolCall(name=name, arguments={}),)),)
        return replace(
            case_result("a", 1.0, "refund"), replies=(Reply(text="refund", steps=steps),)
        )

    plain = case_result("a", 1.0, "refund")
    found = [digest_replies(one) for one in (plain, after("look"), after("look"), after("pay"))]
    assert found[1] == found[2]
    assert len(set(found)) == 3


CODE = Rule("python", "marks:close")


@every_row("score", [
    CODE, Rule("all", ((CODE, 1.0),)), Rule("mean", ((Rule("all", ((CODE, 1.0),)), 1.0),)),
    Rule("all", ((Rule("holds", Rule("pydantic", "marks:close")), 1.0),)),
])  # fmt: skip
def test_an_edited_python_scorer_changes_the_accepted_cases(tmp_path: Path, score: Rule) -> None:
    (tmp_path / "marks.py").write_text("def close(case, reply): return 1\n")
    by_code = replace(case("a"), score=score)
    made = VariantScores("new", {"a": replace(case_result("a", 1.0, "refund"), case=by_code)})
    record = recorded(made, tmp_path)
    now = replace(suite(GATE), cases=(by_code,), path=tmp_path / "s.ftgate.yaml")
    assert len(accepted_samples(record, now, "new", "accuracy")[0]) == 1

    (tmp_path / "marks.py").write_text("def close(case, reply): return 0.1  # stricter\n")

    assert len(accepted_samples(record, now, "new", "accuracy")[0]) == 0


def test_accepting_a_gate_that_compares_with_its_base_keeps_what_other_gates_accepted(
    tmp_path: Path,
) -> None:
    suite_name, path = "s.ftgate.yaml", tmp_path / "s.accepted.json"
    cells = accepted_cases(variant_scores("new", [1.0, 0.0]), HERE)
    earlier = AcceptedRecord(
        suite=suite_name, at="2026-11-24", variants={"new": cells},
        limits={"accuracy": 0.08, "forgetting": 0.05}, rooms={"other": 2048},
        skill_levels={"other": {"hard-code": 1}},
    )  # fmt: skip
    write_record(path, earlier)
    facts = {f"{LEVEL_FACT}hard-code": "3", ROOM_FACT: "2048"}
    baseline = variant_scores("current", [1.0] * 100)
    verdict = evaluate_rate(suite(GATE), GATE, Comparison(baseline, baseline))
    verdict = replace(verdict, suite=suite_name, gate="forgetting", variant="new", facts=facts)
    report = Report(verdict="passed", at="2026-11-26", verdicts=(verdict,))

    exam = exam_of(suite(GATE))
    accepted = accept_run(tmp_path, suite_name, {"new": {}}, report, "new", exam=exam, limits={})

    record = read_record(path, suite_name)
    assert (accepted.names, accepted.file) == (("new",), "s.accepted.json")
    assert record is not None
    assert (record.at, record.variants, record.anchors) == ("2026-11-26", earlier.variants, {})
    assert record.limits == {"accuracy": 0.08}
    assert record.rooms == {"other": 2048, "new": 2048}
    assert record.skill_levels == {"other": {"hard-code": 1}, "new": {"hard-code": 3}}


@every_row(("came", "limits"), [((), {"format": 0.18}), (("c",), {})])
def test_the_default_limit_of_a_gate_that_is_left_out_goes_where_cases_have_come(
    tmp_path: Path, came: tuple[str, ...], limits: dict[str, float]
) -> None:
    """They show a smaller limit, and the record is that of all of them."""
    then, now = (
        Exam(cases={"suite": dict.fromkeys(ids, ExamCase("d"))}) for ids in ("ab", ("a", *came))
    )
    earlier = AcceptedRecord(suite="s.ftgate.yaml", at="", limits={"format": 0.18}, exam=then)
    write_record(tmp_path / "s.accepted.json", earlier)
    report = Report(verdict="passed", at="2026-11-26", verdicts=())

    accept_run(tmp_path, earlier.suite, {}, report, "new", exam=now, limits={})

    record = read_record(tmp_path / "s.accepted.json", earlier.suite)
    assert record is not None
    assert record.limits == limits
